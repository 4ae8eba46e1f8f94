"""Turning what the disk, SQLite and Arrow raise into errors that name the path and the cause."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from embow.errors import EmbowError, StorageError

_HINTS = {
    errno.ENOSPC: "the disk is full; free some space and try again",
    errno.EDQUOT: "the disk quota is used up; free some space and try again",
    errno.EFBIG: "the file would pass the size limit of this process or file system",
    errno.EACCES: "permission denied; make it writable or choose another folder",
    errno.EPERM: "permission denied; make it writable or choose another folder",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENOTDIR: "it is a file, not a folder; choose another path",
    errno.EEXIST: "it is a file, not a folder; choose another path",
    errno.ENOENT: "it is missing",
    errno.ENOMEM: "there is not enough memory; free some, or raise the limit (ulimit -v)",
    errno.ENOLCK: "the file system has no locks; mount it with them or choose another folder",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n) or call optimize()",
}

LOCKLESS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""Of a file system where no file can be locked."""

# SQLite quotes a damaged schema, which then may be no text.
FAILURES = (OSError, sqlite3.Error, pa.ArrowException, MemoryError, UnicodeDecodeError)


@contextmanager
def storing(path: Path, doing: str, table: str = "") -> Iterator[None]:
    """Raise `StorageError` for failures of the storage below.

    Args:
        path: File or folder in question.
        doing: What was tried, such as ``"write"``.
        table: The table whose file it is.
    """
    try:
        yield
    except EmbowError:
        raise
    except FAILURES as exc:
        raise explained(exc, path, doing, table) from exc


def explained(exc: Exception, path: Path, doing: str, table: str = "") -> StorageError:
    """Return the error for a failure while something was done; see `storing`."""
    whose = f" of table '{table}'" if table else ""
    return StorageError(f"Cannot {doing} {path}{whose}: {_cause(exc, path)}.")


def _cause(exc: Exception, path: Path) -> str:
    text = str(exc).rstrip(".")
    if isinstance(exc, OSError) and exc.errno is not None:
        return _HINTS.get(exc.errno, os.strerror(exc.errno))
    if isinstance(exc, MemoryError) or os.strerror(errno.ENOMEM) in text:
        return _HINTS[errno.ENOMEM]
    if isinstance(exc, sqlite3.Error):
        return _sqlite_cause(exc, text, path)
    if "recursion depth" in text:
        return "a column is nested more deeply than an Arrow file can hold; flatten it"
    return f"the file is damaged or not an Arrow file ({text})"


_DAMAGE = (
    "not a database",
    "malformed",
    "user-defined function raised",
    "Could not decode",
    "no such",
    "duplicate column",
)


def _sqlite_cause(exc: sqlite3.Error, text: str, path: Path) -> str:
    if any(each in text for each in _DAMAGE):
        return f"the file is damaged or not an embow catalog ({text})"
    code = getattr(exc, "sqlite_errorname", "")
    if code == "SQLITE_IOERR_WRITE" and _size_limited():
        return _HINTS[errno.EFBIG] + " (ulimit -f)"
    if "IOERR_LOCK" in code or code == "SQLITE_PROTOCOL" or "NOLFS" in code:
        return _HINTS[errno.ENOLCK]
    if "unable to open" in text and not os.access(path.parent, os.W_OK | os.X_OK):
        return _HINTS[errno.EACCES]
    if "full" in text:
        return _HINTS[errno.ENOSPC]
    if "readonly" in text:
        return _HINTS[errno.EACCES]
    if "locked" in text:
        return "another writer has held the catalog for too long; try again"
    return text


def _size_limited() -> bool:
    try:
        import resource
    except ImportError:  # Windows has no such limit.
        return False
    return resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY
