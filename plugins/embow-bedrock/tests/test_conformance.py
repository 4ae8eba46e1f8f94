"""The checks every provider must pass."""

from typing import ClassVar

import pytest

from embow_bedrock import BedRockText
from embow_testing.conformance import ProviderConformance
from embow_testing.server import EmbeddingServer


class _Bedrock(ProviderConformance):
    provider = "bedrock-text"
    secret_field = None  # boto3 reads the credentials
    normalized = True
    known_models = (
        ({}, 1536),
        ({"name": "amazon.titan-embed-text-v2:0"}, 1024),
        ({"name": "cohere.embed-english-v3"}, 1024),
        ({"name": "cohere.embed-multilingual-v3"}, 1024),
        ({"name": "cohere.embed-v4:0"}, 1536),
    )
    overrides: ClassVar[dict[str, str]] = {
        "account": "Bedrock's quotas are counted by region, profile and role"
    }
    name: str

    @pytest.fixture(autouse=True)
    def _serve(self, server: EmbeddingServer) -> None:
        self.server = server

    def make(self) -> BedRockText:
        return BedRockText.create(name=self.name, endpoint_url=self.server.url)


class TestTitan(_Bedrock):
    name = "amazon.titan-embed-text-v2:0"


class TestCohere(_Bedrock):
    name = "cohere.embed-english-v3"
