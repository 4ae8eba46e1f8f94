"""Digests of local models, kept for the next process: a large folder takes seconds to read."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_path

Listing = tuple[tuple[str, int, int], ...]
"""Relative path, size and time of change in nanoseconds of each file."""

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_RECENT = 2_000_000_000  # nanoseconds in which a file may change twice at one time


def remembered_digest(folder: Path, listing: Listing, make: Callable[[], str]) -> str:
    """Return the SHA-256 of a folder's files in hex, by ``make`` unless it is known.

    It is known while no file has another path, size or time of change. What cannot be kept, or was
    changed a moment ago, is made again by the next process.
    """
    key = hashlib.sha256(repr((str(folder), listing)).encode("utf-8", "surrogatepass")).hexdigest()
    path = user_cache_path("embow", appauthor=False) / "digests" / key
    try:
        kept = path.read_text("ascii")
    except (OSError, ValueError):
        kept = ""
    if _DIGEST.match(kept):
        return kept
    digest = make()
    if max((changed for _, _, changed in listing), default=0) < time.time_ns() - _RECENT:
        _keep(path, digest)
    return digest


def _keep(path: Path, digest: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "w") as file:
            file.write(digest)
        os.replace(draft, path)
    except OSError:
        return  # a full disk or a folder of another user's: the next process reads the files
