"""A server that speaks ``invoke_model``, and functions that call it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from embow_bedrock import BedRockText
from embow_testing.faults import Refusal, RefusalKind
from embow_testing.protocols import HttpRequest, Protocol, Reply, count_tokens, retry_after_header
from embow_testing.server import EmbeddingServer
from embow_testing.vectors import Vectors

VARIABLES = (
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_DEFAULT_PROFILE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
    "AWS_ENDPOINT_URL_STS",
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
)


class BedrockProtocol(Protocol):
    """``POST /model/{id}/invoke`` for Titan, Nova and Cohere models."""

    statuses: Mapping[RefusalKind, int] = {
        **Protocol.statuses,
        "auth": 403,
        "quota": 400,
        "too_large": 400,
    }
    errors: Mapping[RefusalKind, tuple[str, str]] = {
        "auth": ("UnrecognizedClientException", "The security token is invalid."),
        "forbidden": ("AccessDeniedException", "You don't have access to the model."),
        "quota": ("ServiceQuotaExceededException", "Your request exceeds the service quota."),
        "rate_limited": ("ThrottlingException", "Too many requests, please wait."),
        "too_large": (
            "ValidationException",
            "Malformed input request: #/texts: expected maximum item count: 96, found: 97",
        ),
        "too_long": ("ValidationException", "400 Bad Request: Too many input tokens."),
        "bad_input": ("ValidationException", "#/inputText: expected minLength: 1, actual: 0"),
        "bad_request": ("ValidationException", "The provided model identifier is invalid."),
        "not_found": ("ResourceNotFoundException", "The model was not found."),
        "server_error": ("InternalServerException", "The server failed."),
    }

    def key(self, request: HttpRequest) -> str:
        return request.headers["authorization"].partition("Credential=")[2].partition("/")[0]

    def model(self, request: HttpRequest) -> str:
        return request.path.removeprefix("/model/").removesuffix("/invoke")

    def items(self, request: HttpRequest) -> list[Any] | None:
        if not request.path.endswith("/invoke"):
            return None
        payload = request.payload
        if "singleEmbeddingParams" in payload:
            return [payload["singleEmbeddingParams"]["text"]["value"]]
        return [payload["inputText"]] if "inputText" in payload else list(payload["texts"])

    def ndims(self, request: HttpRequest) -> int:
        payload = request.payload
        asked = payload.get("dimensions") or payload.get("output_dimension")
        asked = asked or payload.get("embeddingConfig", {}).get("outputEmbeddingLength")
        asked = asked or payload.get("singleEmbeddingParams", {}).get("embeddingDimension")
        native = {"embed-text-v1": 1536, "g1-text-02": 1536, "embed-v4": 1536}
        found = (size for name, size in native.items() if name in self.model(request))
        return int(asked or next(found, 1024))

    def check(self, request: HttpRequest, items: list[Any]) -> Refusal | None:
        return Refusal("too_large") if len(items) > 96 else None

    def answer(self, request: HttpRequest, items: list[Any], vectors: Vectors) -> Reply:
        rows, tokens = vectors.tolist(), sum(map(count_tokens, items))
        if "singleEmbeddingParams" in request.payload:
            return Reply({"embeddings": [{"embeddingType": "TEXT", "embedding": r} for r in rows]})
        if "inputText" in request.payload:
            embedding = rows[0] if rows else None
            return Reply({"embedding": embedding, "inputTextTokenCount": tokens})
        headers = {"x-amzn-bedrock-input-token-count": str(tokens)}
        by_type = "embedding_types" in request.payload
        embeddings = {"float": rows} if by_type else rows
        return Reply({"id": "1", "embeddings": embeddings}, headers=headers)

    def refuse(self, refusal: Refusal) -> Reply:
        code, message = self.errors[refusal.kind]
        if refusal.index is not None:
            message = f"#/texts/{refusal.index}: {message}"
        headers = {"x-amzn-errortype": code, **retry_after_header(refusal)}
        return Reply({"message": refusal.message or message}, self.status(refusal), headers)


@pytest.fixture(autouse=True)
def no_account(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any
) -> None:
    """Keep the developer's own account out of the tests, and give a made-up one."""
    if "live" in request.keywords:
        return
    empty = tmp_path_factory.mktemp("aws") / "none"
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(empty))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(empty))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    """Serve the sizes of Bedrock's models."""
    with EmbeddingServer(BedrockProtocol()) as running:
        yield running


@pytest.fixture
def make(server: EmbeddingServer) -> Callable[..., BedRockText]:
    """Make functions that call the server."""

    def create(**settings: Any) -> BedRockText:
        return BedRockText.create(**{"endpoint_url": server.url, **settings})

    return create
