"""Cohere's rerank models: what goes over the wire, what comes back, and what everyone promises."""

from __future__ import annotations

import pytest

import embow
from embow.errors import BadOutputError
from embow.rerankers import CohereReranker
from embow_testing.rerankers import RerankerConformance
from embow_testing.server import EmbeddingServer


class TestConformance(RerankerConformance):
    reranker = "cohere"

    @pytest.fixture(autouse=True)
    def _serve(self, server: EmbeddingServer) -> None:
        self.server = server

    def make(self) -> CohereReranker:
        return CohereReranker.create(base_url=self.server.url, api_key="test")


def test_scores_come_back_in_the_order_of_the_texts(server):
    """Cohere answers the best first; each score goes to its text."""
    reranker = CohereReranker(base_url=server.url, api_key="test", model_name="rerank-v3.5")
    assert reranker.scores("red fox", ["a blue sky", "red fox", "red"]).tolist() == [0.0, 1.0, 0.5]
    (request,) = server.requests
    assert request.payload == {
        "model": "rerank-v3.5",
        "query": "red fox",
        "documents": ["a blue sky", "red fox", "red"],
    }


def test_the_length_that_is_read_can_be_set(server):
    """The setting reaches the server."""
    reranker = CohereReranker.create(base_url=server.url, api_key="test", max_tokens_per_doc=64)
    reranker.scores("a", ["a"])
    assert server.requests[0].payload["max_tokens_per_doc"] == 64


def test_an_answer_that_leaves_texts_out_is_refused(server):
    """Every text is ranked, or nothing is."""
    server.protocol.ranks_all = False
    reranker = CohereReranker.create(base_url=server.url, api_key="test")
    with pytest.raises(BadOutputError, match="1 of 2"):
        reranker.scores("a", ["a", "b"])


def test_a_search_is_reranked(server):
    """A table's rows come in Cohere's order."""
    table = embow.connect("memory://").create_table(
        "t", [{"body": "a sky", "vector": [0.0, 1.0]}, {"body": "red fox", "vector": [1.0, 0.0]}]
    )
    reranker = CohereReranker.create(base_url=server.url, api_key="test", column="body")
    found = table.search([0.0, 1.0]).rerank(reranker, "fox").select(["body"]).to_list()
    assert found == [
        {"body": "red fox", "_relevance_score": 1.0},
        {"body": "a sky", "_relevance_score": 0.0},
    ]
