"""Named points between the steps of a write, where tests make a process die."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

POINTS: Final = (
    "file.created",
    "file.half",
    "file.written",
    "file.synced",
    "transaction.begun",
    "transaction.changed",
    "transaction.committed",
    "files.unlinked",
)
"""In the order a write meets them. A point may be met several times in one write."""

SHARED: Final = "transaction.shared"
"""Met after each thread's work where several share a transaction."""

_hook: Callable[[str], None] | None = None


def set_hook(hook: Callable[[str], None] | None) -> None:
    """Call ``hook`` with the name of each point met in this process; ``None`` stops that."""
    global _hook
    _hook = hook


def reach(point: str) -> None:
    """Tell the hook, if there is one, that a point is met."""
    if _hook is not None:
        _hook(point)
