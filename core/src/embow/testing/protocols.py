"""How a test server speaks one vendor's HTTP protocol."""

from __future__ import annotations

import base64
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from embow.testing.faults import Refusal, RefusalKind
from embow.testing.vectors import Vectors, embed_values


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


class OpenAIProtocol(Protocol):
    """OpenAI's ``/embeddings``, served under any prefix, and Azure's path of it."""

    native_dims: Mapping[str, int] = {
        "text-embedding-ada-002": 1536,
        "text-embedding-3-small": 1536,
        "text-embedding-3-large": 3072,
    }
    max_items = 2048
    max_tokens_per_item = 8191
    max_tokens_per_request = 300_000

    _errors: Mapping[RefusalKind, tuple[str, str, str | None]] = {
        "auth": ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
        "forbidden": ("Project does not have access to model.", "invalid_request_error", None),
        "quota": (
            "You exceeded your current quota, please check your plan and billing details.",
            "insufficient_quota",
            "insufficient_quota",
        ),
        "rate_limited": ("Rate limit reached.", "requests", "rate_limit_exceeded"),
        "too_large": ("Request body is too large.", "invalid_request_error", None),
        "too_long": (
            "This model's maximum context length is 8192 tokens, however you requested more.",
            "invalid_request_error",
            None,
        ),
        "bad_input": ("'$.input' is invalid.", "invalid_request_error", None),
        "bad_request": ("Invalid value.", "invalid_request_error", "invalid_value"),
        "not_found": ("The model does not exist.", "invalid_request_error", "model_not_found"),
        "server_error": ("The server had an error.", "server_error", None),
    }

    def items(self, request: HttpRequest) -> list[Any] | None:
        """Return ``input`` as a list."""
        if not request.path.split("?")[0].endswith("/embeddings"):
            return None
        value = request.payload["input"]
        return list(value) if isinstance(value, list) else [value]

    def key(self, request: HttpRequest) -> str:
        """Return the bearer token, or Azure's ``api-key``."""
        return request.headers.get("api-key") or super().key(request)

    def ndims(self, request: HttpRequest) -> int:
        """Return ``dimensions``, or the native size of the model."""
        asked = request.payload.get("dimensions")
        return int(asked or self.native_dims.get(request.payload["model"], self.dims))

    def check(self, request: HttpRequest, items: list[Any]) -> Refusal | None:
        """Refuse what OpenAI refuses: too many inputs or tokens, and empty inputs."""
        if not items or len(items) > self.max_items:
            message = f"'$.input' must hold 1 to {self.max_items} inputs."
            return Refusal("bad_request", message=message)
        if "" in items:
            return Refusal("bad_input")
        tokens = [count_tokens(item) for item in items]
        if max(tokens) > self.max_tokens_per_item:
            return Refusal("too_long")
        if sum(tokens) > self.max_tokens_per_request:
            return Refusal(
                "too_large",
                status=400,
                message=f"Requested {sum(tokens)} tokens, max 300000 tokens per request",
            )
        return None

    def answer(self, request: HttpRequest, items: list[Any], vectors: Vectors) -> Reply:
        """Return the vectors as base64 where asked, else as numbers."""
        as_text = request.payload.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": i, "embedding": _encode(row, as_text)}
            for i, row in enumerate(vectors)
        ]
        tokens = sum(count_tokens(item) for item in items)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        model = request.payload["model"]
        return Reply({"object": "list", "data": data, "model": model, "usage": usage})

    def refuse(self, refusal: Refusal) -> Reply:
        """Return OpenAI's error object."""
        message, kind, code = self._errors[refusal.kind]
        if refusal.index is not None:
            message = f"Invalid 'input[{refusal.index}]': {message}"
        error = {
            "message": refusal.message or message,
            "type": kind,
            "param": None if refusal.index is None else f"input[{refusal.index}]",
            "code": "max_tokens_per_request" if _is_token_sum(refusal) else code,
        }
        return Reply({"error": error}, self.status(refusal), retry_after_header(refusal))


def _is_token_sum(refusal: Refusal) -> bool:
    return refusal.kind == "too_large" and refusal.status == 400


def _encode(row: Vectors, as_text: bool) -> Any:
    if as_text:
        return base64.b64encode(np.ascontiguousarray(row, dtype="<f4").tobytes()).decode()
    return row.tolist()
