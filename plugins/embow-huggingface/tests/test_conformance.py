"""The promises every provider makes, kept with the real MiniLM weights."""

from __future__ import annotations

import pytest

from embow_huggingface import TransformersEmbeddingFunction
from embow_testing.conformance import ProviderConformance


class TestConformance(ProviderConformance):
    provider = "huggingface"
    known_models = (({}, 768), ({"multivector": True}, 128), ({"name": "roberta-base"}, 768))
    loader = "embow_huggingface.loading:_load"

    @pytest.fixture(autouse=True)
    def _folder(self, minilm: str) -> None:
        self.folder = minilm

    def make(self) -> TransformersEmbeddingFunction:
        return TransformersEmbeddingFunction.create(name=self.folder)


class TestTokenVectors(ProviderConformance):
    """The same where each token has a vector."""

    provider = "huggingface"
    loader = "embow_huggingface.loading:_load"

    @pytest.fixture(autouse=True)
    def _folder(self, minilm: str) -> None:
        self.folder = minilm

    def make(self) -> TransformersEmbeddingFunction:
        return TransformersEmbeddingFunction.create(name=self.folder, multivector=True)
