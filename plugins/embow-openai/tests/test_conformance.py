"""The checks every provider must pass."""

from typing import Any

import pytest

from embow.errors import MissingCredentialError
from embow_openai import OpenAIEmbeddings
from embow_testing.conformance import ProviderConformance
from embow_testing.server import EmbeddingServer


class TestOpenAI(ProviderConformance):
    provider = "openai"
    normalized = True
    batch = 64
    known_models = (
        ({}, 1536),
        ({"name": "text-embedding-3-small"}, 1536),
        ({"name": "text-embedding-3-small", "dim": 256}, 256),
        ({"name": "text-embedding-3-large"}, 3072),
    )

    @pytest.fixture(autouse=True)
    def _serve(self, server: EmbeddingServer) -> None:
        self.server = server

    def make(self) -> OpenAIEmbeddings:
        settings: dict[str, Any] = {"name": "text-embedding-3-small", "dim": 16}
        return OpenAIEmbeddings.create(base_url=f"{self.server.url}/v1", api_key="test", **settings)

    def test_missing_key_gives_every_way_to_pass_one(self, monkeypatch: Any) -> None:
        """OpenAI itself needs a key; a server of one's own, which the suite asks, does not."""
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        with pytest.raises(MissingCredentialError) as caught:
            OpenAIEmbeddings.create().generate_embeddings(["a"])
        for way in ("api_key=", "$var:", "OPENAI_API_KEY"):
            assert way in str(caught.value)
