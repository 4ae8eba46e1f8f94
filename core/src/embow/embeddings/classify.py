"""Say what kind of failure an exception is, without importing the SDK it came from."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from embow.embeddings import answers
from embow.embeddings.types import Failure, FailureKind
from embow.errors import EmbeddingError, EmbowError

_TRANSPORT = {
    "httpx": {"TransportError"},
    "httpx2": {"TransportError"},
    "httpcore": {"NetworkError", "TimeoutException", "ProtocolError"},
    "requests": {"ConnectionError", "Timeout", "ChunkedEncodingError"},
    "urllib3": {"TimeoutError", "ProtocolError", "NewConnectionError", "MaxRetryError"},
    "aiohttp": {"ClientConnectionError", "ClientPayloadError"},
}
"""Base classes of failures on the wire, by the root module that defines them."""

_PROGRAM_ERRORS: tuple[type[BaseException], ...] = (
    ImportError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    NotImplementedError,
    AssertionError,
)
_FILE_ERRNOS = frozenset(
    {
        errno.ENOENT,
        errno.EACCES,
        errno.EPERM,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.EEXIST,
        errno.ENOSPC,
        errno.EROFS,
    }
)


def classify(error: BaseException, remote: bool = True) -> Failure:
    """Return the failure an exception stands for.

    embow's own errors keep their kind. Errors that carry an HTTP status are judged by it,
    network errors may pass, program errors (``TypeError``, ``ImportError``) will not, and where
    memory ran out, fewer inputs may fit. Anything unknown is taken to be transient where a server
    is called (``remote``), because giving up on a whole ingestion for an unknown error costs more
    than trying again; a model on this machine would fail in the same way again.
    """
    if isinstance(error, EmbeddingError):
        return _own(error)
    if isinstance(error, EmbowError):
        return Failure(FailureKind.PERMANENT)
    status = http_status(error)
    if status is not None:
        return _by_status(status, error)
    if _is_transport(error):
        return Failure(FailureKind.TRANSIENT)
    if _out_of_memory(error):
        return Failure(FailureKind.TOO_LARGE)
    if isinstance(error, _PROGRAM_ERRORS):
        return Failure(FailureKind.PERMANENT)
    if isinstance(error, OSError):
        return Failure(_os_kind(error))
    return Failure(FailureKind.TRANSIENT if remote else FailureKind.PERMANENT, retry_after(error))


def _own(error: EmbeddingError) -> Failure:
    for kind in FailureKind:
        if isinstance(error, kind.value):
            return Failure(kind, error.retry_after, error.row)
    return Failure(FailureKind.PERMANENT)


def http_status(error: BaseException) -> int | None:
    """Return the HTTP status an exception carries, wherever its SDK keeps it."""
    response = getattr(error, "response", None)
    candidates: Iterable[Any] = (
        getattr(error, "status_code", None),
        getattr(error, "code", None),
        getattr(error, "status", None),
        getattr(response, "status_code", None),
        getattr(response, "status", None),
    )
    for value in candidates:
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599:
            return int(value)
        if isinstance(value, str) and value.isdigit() and 400 <= int(value) <= 599:
            return int(value)
    return None


_DROPPED = {"ConnectionClosedError", "ReadError", "RemoteProtocolError", "ServerDisconnectedError"}
"""What HTTP clients raise for a connection that ends before the answer does."""


def connection_dropped(error: BaseException | None) -> bool:
    """Tell whether a server that had taken a request hung up on it, as one does that crashes."""
    while error is not None:
        if isinstance(error, (ConnectionResetError, BrokenPipeError)):
            return True
        if type(error).__name__ in _DROPPED:
            return True
        error = error.__cause__ or error.__context__
    return False


def _by_status(status: int, error: BaseException) -> Failure:
    parts = (error, getattr(error, "body", None), getattr(error, "code", None))
    words = " ".join(filter(None, map(answers.said, parts)))
    return answers.failure_of(status, words, retry_after(error)) or answers.refusal(words)


def _is_transport(error: BaseException) -> bool:
    if isinstance(error, (ConnectionError, TimeoutError)):
        return True
    return any(
        base.__name__ in _TRANSPORT.get(base.__module__.partition(".")[0], ())
        for base in type(error).__mro__
    )


def _os_kind(error: OSError) -> FailureKind:
    # An OSError without a number was raised by a library, about a missing model file as a
    # rule; urllib keeps the socket's own error in ``reason``.
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return classify(reason).kind
    if error.errno is None or error.errno in _FILE_ERRNOS:
        return FailureKind.PERMANENT
    return FailureKind.TRANSIENT


def retry_after(error: BaseException) -> float | None:
    """Return the seconds an error's headers ask to wait, or ``None``.

    Reads ``retry-after-ms``, then ``Retry-After`` as seconds or as an HTTP date.
    """
    response = getattr(error, "response", None)
    headers = getattr(response, "headers", None) or getattr(error, "headers", None)
    if headers is None:
        return None
    return parse_retry_after(headers)


def parse_retry_after(headers: Mapping[str, Any]) -> float | None:
    """Return the seconds response headers ask to wait, or ``None``."""
    lowered = {str(key).lower(): str(value) for key, value in headers.items()}
    milliseconds = _number(lowered.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = lowered.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number < float("inf") else None


def _out_of_memory(error: BaseException) -> bool:
    # torch has a class for it on some accelerators only, and onnxruntime has none.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    words = str(error).lower() if isinstance(error, RuntimeError) else ""
    return any(said in words for said in _MEMORY_WORDS)


_MEMORY_WORDS = ("out of memory", "can't allocate memory", "failed to allocate memory")
_MOST_ITEMS = re.compile(
    r"(?:batch size|array with|maximum|at most|larger than|more than|limit|up to)[^.;\d]{0,40}?"
    r"(?<=[\s=:])(\d{1,6})\b(?! *(?:tokens|bytes|[kmg]i?b|characters|dimensions))",
    re.IGNORECASE,
)


def most_items(error: BaseException) -> int | None:
    """Return how many inputs a request may have by the words of its refusal, if they say so."""
    return min((int(found[1]) for found in _MOST_ITEMS.finditer(str(error))), default=None)
