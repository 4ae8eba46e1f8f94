"""ColBERT as a reranker, with a tiny checkpoint made here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import embow
from embow.rerankers import ColbertReranker
from embow_huggingface import TransformersEmbeddingFunction, maxsim
from embow_testing.rerankers import RerankerConformance

TEXTS = ("the cat sat on a mat", "stock market money bank", "birds sang about rain")


class TestConformance(RerankerConformance):
    reranker = "colbert"
    query = TEXTS[0]
    texts = TEXTS

    @pytest.fixture(autouse=True)
    def _folder(self, make_colbert: Any) -> None:
        self.folder = make_colbert()

    def make(self) -> ColbertReranker:
        return ColbertReranker.create(model_name=self.folder)


def test_scores_are_those_of_the_vectors(make_colbert: Any) -> None:
    """A score is the sum of best matches, over vectors of the embedding function."""
    folder = make_colbert()
    function = TransformersEmbeddingFunction(name=folder, multivector=True)
    (query,) = function.compute_query_embeddings("cat on mat")
    expected = maxsim(query, function.compute_source_embeddings(list(TEXTS)))
    reranker = ColbertReranker(model_name=folder, batch_size=2)
    np.testing.assert_allclose(reranker.scores("cat on mat", list(TEXTS)), expected, atol=1e-5)


def test_a_search_is_reranked(make_colbert: Any) -> None:
    """A table's rows come in the model's order."""
    rows = [{"body": text, "vector": [float(n)]} for n, text in enumerate(reversed(TEXTS))]
    table = embow.connect("memory://").create_table("t", rows)
    reranker = ColbertReranker(model_name=make_colbert(), column="body")
    found = table.search([0.0]).rerank(reranker, query_string=TEXTS[0]).to_list()
    assert found[0]["body"] == TEXTS[0]
