"""A server that speaks Cohere's protocol, and functions that call it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from embow_cohere import CohereEmbeddingFunction
from embow_testing.faults import Refusal, RefusalKind
from embow_testing.protocols import HttpRequest, Protocol, Reply, count_tokens, retry_after_header
from embow_testing.server import EmbeddingServer
from embow_testing.vectors import Vectors


class CohereProtocol(Protocol):
    """Cohere's ``/v2/embed``, and ``/v2/rerank`` by the share of the query's words in a text."""

    ranks_all = True

    native_dims: Mapping[str, int] = {
        "embed-english-v3.0": 1024,
        "embed-english-light-v3.0": 384,
        "embed-v4.0": 1536,
        "embed-v5.0-fast": 2048,
    }
    statuses: Mapping[RefusalKind, int] = {**Protocol.statuses, "quota": 402, "too_large": 400}
    messages: Mapping[RefusalKind, str] = {
        "auth": "invalid api token",
        "forbidden": "you do not have access to this resource",
        "quota": "Please add or update your payment method to continue",
        "rate_limited": "trial token rate limit exceeded, limit is 100000 tokens per minute",
        "too_large": "invalid request: total number of texts must be at most 96 - received 97",
        "too_long": "invalid request: text is too long, maximum is 512 tokens",
        "bad_input": "invalid request: texts must be valid strings",
        "bad_request": "invalid request: invalid input_type",
        "not_found": "model 'x' not found",
        "server_error": "internal server error",
    }

    def items(self, request: HttpRequest) -> list[Any] | None:
        if request.path == "/v2/rerank":
            return list(request.payload["documents"])
        if request.path != "/v2/embed":
            return None
        payload = request.payload
        for part in payload.get("inputs") or []:
            (content,) = part["content"]
            assert set(content) == {"type", content["type"]}
        inputs = [next(iter(part["content"])) for part in payload.get("inputs") or []]
        flat = [c["text"] if c["type"] == "text" else c["image_url"]["url"] for c in inputs]
        return list(payload.get("texts") or payload.get("images") or flat)

    def ndims(self, request: HttpRequest) -> int:
        native = self.native_dims.get(request.payload["model"], self.dims)
        return int(request.payload.get("output_dimension") or native)

    def check(self, request: HttpRequest, items: list[Any]) -> Refusal | None:
        if request.path == "/v2/rerank":
            return None
        if len(items) > 96:
            return Refusal("too_large")
        if request.payload.get("images") and len(items) > 1:
            return Refusal("bad_request", message="images: at most one image per call")
        return None

    def answer(self, request: HttpRequest, items: list[Any], vectors: Vectors) -> Reply:
        if request.path == "/v2/rerank":
            return self.ranking(request.payload["query"], items)
        (kind,) = request.payload["embedding_types"]
        rows: list[Any] = vectors.tolist()
        if kind == "base64":
            rows = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors]
        meta = {"billed_units": {"input_tokens": sum(map(count_tokens, items))}}
        return Reply({"id": "1", "embeddings": {kind: rows}, "texts": [], "meta": meta})

    def ranking(self, query: str, items: list[Any]) -> Reply:
        """Return the documents, the best first."""
        wanted = words(query)
        shares = [len(wanted & words(item)) / len(wanted) for item in items]
        order = sorted(range(len(items)), key=lambda at: -shares[at])
        results = [{"index": at, "relevance_score": shares[at]} for at in order]
        return Reply({"id": "1", "results": results[not self.ranks_all :], "meta": {}})

    def refuse(self, refusal: Refusal) -> Reply:
        message = refusal.message or self.messages[refusal.kind]
        if refusal.index is not None:
            message = f"{message}, texts[{refusal.index}]"
        return Reply({"message": message}, self.status(refusal), retry_after_header(refusal))


def words(text: str) -> set[str]:
    """Return the words of a text."""
    return set(re.findall(r"\w+", text.lower()))


@pytest.fixture(autouse=True)
def no_account(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own account out of the tests."""
    if "live" not in request.keywords:
        for name in ("COHERE_API_KEY", "CO_API_KEY", "CO_API_URL"):
            monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    """Serve Cohere's sizes for Cohere's models and 8 dimensions for others."""
    with EmbeddingServer(CohereProtocol(dims=8)) as running:
        yield running


@pytest.fixture
def make(server: EmbeddingServer) -> Callable[..., CohereEmbeddingFunction]:
    """Make functions that call the server."""

    def create(**settings: Any) -> CohereEmbeddingFunction:
        defaults = {"base_url": server.url, "api_key": "test"}
        return CohereEmbeddingFunction.create(**{**defaults, **settings})

    return create
