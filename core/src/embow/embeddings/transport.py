"""What providers share that make an HTTP client: bounded answers, no secrets in its log."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

from embow.embeddings._calling import given_up
from embow.errors import PermanentError, TransientError

MOST_BYTES = 256 * 2**20
"""Bytes one answer may unpack to: 2,048 vectors of 5,000 numbers, written out."""


def bounded(chunks: Iterable[bytes], until: float = math.inf) -> bytes:
    """Return an answer's bytes, if there are no more than :data:`MOST_BYTES` and they come in time.

    Args:
        chunks: The answer as it comes in.
        until: Second of the monotonic clock at which it must have ended. The timeouts of HTTP
            clients begin anew with each byte, so that a server that drips never meets them.

    Raises:
        PermanentError: There are more bytes. Asking again would give the same.
        TransientError: It took too long.
    """
    kept = bytearray()
    for chunk in chunks:
        kept += chunk
        if len(kept) > MOST_BYTES:
            raise PermanentError(
                f"The server answered with more than {MOST_BYTES >> 20} MiB, which were not read "
                "to their end. Send fewer inputs a request, or check what answers at this address."
            )
        if time.monotonic() > until or given_up():
            raise TransientError(
                "The server was still sending its answer when timeout or deadline ended."
            )
    return bytes(kept)


class BoundedAnswers:
    """A base to put before ``httpx.Client``: answers are read as :func:`bounded` says."""

    seconds: ClassVar[float] = math.inf

    def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
        """Send a request and read its answer."""
        until = time.monotonic() + self.seconds
        answer = super().send(request, stream=True, **options)  # type: ignore[misc]
        if stream:
            return answer
        with closing(answer):
            content = bounded(answer.iter_bytes(), until)
        of_the_wire = ("content-encoding", "content-length", "transfer-encoding")
        pairs = answer.headers.multi_items()
        return type(answer)(
            answer.status_code,
            headers=[(name, value) for name, value in pairs if name.lower() not in of_the_wire],
            content=content,
            request=answer.request,
            extensions=answer.extensions,
            history=answer.history,
        )


def bounded_client(base: Any, seconds: float, address: str | None, **settings: Any) -> Any:
    """Return a client of a class such as ``httpx.Client`` that bounds what it reads.

    Args:
        base: The class.
        seconds: Seconds one request may take.
        address: Address that is called; a password or query in it stays out of the log.
        settings: Arguments of the class.
    """
    parts = urlsplit(address or "")
    if parts.query or "@" in parts.netloc:
        for name in ("httpx", "httpx2"):
            logging.getLogger(name).addFilter(_PlainAddress(parts.hostname or ""))
    kind = type("BoundedClient", (BoundedAnswers, base), {"seconds": seconds})
    return kind(timeout=seconds, **settings)


@dataclass(frozen=True, slots=True)
class _PlainAddress:
    """A logging filter: lines about one host show neither user, password nor query."""

    host: str

    def __call__(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(self._plain(argument) for argument in record.args)
        return True

    def _plain(self, value: Any) -> Any:
        if getattr(value, "host", None) != self.host or not hasattr(value, "copy_with"):
            return value
        return value.copy_with(username=None, password=None, query=None)
