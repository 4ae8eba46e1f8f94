"""One SQLite file that may be damaged, full, locked or deleted without failing anything."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from embow._processes import in_child

T = TypeVar("T")
logger = logging.getLogger("embow")

APPLICATION_ID = 0x656D6277
VERSION = 2
_SCHEMA = """
CREATE TABLE spaces(id INTEGER PRIMARY KEY AUTOINCREMENT, space BLOB NOT NULL UNIQUE);
CREATE TABLE vectors(
    id INTEGER PRIMARY KEY, key INTEGER NOT NULL, space INTEGER NOT NULL, digest BLOB NOT NULL,
    sum INTEGER NOT NULL, value BLOB NOT NULL);
CREATE INDEX vectors_by_key ON vectors(key);
CREATE TABLE notes(key BLOB PRIMARY KEY, sum INTEGER NOT NULL, value BLOB NOT NULL);
CREATE TABLE limits(
    key TEXT PRIMARY KEY, blocked REAL NOT NULL DEFAULT 0,
    requests REAL, tokens REAL, at REAL NOT NULL DEFAULT 0);
"""
_locked: weakref.WeakSet[Any] = weakref.WeakSet()
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR})


class CacheFile:
    """A SQLite file shared by threads and processes, whose loss costs only money.

    Work that cannot be done gives its default: a damaged file is set aside and begun anew, a
    deleted one is made again, a busy one is skipped, and one that cannot be written is left
    alone from then on. Each is logged as a warning; none raises.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.lock = threading.RLock()
        released_by_fork(self)
        self._held = _Held()
        self._off = False
        weakref.finalize(self, _release, self._held, self.path)

    def run(self, work: Callable[[sqlite3.Connection], T], default: T) -> T:
        """Return ``work(connection)`` run in one transaction, or ``default`` if it cannot be."""
        with self.lock:
            if self._off:
                return default
            try:
                connection = self._connect()
                connection.execute("BEGIN")
                try:
                    done = work(connection)
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
                return done
            except sqlite3.Error as error:
                self._recover(error)
            except (ValueError, TypeError, IndexError) as error:  # damage that SQLite did not see
                self._set_aside(error)
            except OSError as error:
                self._give_up(error)
            return default

    def close(self) -> None:
        """Close the file. Using it again opens it again."""
        with self.lock:
            _release(self._held, self.path)

    def _connect(self) -> sqlite3.Connection:
        held = self._held
        if held.connection is not None:
            if held.pid == os.getpid() and held.inode == _inode(self.path):
                return held.connection
            _release(held, self.path)
        with _file_lock(self.path):
            held.connection = _open(self.path)
            held.inode, held.pid = _inode(self.path), os.getpid()
        return held.connection

    def _recover(self, error: sqlite3.Error) -> None:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _BUSY:
            logger.warning("The embedding cache %s is busy; going on without it once.", self.path)
        elif code in _DAMAGED or isinstance(error, _WrongVersionError):
            self._set_aside(error)
        else:
            self._give_up(error)

    def _set_aside(self, error: Exception) -> None:
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns()}")
        try:
            with _file_lock(self.path):
                self._held.abandon()
                self.path.rename(aside)
        except OSError as problem:
            self._give_up(problem)
            return
        logger.warning(
            "The embedding cache %s cannot be read (%s). It was moved to %s and a new one is "
            "begun; nothing but the saved calls is lost.",
            self.path,
            error,
            aside,
        )

    def _give_up(self, error: Exception) -> None:
        self._off = True
        logger.warning(
            "The embedding cache %s cannot be used (%s): going on without it. Free the disk or "
            "mend the permissions, or set EMBOW_CACHE to another file.",
            self.path,
            error,
        )


def released_by_fork(holder: Any) -> None:
    """Give an object another ``lock`` in a forked child, where nobody would release this one."""
    _locked.add(holder)


@in_child
def _release_locks() -> None:
    for holder in list(_locked):
        holder.lock = threading.RLock()


class _WrongVersionError(sqlite3.DatabaseError):
    """The file was written by another version of the cache."""


class _Held:
    """An open connection with the file it belongs to."""

    def __init__(self) -> None:
        self.connection: sqlite3.Connection | None = None
        self.inode: tuple[int, int] | None = None
        self.pid = 0

    def abandon(self) -> None:
        """Let go of the connection without closing it.

        SQLite deletes the write-ahead log by name when the last connection closes. Where the
        file was replaced under us, that name is already the log of its successor.
        """
        if self.connection is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.connection))
            self.connection = None


def _release(held: _Held, path: Path) -> None:
    connection = held.connection
    if connection is None:
        return
    if held.pid != os.getpid() or held.inode != _inode(path):
        held.abandon()
        return
    held.connection = None
    with contextlib.suppress(sqlite3.Error):
        connection.close()


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(
        path, timeout=10, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    # Counted first: what another process has just made has its id with its tables. And another
    # program's file keeps its mode, so that is set last.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if owner == APPLICATION_ID and version != VERSION:
        raise _WrongVersionError(f"it has format {version}, not {VERSION}")
    if owner != APPLICATION_ID and tables:
        raise PermissionError("it is the database of another program")
    connection.execute("PRAGMA page_size = 8192")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 1000")
    if owner != APPLICATION_ID:
        connection.executescript(
            f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA application_id = {APPLICATION_ID};"
            f"PRAGMA user_version = {VERSION};COMMIT;"
        )


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextlib.contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    """Let one process at a time open, recreate or set aside the file."""
    try:
        import fcntl
    except ImportError:  # Windows does not let a file in use be deleted or renamed
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(path.name + ".lock"), "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
