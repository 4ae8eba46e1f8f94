"""What belongs to a process or to its user: what a forked child begins anew, and where files go."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def in_child(begin_anew: Callable[[], None]) -> Callable[[], None]:
    """Have something called in each process that is forked off this one."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=begin_anew)
    return begin_anew


def cache_folder() -> Path:
    """Return this user's folder for what can be made again."""
    import platformdirs

    return Path(platformdirs.user_cache_path("embow", appauthor=False))
