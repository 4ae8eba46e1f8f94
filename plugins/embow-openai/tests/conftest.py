"""A server that speaks OpenAI's protocol, and functions that call it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from embow_openai import OpenAIEmbeddings
from embow_testing.server import EmbeddingServer
from openai_protocol import OpenAIProtocol

VARIABLES = (
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID",
    "OPENAI_API_VERSION",
    "AZURE_OPENAI_API_KEY",
    "AZURE_OPENAI_AD_TOKEN",
    "AZURE_OPENAI_ENDPOINT",
)


@pytest.fixture(autouse=True)
def no_account(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own account out of the tests."""
    if "live" not in request.keywords:
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    """Serve vectors of 8 dimensions, and OpenAI's own sizes for OpenAI's own models."""
    with EmbeddingServer(OpenAIProtocol(dims=8)) as running:
        yield running


@pytest.fixture
def make(server: EmbeddingServer) -> Callable[..., OpenAIEmbeddings]:
    """Make functions that call the server, with a small unknown model unless told otherwise."""

    def create(**settings: Any) -> OpenAIEmbeddings:
        defaults = {"name": "tiny", "base_url": f"{server.url}/v1", "api_key": "test"}
        return OpenAIEmbeddings.create(**{**defaults, **settings})

    return create
