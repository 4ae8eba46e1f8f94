"""The contract of rerankers, by one small enough to be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import SecretStr

from embow.embeddings import (
    EmbeddingFunction,
    FailureKind,
    Provider,
    Reranker,
    external,
    operational,
    secret_value,
)
from embow.embeddings._trust import requests_of
from embow.errors import ConfigurationError


class Overlap(Reranker):
    """Count the words that query and document share."""

    name: str = "words"
    weight: float = 1.0
    api_key: SecretStr | None = None
    base_url: Annotated[str | None, operational, external] = None

    def rerank(self, query: str, documents: Sequence[str]) -> Any:
        """Return the number of shared words, times the weight."""
        words = set(query.split())
        shared = [len(words & set(document.split())) for document in documents]
        return np.asarray(shared, dtype=np.float32) * np.float32(self.weight)


def test_scores_come_in_order_higher_is_better() -> None:
    """One float32 score a document, for none an empty array."""
    reranker = Overlap.create(weight=2)
    scores = reranker.rerank("a red fox", ["a fox", "blue", "the red fox is a fox"])
    assert scores.dtype == np.float32
    assert scores.tolist() == [4.0, 0.0, 6.0]
    assert reranker.rerank("a", []).shape == (0,)


def test_settings_are_those_of_any_provider() -> None:
    """Arguments are checked, keys are secret, and the identity holds what changes the scores."""
    reranker = Overlap.create(api_key="sk-1", base_url="http://localhost:1")
    assert reranker.identity() == {"provider": "Overlap", "name": "words", "weight": 1.0}
    assert secret_value(reranker, "api_key") == "sk-1"
    assert "sk-1" not in repr(reranker) + str(reranker.safe_model_dump())
    assert reranker == Overlap.create(api_key="sk-1", base_url="http://localhost:1")
    assert [str(asked) for asked in requests_of(Overlap, {"base_url": "http://x"})] == [
        'base_url="http://x"'
    ]
    with pytest.raises(ConfigurationError, match="Did you mean 'weight'"):
        Overlap.create(weights=2)


def test_failures_and_limits_have_defaults() -> None:
    """A reranker without a word on them is called one at a time, and errors are told apart."""
    reranker = Overlap.create()
    assert reranker.limits().max_concurrency == 1
    assert reranker.classify(TimeoutError()).kind is FailureKind.TRANSIENT


def test_reranker_is_no_embedding_function() -> None:
    """The two share what every provider has, and nothing else."""
    assert issubclass(Overlap, Provider)
    assert not issubclass(Overlap, EmbeddingFunction)
    assert not hasattr(Overlap, "VectorField")
    with pytest.raises(TypeError, match="abstract"):
        Reranker.create()
