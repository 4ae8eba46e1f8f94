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
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n) or call optimize()",
}


@contextmanager
def storing(path: Path, doing: str) -> Iterator[None]:
    """Raise `StorageError` for failures of the storage below.

    Args:
        path: File or folder in question.
        doing: What was tried, such as ``"write"``.
    """
    try:
        yield
    except EmbowError:
        raise
    except (OSError, sqlite3.Error, pa.ArrowException) as exc:
        raise StorageError(f"Cannot {doing} {path}: {_cause(exc, path)}.") from exc


def _cause(exc: Exception, path: Path) -> str:
    if isinstance(exc, OSError) and exc.errno is not None:
        return _HINTS.get(exc.errno, os.strerror(exc.errno))
    text = str(exc).rstrip(".")
    if isinstance(exc, sqlite3.Error):
        return _sqlite_cause(text, path)
    if "recursion depth" in text:
        return "a column is nested more deeply than an Arrow file can hold; flatten it"
    return f"the file is damaged or not an Arrow file ({text})"


def _sqlite_cause(text: str, path: Path) -> str:
    if "not a database" in text or "malformed" in text:
        return f"the file is damaged or not an embow catalog ({text})"
    if "unable to open" in text and not os.access(path.parent, os.W_OK | os.X_OK):
        return _HINTS[errno.EACCES]
    if "closed database" in text:
        return "the database has been closed; open it again with embow.connect"
    if "full" in text:
        return _HINTS[errno.ENOSPC]
    if "readonly" in text:
        return _HINTS[errno.EACCES]
    if "locked" in text:
        return "another writer has held the catalog for too long; try again"
    return text
