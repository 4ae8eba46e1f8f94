"""The part of the limiters that processes on one machine share through the cache file."""

from __future__ import annotations

import math
import sqlite3
from typing import TYPE_CHECKING

from embow.embeddings.types import Limits
from embow.pipeline._buckets import declared_buckets, take_all

if TYPE_CHECKING:
    from embow.pipeline._cachefile import CacheFile

_FOREVER = 24 * 3600.0  # a stored time further away than this comes from a clock set wrong


class SharedLimits:
    """The part of the limiters that processes on one machine share through the cache file."""

    def __init__(self, file: CacheFile) -> None:
        self._file = file

    def blocked_until(self, key: str, now: float) -> float:
        """Return the wall-clock time before which nobody may call."""
        row = self._file.run(
            lambda db: db.execute("SELECT blocked FROM limits WHERE key = ?", (key,)).fetchone(),
            None,
        )
        until = float(row[0]) if row else 0.0
        return until if until - now < _FOREVER else 0.0

    def block(self, key: str, until: float) -> None:
        """Tell all processes not to call before ``until``."""
        self._file.run(
            lambda db: db.execute(
                "INSERT INTO limits(key, blocked) VALUES (?, ?) "
                "ON CONFLICT(key) DO UPDATE SET blocked = max(blocked, excluded.blocked)",
                (key, until),
            ),
            None,
        )

    def take(self, key: str, limits: Limits, tokens: int, now: float) -> float | None:
        """Count a request against the declared limits, or return the seconds to wait first.

        ``None`` means that the file cannot be used.
        """
        return self._file.run(lambda db: _take_shared(db, key, limits, tokens, now), None)


def _take_shared(
    db: sqlite3.Connection, key: str, limits: Limits, tokens: int, now: float
) -> float:
    # A write comes first, so that the whole of reading and taking holds the write lock.
    db.execute("INSERT OR IGNORE INTO limits(key) VALUES (?)", (key,))
    buckets = declared_buckets(limits, now)
    query = "SELECT requests, tokens, at FROM limits WHERE key = ?"
    *levels, at = db.execute(query, (key,)).fetchone()
    for bucket, level in zip(buckets, levels, strict=True):
        if level is not None and at <= now + _FOREVER:
            bucket.level, bucket.at = level, min(at, now)
    wait = take_all(buckets, tokens, now)
    stored = [bucket.level if bucket.level < math.inf else None for bucket in buckets]
    db.execute(
        "UPDATE limits SET requests = ?, tokens = ?, at = ? WHERE key = ?", (*stored, now, key)
    )
    return wait
