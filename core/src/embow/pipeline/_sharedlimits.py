"""The part of the limiters that processes on one machine share through the cache file."""

from __future__ import annotations

import math
import sqlite3
from typing import TYPE_CHECKING

from embow.embeddings.types import LONGEST_PAUSE, Limits
from embow.pipeline._buckets import declared_buckets, take_all

if TYPE_CHECKING:
    from embow.pipeline._cachefile import CacheFile


class SharedLimits:
    """The part of the limiters that processes on one machine share through the cache file."""

    def __init__(self, file: CacheFile) -> None:
        self._file = file

    def blocked_until(self, key: str, now: float) -> float:
        """Return the wall-clock time before which nobody may call.

        One too far away to have been asked for comes from a clock set wrong and does not count.
        """
        row = self._file.run(
            lambda db: db.execute("SELECT blocked FROM limits WHERE key = ?", (key,)).fetchone(),
            None,
        )
        until = float(row[0]) if row else 0.0
        return until if until - now <= LONGEST_PAUSE else 0.0

    def block(self, key: str, until: float, now: float) -> None:
        """Tell all processes not to call before ``until``."""
        self._file.run(
            lambda db: db.execute(
                "INSERT INTO limits(key, blocked) VALUES (?, ?) "
                "ON CONFLICT(key) DO UPDATE SET blocked = excluded.blocked "
                "WHERE blocked < excluded.blocked OR blocked > ?",
                (key, until, now + LONGEST_PAUSE),
            ),
            None,
        )

    def reset(self) -> None:
        """Forget what all processes were told, and what they have sent this minute."""
        self._file.run(lambda db: db.execute("DELETE FROM limits"), None)

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
        if level is not None and at <= now + LONGEST_PAUSE:
            bucket.level, bucket.at = level, min(at, now)
    wait = take_all(buckets, tokens, now)
    stored = [bucket.level if bucket.level < math.inf else None for bucket in buckets]
    db.execute(
        "UPDATE limits SET requests = ?, tokens = ?, at = ? WHERE key = ?", (*stored, now, key)
    )
    return wait
