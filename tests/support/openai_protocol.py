"""OpenAI's protocol for the test server, as the tests of the core and of embow-openai need it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from embow_testing.faults import Refusal, RefusalKind
from embow_testing.protocols import HttpRequest, Protocol, Reply, count_tokens, retry_after_header
from embow_testing.vectors import Vectors


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
