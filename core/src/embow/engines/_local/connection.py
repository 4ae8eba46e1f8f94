"""Opening the SQLite file of a catalog, where it may be written and where it may not."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from embow.engines._local.sealed import seal
from embow.errors import StorageError

FROZEN = "ro&immutable=1"
"""The mode of a file that nobody can write."""


def number(db: sqlite3.Connection, pragma: str) -> int:
    """Return the number that a pragma gives."""
    return int(db.execute(f"PRAGMA {pragma}").fetchone()[0])


def mode_of(path: Path) -> str:
    """Return how SQLite can open a file: for writing, for reading, or as one that stays as it is.

    Reading beside a writer takes files that only a writer makes. Without them, and without changes
    that wait in the log, the file alone is the database.
    """
    if not path.exists() or (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        return "rwc"
    try:
        connect(path, "ro", 1).close()
    except sqlite3.OperationalError:
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size:
            raise StorageError(
                f"{path.parent} can only be read, and {log.name} holds changes that must be "
                "written first. Open it once where it can be written, such as in a copy."
            ) from None
        return FROZEN
    return "ro"


def state_of(path: Path) -> str:
    """Return what differs once somebody has written to a file."""
    found = os.stat(path)
    return f"{found.st_mtime_ns},{found.st_size},{path.with_name(path.name + '-wal').exists()}"


def connect(path: Path, mode: str, busy_seconds: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
        uri=True,
    )
    try:
        connection.create_function("seal", -1, seal, deterministic=True)
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection
