"""What a reranker is: something that puts the rows of results into a better order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, get_args

import pyarrow as pa

from embow.engines.contract import DISTANCE, RELEVANCE, ROW_ID, SCORE
from embow.errors import ConfigurationError, UnsupportedOperationError
from embow.rerankers._rows import ReturnScore, merged


class Reranker(ABC):
    """Put the rows of results into a better order.

    A subclass writes `rerank_hybrid`, and `rerank_vector` and `rerank_fts` where it can order one
    result by itself. Each gets what the user searched for and results as Arrow tables: the columns
    that were selected, ``_rowid``, and ``_distance`` (smaller is better), ``_score`` (greater is
    better), in a hybrid search both normalised to lie between 0 and 1. It returns a table with the
    column ``_relevance_score`` (float32), the best row first. It may leave out rows, and add
    columns.

    Args:
        return_score: ``"relevance"`` for ``_relevance_score`` only, ``"all"`` for ``_distance`` and
            ``_score`` too.
    """

    return_score: ReturnScore

    def __init__(self, return_score: ReturnScore = "relevance") -> None:
        self.return_score = checked_return_score(return_score)

    @property
    def score(self) -> ReturnScore:
        """The same as ``return_score``, under LanceDB's name."""
        return self.return_score

    @score.setter
    def score(self, value: ReturnScore) -> None:
        self.return_score = checked_return_score(value)

    def columns_read(self) -> tuple[str, ...] | None:
        """Return the columns it reads; ``None``: those of the query, and the result may differ.

        Where it says which, it is handed these beside ids and scores, also where they are not
        selected, and only the rows that are wanted in the end are read whole.
        """
        return None

    @abstractmethod
    def rerank_hybrid(self, query: str, vector_results: pa.Table, fts_results: pa.Table) -> Any:
        """Return the rows of both halves of a hybrid search in one order.

        Args:
            query: What was searched for.
            vector_results: The nearest rows, nearest first, with ``_distance``.
            fts_results: The rows that fit the words best, the best first, with ``_score``.
        """

    def rerank_vector(self, query: str, vector_results: pa.Table) -> Any:
        """Return the rows of a vector search in another order."""
        raise self._cannot("a vector search", "rerank_vector")

    def rerank_fts(self, query: str, fts_results: pa.Table) -> Any:
        """Return the rows of a text search in another order."""
        raise self._cannot("a text search", "rerank_fts")

    def rerank_multivector(
        self, vector_results: Sequence[Any], query: str | None = None, deduplicate: bool = False
    ) -> Any:
        """Return the rows of several vector searches in one order.

        Args:
            vector_results: Tables with ``_rowid``, or queries that return them.
            query: What was searched for.
            deduplicate: Return a row once that several searches found. Rows are told apart by
                ``_rowid``, which the results need.
        """
        results = tables_of(vector_results)
        several = merged(results) if deduplicate else _joined(results)
        return self.rerank_vector(query or "", several)

    def merge_results(self, vector_results: pa.Table, fts_results: pa.Table) -> pa.Table:
        """Return the rows of two results, each once, in the order they first come.

        ``_distance`` and ``_score`` are null where a row has none.
        """
        return merged([vector_results, fts_results])

    # -- names that subclasses written for LanceDB call -----------------------------------

    def _merge_and_keep_scores(self, vector_results: pa.Table, fts_results: pa.Table) -> pa.Table:
        return self.merge_results(vector_results, fts_results)

    def _keep_relevance_score(self, combined_results: pa.Table) -> pa.Table:
        if self.return_score == "all":
            return combined_results
        former = [name for name in (SCORE, DISTANCE) if name in combined_results.schema.names]
        return combined_results.drop_columns(former)

    def _cannot(self, what: str, method: str) -> UnsupportedOperationError:
        name = type(self).__name__
        return UnsupportedOperationError(
            f"{name} cannot order the rows of {what}: it has no {method}. Use it with a hybrid "
            "search, or a reranker that reads the rows, such as CrossEncoderReranker."
        )


def columns_read(reranker: Reranker, method: str) -> tuple[str, ...] | None:
    """Return what a reranker says it reads, or ``None`` where a subclass has changed the method."""
    for cls in type(reranker).__mro__:
        if "columns_read" in vars(cls):
            return reranker.columns_read()
        if method in vars(cls):
            return None
    raise AssertionError("the base has it")  # pragma: no cover


def checked_return_score(value: Any) -> ReturnScore:
    """Return what scores are to be returned.

    Raises:
        ConfigurationError: It is neither of the two.
    """
    if value not in get_args(ReturnScore):
        raise ConfigurationError(
            f"return_score must be either 'relevance' or 'all', not {value!r:.60}."
        )
    return value  # type: ignore[no-any-return]


def checked_result(result: Any, reranker: Reranker, method: str) -> pa.Table:
    """Return what a reranker returned, sure that it is a ranking.

    Raises:
        TypeError: It is no Arrow table.
        ConfigurationError: It has no ``_relevance_score`` of numbers.
    """
    name = f"{type(reranker).__name__}.{method}"
    if not isinstance(result, pa.Table):
        raise TypeError(f"{name} must return a pyarrow.Table, not {type(result).__name__}.")
    at = result.schema.get_field_index(RELEVANCE)
    if at < 0 or not pa.types.is_floating(result.schema.field(at).type):
        had = "has none" if at < 0 else f"has {result.schema.field(at).type}"
        raise ConfigurationError(
            f"{name} must return a table with the column '{RELEVANCE}' of float32; its table {had}."
        )
    if ROW_ID not in result.schema.names and columns_read(reranker, method) is not None:
        raise ConfigurationError(f"{name} must return the column '{ROW_ID}', as it was given.")
    return result.set_column(at, RELEVANCE, result.column(at).cast(pa.float32()))


def tables_of(results: Sequence[Any]) -> list[pa.Table]:
    """Return results as tables; queries among them are run.

    Raises:
        ConfigurationError: There are none.
    """
    if not len(results):
        raise ConfigurationError("vector_results must not be empty: there is nothing to rerank.")
    return [each if isinstance(each, pa.Table) else each.to_arrow() for each in results]


def _joined(results: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(results, promote_options="default")
