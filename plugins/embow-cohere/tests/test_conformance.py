"""The checks every provider must pass."""

import pytest

from embow_cohere import CohereEmbeddingFunction
from embow_testing.conformance import ProviderConformance
from embow_testing.server import EmbeddingServer


class TestCohere(ProviderConformance):
    provider = "cohere"
    normalized = True
    known_models = (
        ({}, 1024),
        ({"name": "embed-english-light-v3.0"}, 384),
        ({"name": "embed-v4.0"}, 1536),
        ({"name": "embed-v4.0", "output_dimension": 256}, 256),
        ({"name": "embed-v5.0-pro"}, 2048),
    )

    @pytest.fixture(autouse=True)
    def _serve(self, server: EmbeddingServer) -> None:
        self.server = server

    def make(self) -> CohereEmbeddingFunction:
        return CohereEmbeddingFunction.create(base_url=self.server.url, api_key="test")
