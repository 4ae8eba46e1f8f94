"""The suite for rerankers passes a good one, and its checks fail bad ones."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import Field, SecretStr

from embow.embeddings import Failure, FailureKind
from embow.rerankers import ModelReranker
from embow_testing.rerankers import RerankerConformance


class Words(ModelReranker):
    """Scores a text by the share of the query's words it has."""

    provider_id: ClassVar[str | None] = "words"

    def scores(self, query: str, texts: list[str]) -> Any:
        """Return one share a text."""
        wanted = set(query.lower().strip("?").split())
        shares = [len(wanted & set(text.lower().split())) / len(wanted) for text in texts]
        return np.array(shares, np.float32)


class Wrong(Words):
    """The same, with one thing wrong in each subclass."""

    provider_id: ClassVar[str | None] = "words"


class Upside(Wrong):
    def scores(self, query: str, texts: list[str]) -> Any:
        return -super().scores(query, texts)


class Columns(Wrong):
    def scores(self, query: str, texts: list[str]) -> Any:
        return super().scores(query, texts)[:, None]


class Relative(Wrong):
    def scores(self, query: str, texts: list[str]) -> Any:
        return super().scores(query, texts) / max(1, len(texts))


class Keeps(Wrong):
    def rerank_hybrid(self, query: str, vector_results: Any, fts_results: Any) -> Any:
        import pyarrow as pa

        both = pa.concat_tables([vector_results, fts_results], promote_options="default")
        return self.rerank_vector(query, both)


class Bare(Wrong):
    depth: int = 1


class Leading(Wrong):
    base_url: str = Field(default="", description="Where it is.")


class Plain(Wrong):
    api_key: SecretStr | None = Field(default=None, description="Key.")

    def __repr__(self) -> str:
        return f"Plain({self.api_key.get_secret_value() if self.api_key else None})"


class Hopeless(Wrong):
    def classify(self, error: BaseException) -> Failure:
        return Failure(FailureKind.PERMANENT)


class TestWordsConform(RerankerConformance):
    """A good reranker passes all that applies to it; no plugin offers it."""

    reranker = "words"
    query = "bread made of flour"

    def make(self) -> Words:
        """Return it."""
        return Words.create()


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        (Upside, "test_the_better_answer_has_the_higher_score"),
        (Columns, "test_one_score_a_text_in_order"),
        (Relative, "test_one_score_a_text_in_order"),
        (Keeps, "test_both_halves_of_a_search_are_one_result"),
        (Bare, "test_settings_are_documented_and_marked"),
        (Leading, "test_settings_are_documented_and_marked"),
        (Hopeless, "test_errors_are_told_apart"),
    ],
)
def test_what_is_wrong_is_noticed(wrong: type[Wrong], check: str) -> None:
    """Each fault fails the check that is about it."""

    class Suite(TestWordsConform):
        """Makes the faulty one."""

        __test__ = False

        def make(self) -> Words:
            """Return it."""
            return wrong.create()

    with pytest.raises(AssertionError):
        getattr(Suite(), check)()


def test_a_key_that_is_shown_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reranker that scores without its key, or shows it, fails."""

    class Suite(TestWordsConform):
        """Makes the one that shows its key."""

        __test__ = False

        def make(self) -> Words:
            """Return it."""
            return Plain.create(api_key="k")

    with pytest.raises(AssertionError, match="MissingCredentialError"):
        Suite().test_keys_are_secret(monkeypatch)
