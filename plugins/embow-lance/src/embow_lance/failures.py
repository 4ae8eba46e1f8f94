"""Turning what Lance raises into errors that name the table and the cause."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from lance.commit import CommitConflictError as LanceConflict

from embow.errors import CommitConflictError, EmbowError, StorageError

_SOURCE = re.compile(r",? \S+\.rs:\d+.*", re.DOTALL)
"""Where in Lance's own source an error was made."""


@contextmanager
def storing(doing: str) -> Iterator[None]:
    """Raise `StorageError` for failures of the storage below.

    Args:
        doing: What was tried, such as ``"write table 't'"``.

    Raises:
        CommitConflictError: Another writer was faster.
    """
    try:
        yield
    except EmbowError:
        raise
    except (OSError, ValueError, RuntimeError, pa.ArrowException) as exc:
        if _is_conflict(exc):
            raise CommitConflictError(
                f"Cannot {doing}: another writer was faster. Plan it again on the current version."
            ) from exc
        raise StorageError(f"Cannot {doing}: {cause(exc)}.") from exc
    except BaseException as exc:
        if type(exc).__name__ != "PanicException":  # Lance's, and no `Exception`.
            raise
        raise StorageError(f"Cannot {doing}: Lance failed ({cause(exc)}).") from exc


def was_slower(exc: CommitConflictError) -> bool:
    """Return whether it was Lance that saw another writer, in the moment of the commit."""
    return exc.__cause__ is not None and _is_conflict(exc.__cause__)


def _is_conflict(exc: BaseException) -> bool:
    # Some of Lance's functions say it by the class of the error, others in its text alone.
    said = ("commit conflict", "Incompatible transaction")
    return isinstance(exc, LanceConflict) or any(each in str(exc) for each in said)


def cause(exc: BaseException) -> str:
    """Return what Lance says, without where in its source it says so."""
    return _SOURCE.sub("", str(exc)).rstrip(". ")


def is_missing(exc: BaseException) -> bool:
    """Return whether an error means that there is no such dataset or version."""
    return "not found" in str(exc).lower()
