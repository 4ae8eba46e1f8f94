"""Rerankers that ask a model: what is sent, what comes back, what is done about failures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from pydantic import PrivateAttr, SecretStr

from embow.embeddings import (
    EmbeddingFunction,
    Failure,
    FailureKind,
    Limits,
    Provider,
    external,
    operational,
    secret_value,
)
from embow.embeddings._trust import requests_of
from embow.errors import (
    AuthenticationError,
    BadOutputError,
    ConfigurationError,
    DataError,
    TransientError,
    UnknownColumnError,
)
from embow.pipeline import Pipeline
from embow.pipeline._clock import Clock
from embow.rerankers import ModelReranker, Reranker


class Overlap(ModelReranker):
    """Count the words that query and text share."""

    provider_id: ClassVar[str | None] = "overlap"

    name: str = "words"
    weight: float = 1.0
    api_key: SecretStr | None = None
    base_url: Annotated[str | None, operational, external] = None
    most: Annotated[int | None, operational] = None
    _calls: list[list[str]] = PrivateAttr(default_factory=list)
    _answers: Iterator[Any] = PrivateAttr(default_factory=lambda: iter(()))

    def scores(self, query: str, texts: list[str]) -> Any:
        """Return the number of shared words, times the weight; or the next answer set."""
        self._calls.append(texts)
        answer = next(self._answers, None)
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            return answer
        words = set(query.split())
        return [self.weight * len(words & set(text.split())) for text in texts]

    def limits(self) -> Limits:
        """Return how many texts a call may hold."""
        return Limits(max_items=self.most)

    def classify(self, error: BaseException) -> Failure:
        """Take a length in a message for what is too large."""
        if "too many" in str(error):
            return Failure(FailureKind.TOO_LARGE)
        if "key" in str(error):
            return Failure(FailureKind.AUTH)
        return super().classify(error)

    def will_answer(self, *answers: Any) -> Overlap:
        """Set what the next calls return or raise."""
        self._answers = iter(answers)
        return self

    @property
    def calls(self) -> list[list[str]]:
        """The texts of each call."""
        return self._calls


class Hurried(Clock):
    """Waits for nothing."""

    def wait(self, seconds: float, cancelled: Any) -> None:
        """Return at once."""


TEXTS = ["a blue sky", "a red fox", None, "the red fox is a fox", "  "]


def rows(texts: list[str | None] = TEXTS, **columns: pa.Array) -> pa.Table:
    """Return the result of a vector search."""
    count = len(texts)
    return pa.table(
        {
            "text": pa.array(texts, pa.string()),
            "_rowid": pa.array(range(count), pa.int64()),
            "_distance": pa.array(np.linspace(0, 1, count), pa.float32()),
            **columns,
        }
    )


def test_the_best_comes_first_and_what_has_no_text_last() -> None:
    """Rows are sorted by score; null and blank texts are not sent and have none."""
    reranker = Overlap.create()
    found = reranker.rerank_vector("a red fox", rows())
    assert found.column("_rowid").to_pylist() == [1, 3, 0, 2, 4]
    assert found.column("_relevance_score").to_pylist() == [3.0, 3.0, 1.0, None, None]
    assert reranker.calls == [["a blue sky", "a red fox", "the red fox is a fox"]]
    assert "_distance" not in found.schema.names


def test_both_halves_are_scored_once() -> None:
    """In a hybrid search a row that both halves found is sent once."""
    fits = rows(["a red fox", "green"]).drop_columns("_distance")
    fits = fits.set_column(1, "_rowid", pa.array([1, 7], pa.int64()))
    fits = fits.append_column("_score", pa.array([1.0, 0.5], pa.float32()))
    reranker = Overlap.create(return_score="all")
    found = reranker.rerank_hybrid("red", rows(), fits).to_pylist()
    assert sum(map(len, reranker.calls)) == 4
    assert [row["_rowid"] for row in found[:2]] == [1, 3]
    assert (found[0]["_distance"], found[0]["_score"]) == (0.25, 1.0)
    assert found[1]["_score"] is None


def test_several_searches_are_scored_together() -> None:
    """A row that several searches found comes once where that is asked for."""
    reranker = Overlap.create()
    once = reranker.rerank_multivector([rows(), rows()], "red", deduplicate=True)
    assert once.num_rows == 5
    assert reranker.rerank_multivector([rows(), rows()], "red").num_rows == 10


def test_nothing_to_score_asks_nobody() -> None:
    """Without a text there is no call."""
    reranker = Overlap.create()
    for texts in ([], [None, ""]):
        found = reranker.rerank_fts("red", rows(texts))
        assert found.schema.field("_relevance_score").type == pa.float32()
        assert found.column("_relevance_score").null_count == len(texts)
    assert reranker.calls == []


def test_calls_hold_what_the_limits_allow() -> None:
    """More texts than a call may hold go in several, and scores stay in place."""
    texts = [f"fox {'red' * (n % 2)} {n}" for n in range(7)]
    reranker = Overlap.create(most=3)
    found = reranker.rerank_vector("red", rows(texts))
    assert [len(call) for call in reranker.calls] == [3, 3, 1]
    assert found.column("_rowid").to_pylist() == [1, 3, 5, 0, 2, 4, 6]


def test_a_call_that_was_too_large_is_halved() -> None:
    """Where a server says that a call was too large, its texts go in two."""
    texts = ["red", "blue", "red red", "fox red"]
    reranker = Overlap.create().will_answer(ValueError("too many texts"))
    found = reranker.rerank_vector("red", rows(texts))
    assert [len(call) for call in reranker.calls] == [4, 2, 2]
    assert found.column("_rowid").to_pylist() == [0, 2, 3, 1]


def test_what_may_pass_is_tried_again_and_seen_by_observers() -> None:
    """A failure that may pass is tried again, by the clock of the database; each is told of."""
    seen: list[Any] = []
    pipeline = Pipeline(None, observers=[seen.append], clock=Hurried())
    reranker = Overlap.create().will_answer(ConnectionResetError("gone"))
    with pipeline.scoring():
        found = reranker.rerank_vector("red", rows(["blue", "red"]))
    assert found.column("_rowid").to_pylist() == [1, 0]
    told = [(event.role, event.outcome, event.provider, event.ndims) for event in seen]
    assert told == [("rerank", "transient", "overlap", None), ("rerank", "ok", "overlap", None)]


def test_failures_keep_their_class_and_hide_keys() -> None:
    """What failed for good is the error of an embedding function of that kind."""
    reranker = Overlap.create(api_key="sk-secret", max_retries=0)
    reranker.will_answer(ValueError("bad key sk-secret"))
    with pytest.raises(AuthenticationError, match="overlap/words refused the key") as caught:
        reranker.rerank_vector("red", rows())
    assert "sk-secret" not in str(caught.value)
    reranker.will_answer(ConnectionResetError("gone"))
    with pytest.raises(TransientError, match="1 attempt"):
        reranker.rerank_vector("red", rows())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([1.0], r"shape \(1,\) came back for 3"),
        ([[1.0], [2.0], [3.0]], r"shape \(3, 1\)"),
        ([1.0, float("nan"), 2.0], "NaN"),
        (["x", "y", "z"], "no number a text"),
    ],
)
def test_answers_that_are_no_scores_are_refused(answer: Any, message: str) -> None:
    """There is one finite number a text, or an error."""
    reranker = Overlap.create(max_retries=0).will_answer(answer)
    with pytest.raises(BadOutputError, match=message):
        reranker.rerank_vector("red", rows())


def test_the_column_is_text_that_is_there() -> None:
    """The message names the setting, and the columns there are."""
    with pytest.raises(UnknownColumnError, match=r"'txt'.*Did you mean 'text'.*column='\.\.\.'"):
        Overlap.create(column="txt").rerank_vector("q", rows())
    with pytest.raises(DataError, match="'_rowid' is int64"):
        Overlap.create(column="_rowid").rerank_vector("q", rows())


def test_a_subclass_keeps_attributes_of_its_own() -> None:
    """One written for LanceDB sets what it likes in ``__init__``; it is no setting."""

    class Without(Overlap):
        """Leaves out rows with some words."""

        def __init__(self, words: list[str], **settings: Any) -> None:
            super().__init__(**settings)
            self.words = words

        def rerank_hybrid(self, query: str, vector_results: Any, fts_results: Any) -> Any:
            """Filter what the base returns."""
            combined = super().rerank_hybrid(query, vector_results, fts_results)
            texts = [text or "" for text in combined["text"].to_pylist()]
            kept = [not any(word in text for word in self.words) for text in texts]
            return combined.filter(pa.array(kept))

    reranker = Without(["blue"], return_score="all", weight=3)
    found = reranker.rerank_hybrid("red fox", rows(), rows().slice(0, 0))
    assert found.column("_rowid").to_pylist() == [1, 3, 2, 4]
    assert "words" not in reranker.identity()
    reranker.score = "relevance"
    assert reranker.return_score == "relevance"


def test_settings_are_those_of_any_provider() -> None:
    """Arguments are checked, keys are secret, and the identity holds what changes the scores."""
    reranker = Overlap.create(api_key="sk-1", base_url="http://localhost:1", column="body")
    assert reranker.identity() == {"provider": "overlap", "name": "words", "weight": 1.0}
    assert secret_value(reranker, "api_key") == "sk-1"
    assert "sk-1" not in repr(reranker) + str(reranker.safe_model_dump())
    again = Overlap.create(api_key="sk-1", base_url="http://localhost:1", column="body")
    assert reranker == again
    assert [str(asked) for asked in requests_of(Overlap, {"base_url": "http://x"})] == [
        'base_url="http://x"'
    ]
    with pytest.raises(ConfigurationError, match="Did you mean 'weight'"):
        Overlap.create(weights=2)
    with pytest.raises(ConfigurationError, match="return_score"):
        Overlap.create(return_score="score")


def test_it_is_a_provider_and_a_reranker_and_no_embedding_function() -> None:
    """It shares what every provider has, and serves wherever a reranker does."""
    assert issubclass(Overlap, Provider)
    assert issubclass(Overlap, Reranker)
    assert not issubclass(Overlap, EmbeddingFunction)
    assert Overlap.create().score == "relevance"
    with pytest.raises(TypeError, match="abstract"):
        ModelReranker.create()
