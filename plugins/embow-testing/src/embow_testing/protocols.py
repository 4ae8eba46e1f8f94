"""How a test server speaks a vendor's HTTP protocol: what a plugin's tests fill in."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from embow_testing.faults import Refusal, RefusalKind
from embow_testing.vectors import Vectors, embed_values


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request as it came in; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    payload: Any


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. ``payload`` is sent as JSON."""

    payload: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """Return the bytes to send."""
        return json.dumps(self.payload).encode()


class Protocol(ABC):
    """One vendor's endpoint: reads requests, writes answers and errors.

    Args:
        dims: Length of the vectors where the request does not say.
        embed: Turns inputs into vectors; the default needs no model.
        keys: Keys that are accepted; any where ``None``.
        headers: Headers sent with each good answer, such as rate limits.
    """

    statuses: Mapping[RefusalKind, int] = {
        "auth": 401,
        "forbidden": 403,
        "quota": 429,
        "rate_limited": 429,
        "too_large": 413,
        "too_long": 400,
        "bad_input": 400,
        "bad_request": 400,
        "not_found": 404,
        "server_error": 500,
    }

    def __init__(
        self,
        dims: int = 8,
        *,
        embed: Callable[[Sequence[Any], int], Vectors] = embed_values,
        keys: Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.dims = dims
        self.embed = embed
        self.keys = None if keys is None else frozenset(keys)
        self.headers = dict(headers or {})

    @abstractmethod
    def items(self, request: HttpRequest) -> list[Any] | None:
        """Return the inputs of a request, or ``None`` where the path is not an endpoint."""

    @abstractmethod
    def answer(self, request: HttpRequest, items: list[Any], vectors: Vectors) -> Reply:
        """Return a good answer."""

    @abstractmethod
    def refuse(self, refusal: Refusal) -> Reply:
        """Return an error answer in the vendor's words."""

    def key(self, request: HttpRequest) -> str:
        """Return the key a request carries; the default reads a bearer token."""
        return request.headers.get("authorization", "").removeprefix("Bearer ")

    def ndims(self, request: HttpRequest) -> int:
        """Return the length of the vectors a request asks for."""
        return self.dims

    def check(self, request: HttpRequest, items: list[Any]) -> Refusal | None:
        """Return the error the vendor would answer, by its own limits, or ``None``."""
        return None

    def status(self, refusal: Refusal) -> int:
        """Return the HTTP status of an error."""
        return refusal.status or self.statuses[refusal.kind]


def count_tokens(value: Any) -> int:
    """Return the tokens a test server counts for an input: one for every four bytes of text."""
    return max(1, (len(value.encode(errors="replace")) + 3) // 4) if isinstance(value, str) else 1


def retry_after_header(refusal: Refusal) -> dict[str, str]:
    """Return the ``Retry-After`` header of an error, if it has one."""
    return {} if refusal.retry_after is None else {"retry-after": f"{refusal.retry_after:g}"}
