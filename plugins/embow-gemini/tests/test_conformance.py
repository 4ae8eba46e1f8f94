"""The checks every provider must pass."""

import pytest

from embow_gemini import GeminiText
from embow_testing.conformance import ProviderConformance
from embow_testing.server import EmbeddingServer


class TestGemini(ProviderConformance):
    provider = "gemini-text"
    normalized = True
    known_models = (
        ({}, 3072),
        ({"dim": 768}, 768),
        ({"name": "gemini-embedding-2"}, 3072),
        ({"name": "text-embedding-005", "project": "p"}, 768),
    )

    @pytest.fixture(autouse=True)
    def _serve(self, server: EmbeddingServer) -> None:
        self.server = server

    def make(self) -> GeminiText:
        return GeminiText.create(base_url=self.server.url, api_key="test", dim=64)
