"""The ways a test server can misbehave, each a plain value.

Hand them to :meth:`embow_testing.server.EmbeddingServer.script` (one a request),
:meth:`~embow_testing.server.EmbeddingServer.when` (by rule) or
:meth:`~embow_testing.server.EmbeddingServer.poison` (by input).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from embow_testing.vectors import Vectors

RefusalKind = Literal[
    "auth",
    "forbidden",
    "quota",
    "rate_limited",
    "too_large",
    "too_long",
    "bad_input",
    "bad_request",
    "not_found",
    "server_error",
]
"""What an error answer means; a protocol turns it into its vendor's status and body."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer, before a protocol puts it into the vendor's words.

    Attributes:
        kind: What the error means.
        status: HTTP status to send instead of the vendor's usual one.
        message: Text to send instead of the vendor's usual one.
        retry_after: Seconds to ask the client to wait.
        index: Position of the input at fault, where the vendor says so.
    """

    kind: RefusalKind
    status: int | None = None
    message: str | None = None
    retry_after: float | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True)
class RawReply:
    """An answer as it goes over the wire, whatever the protocol."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave.

    Attributes:
        name: Kept in the record of the request.
        refusal: Answer with this error.
        raw: Answer with these bytes.
        change: Damage the vectors before they are sent.
        spoil: Damage the bytes of the answer.
        cut: Send half of the answer, then drop the connection.
        delay: Seconds to wait before answering.
        hold: Do not answer before ``server.release()``.
    """

    name: str
    refusal: Refusal | None = None
    raw: RawReply | None = None
    change: Callable[[Vectors], Vectors] | None = None
    spoil: Callable[[bytes], bytes] | None = None
    cut: bool = False
    delay: float = 0.0
    hold: bool = False


def refuse(refusal: Refusal) -> Fault:
    """Answer with any error."""
    return Fault(refusal.kind, refusal=refusal)


def reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Fault:
    """Answer with a body of your own: bytes or text as they are, anything else as JSON."""
    if isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return Fault("reply", raw=RawReply(body, status, headers or {}))


def unauthorized() -> Fault:
    """Refuse the key (401 with most vendors)."""
    return refuse(Refusal("auth"))


def forbidden() -> Fault:
    """Refuse the permission (403 with most vendors)."""
    return refuse(Refusal("forbidden"))


def quota_exceeded() -> Fault:
    """Say that the account has no credit left."""
    return refuse(Refusal("quota"))


def rate_limited(retry_after: float | None = None) -> Fault:
    """Answer 429, with ``Retry-After`` where given."""
    return refuse(Refusal("rate_limited", retry_after=retry_after))


def too_large() -> Fault:
    """Refuse the request as a whole for its size (413, or what the vendor sends)."""
    return refuse(Refusal("too_large"))


def too_long(index: int | None = None) -> Fault:
    """Refuse one input for its length."""
    return refuse(Refusal("too_long", index=index))


def bad_input(index: int | None = None) -> Fault:
    """Refuse one input; ``index`` is told to the client where the vendor has a way to."""
    return refuse(Refusal("bad_input", index=index))


def bad_request() -> Fault:
    """Refuse the request for a reason that has nothing to do with its inputs."""
    return refuse(Refusal("bad_request"))


def not_found() -> Fault:
    """Say that there is no such model."""
    return refuse(Refusal("not_found"))


def server_error(status: int = 500, retry_after: float | None = None) -> Fault:
    """Fail on the server's side."""
    return refuse(Refusal("server_error", status=status, retry_after=retry_after))


def slow(seconds: float) -> Fault:
    """Answer correctly, but late."""
    return Fault("slow", delay=seconds)


def hang() -> Fault:
    """Do not answer before the test calls ``server.release()`` or leaves the server."""
    return Fault("hang", hold=True)


def short_answer(missing: int = 1) -> Fault:
    """Leave out the last vectors."""
    return Fault("short_answer", change=lambda vectors: vectors[: max(0, len(vectors) - missing)])


def not_a_number(index: int = 0) -> Fault:
    """Put NaN into one vector."""
    return Fault("not_a_number", change=lambda vectors: _set_row(vectors, index, np.nan))


def zeros(index: int = 0) -> Fault:
    """Send one vector of zeros."""
    return Fault("zeros", change=lambda vectors: _set_row(vectors, index, 0.0))


def wrong_dimension(ndims: int) -> Fault:
    """Send vectors of another length."""
    return Fault(
        "wrong_dimension", change=lambda vectors: np.resize(vectors, (len(vectors), ndims))
    )


def cut_connection() -> Fault:
    """Drop the connection in the middle of the answer."""
    return Fault("cut_connection", cut=True)


def broken_json() -> Fault:
    """Answer 200 with half of a JSON document."""
    return Fault("broken_json", spoil=lambda body: body[: len(body) // 2])


def _set_row(vectors: Vectors, index: int, value: float) -> Vectors:
    changed = vectors.copy()
    changed[index] = value
    return changed
