"""The promises every provider makes, kept with the real MiniLM weights."""

from __future__ import annotations

import pytest

from embow_sentence_transformers import SentenceTransformerEmbeddings
from embow_testing.conformance import ProviderConformance


class TestConformance(ProviderConformance):
    provider = "sentence-transformers"
    normalized = True
    known_models = (
        ({}, 384),
        ({"name": "sentence-transformers/all-mpnet-base-v2"}, 768),
        ({"name": "BAAI/bge-m3", "truncate_dim": 256}, 256),
    )
    loader = "embow_sentence_transformers.runtime:_load"

    @pytest.fixture(autouse=True)
    def _folder(self, minilm: str) -> None:
        self.folder = minilm

    def make(self) -> SentenceTransformerEmbeddings:
        return SentenceTransformerEmbeddings.create(name=self.folder)
