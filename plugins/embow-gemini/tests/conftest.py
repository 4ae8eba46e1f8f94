"""A server that speaks the Gemini API and Vertex AI, and functions that call it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from embow_gemini import GeminiText
from embow_testing.faults import Refusal, RefusalKind
from embow_testing.protocols import HttpRequest, Protocol, Reply, count_tokens, retry_after_header
from embow_testing.server import EmbeddingServer
from embow_testing.vectors import Vectors

VARIABLES = (
    "GOOGLE_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_GENAI_USE_VERTEXAI",
    "GOOGLE_CLOUD_PROJECT",
    "GOOGLE_CLOUD_LOCATION",
    "GOOGLE_GEMINI_BASE_URL",
    "GOOGLE_VERTEX_BASE_URL",
    "GOOGLE_APPLICATION_CREDENTIALS",
)


class GeminiProtocol(Protocol):
    """``batchEmbedContents`` of the Gemini API, ``predict`` and ``embedContent`` of Vertex AI."""

    native_dims: Mapping[str, int] = {
        "gemini-embedding-001": 3072,
        "gemini-embedding-2": 3072,
        "text-embedding-005": 768,
    }
    statuses: Mapping[RefusalKind, int] = {**Protocol.statuses, "auth": 400, "too_large": 400}
    errors: Mapping[RefusalKind, tuple[str, str]] = {
        "auth": ("INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
        "forbidden": ("PERMISSION_DENIED", "Permission denied."),
        "quota": ("RESOURCE_EXHAUSTED", "You exceeded your current quota."),
        "rate_limited": ("RESOURCE_EXHAUSTED", "You exceeded your current quota."),
        "too_large": (
            "INVALID_ARGUMENT",
            "BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch",
        ),
        "too_long": ("INVALID_ARGUMENT", "The input token count exceeds the maximum of 2048."),
        "bad_input": ("INVALID_ARGUMENT", "Content must not be empty."),
        "bad_request": ("FAILED_PRECONDITION", "User location is not supported."),
        "not_found": ("NOT_FOUND", "models/x is not found."),
        "server_error": ("INTERNAL", "An internal error has occurred."),
    }

    def key(self, request: HttpRequest) -> str:
        return request.headers.get("x-goog-api-key", "")

    def model(self, request: HttpRequest) -> str:
        return request.path.rpartition("/")[2].partition(":")[0]

    def items(self, request: HttpRequest) -> list[Any] | None:
        method = request.path.rpartition(":")[2]
        if method == "predict":
            return [instance["content"] for instance in request.payload["instances"]]
        if method == "batchEmbedContents":
            contents = [part["content"] for part in request.payload["requests"]]
        elif method == "embedContent":
            contents = [request.payload["content"]]
        else:
            return None
        # One vector a content, however many parts it has.
        return ["+".join(part["text"] for part in content["parts"]) for content in contents]

    def settings(self, request: HttpRequest) -> Mapping[str, Any]:
        """Return task type, title and length, wherever this method keeps them."""
        payload = request.payload
        if "requests" in payload:
            return dict(payload["requests"][0])
        if "instances" in payload:
            return {**payload["instances"][0], **payload.get("parameters", {})}
        return dict(payload) | dict(payload.get("embedContentConfig") or {})

    def ndims(self, request: HttpRequest) -> int:
        native = self.native_dims.get(self.model(request), self.dims)
        return int(self.settings(request).get("outputDimensionality") or native)

    def check(self, request: HttpRequest, items: list[Any]) -> Refusal | None:
        return Refusal("too_large") if len(items) > 100 else None

    def answer(self, request: HttpRequest, items: list[Any], vectors: Vectors) -> Reply:
        # Shortened vectors come unnormalised, as Google documents it.
        native = self.native_dims.get(self.model(request), self.dims)
        rows = (vectors * (1.0 if vectors.shape[1] == native else 0.5)).tolist()
        if "instances" in request.payload:
            counts = [count_tokens(item) for item in items]
            predictions = [
                {"embeddings": {"values": row, "statistics": {"token_count": count}}}
                for row, count in zip(rows, counts, strict=False)
            ]
            return Reply({"predictions": predictions})
        if "content" in request.payload:
            return Reply({"embedding": {"values": rows[0]}})
        return Reply({"embeddings": [{"values": row} for row in rows]})

    def refuse(self, refusal: Refusal) -> Reply:
        status, message = self.errors[refusal.kind]
        if refusal.index is not None:
            message = f"requests[{refusal.index}]: {message}"
        error = {
            "code": self.status(refusal),
            "message": refusal.message or message,
            "status": status,
            "details": list(_details(refusal)),
        }
        return Reply({"error": error}, self.status(refusal), retry_after_header(refusal))


def _details(refusal: Refusal) -> Iterator[dict[str, Any]]:
    if refusal.kind == "auth":
        yield {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    if refusal.kind == "quota":
        violation = {"quotaId": "EmbedContentRequestsPerDayPerProjectPerModel-FreeTier"}
        yield {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}
    if refusal.kind == "rate_limited":
        violation = {"quotaId": "EmbedContentRequestsPerMinutePerProjectPerModel"}
        yield {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}
        if refusal.retry_after is not None:
            delay = f"{refusal.retry_after:g}s"
            yield {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


@pytest.fixture(autouse=True)
def no_account(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own account out of the tests."""
    if "live" not in request.keywords:
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    """Serve Google's sizes for Google's models and 8 dimensions for others."""
    with EmbeddingServer(GeminiProtocol(dims=8)) as running:
        yield running


@pytest.fixture
def make(server: EmbeddingServer) -> Callable[..., GeminiText]:
    """Make functions that call the server."""

    def create(**settings: Any) -> GeminiText:
        return GeminiText.create(**{"base_url": server.url, "api_key": "test", **settings})

    return create
