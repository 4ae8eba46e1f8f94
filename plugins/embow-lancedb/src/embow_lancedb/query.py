"""The builders of queries: what ``table.search(...)`` and ``async_table.query()`` return."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from datetime import timedelta
from typing import Any, Self, TypeVar

import pyarrow as pa
from pydantic import BaseModel

from embow.errors import ConfigurationError
from embow.expr import Condition
from embow.query import (
    BooleanQuery,
    BoostQuery,
    FullTextQuery,
    MatchQuery,
    MultiMatchQuery,
    Occur,
    PhraseQuery,
)
from embow.query import Operator as FullTextOperator
from embow.rerankers import Reranker, RRFReranker
from embow_lancedb._arguments import deprecated
from embow_lancedb._awaited import AwaitedResults
from embow_lancedb._building import Building, Nearest
from embow_lancedb._kinds import is_vector
from embow_lancedb._limits import limited
from embow_lancedb._told import ColumnOrdering, Query, ask
from embow_lancedb.util import flatten_columns

__all__ = [
    "AsyncFTSQuery",
    "AsyncHybridQuery",
    "AsyncQuery",
    "AsyncQueryBase",
    "AsyncTakeQuery",
    "AsyncVectorQuery",
    "BooleanQuery",
    "BoostQuery",
    "ColumnOrdering",
    "FullTextOperator",
    "FullTextQuery",
    "LanceEmptyQueryBuilder",
    "LanceFtsQueryBuilder",
    "LanceHybridQueryBuilder",
    "LanceQueryBuilder",
    "LanceTakeQueryBuilder",
    "LanceVectorQueryBuilder",
    "MatchQuery",
    "MultiMatchQuery",
    "Occur",
    "PhraseQuery",
    "Query",
]

M = TypeVar("M", bound=BaseModel)


class LanceQueryBuilder(Building):
    """A query whose results come at once."""

    def where(self, where: Condition, prefilter: bool | None = None) -> Self:
        """Keep rows that satisfy a condition; several calls are joined by AND.

        Args:
            where: SQL or an expression.
            prefilter: Filter before searching (``None`` as well), or what was found.
        """
        self.told.filter.append(where)
        if prefilter is not None:
            self.told.postfilter = not prefilter
        return self

    def with_row_id(self, with_row_id: bool = True) -> Self:
        """Return ``_rowid`` as well."""
        self.told.with_row_id = with_row_id
        return self

    def to_arrow(self, timeout: timedelta | None = None) -> pa.Table:
        """Run the query and return an Arrow table.

        Raises:
            TimeLimitError: It took longer than ``timeout``.
        """
        with limited(timeout):
            return ask(self.table, self.told).to_arrow()

    def to_batches(
        self, batch_size: int | None = None, timeout: timedelta | None = None
    ) -> pa.RecordBatchReader:
        """Run the query and return a reader of record batches."""
        with limited(timeout):
            return ask(self.table, self.told).to_batches(batch_size)

    def to_list(self, timeout: timedelta | None = None) -> list[dict[str, Any]]:
        """Run the query and return one dict a row."""
        return list(self.to_arrow(timeout=timeout).to_pylist())

    def to_pandas(
        self,
        flatten: int | bool | None = None,
        timeout: timedelta | None = None,
        *,
        blob_mode: str = "lazy",
        **kwargs: Any,
    ) -> Any:
        """Run the query and return a pandas DataFrame.

        Args:
            flatten: How deep structs become columns of their own.
            timeout: Time it may take.
            blob_mode: Has no meaning: there are no blob columns.
            **kwargs: Handed to ``pyarrow.Table.to_pandas``.
        """
        return flatten_columns(self.to_arrow(timeout=timeout), flatten).to_pandas(**kwargs)

    def to_df(self) -> Any:
        """Return ``to_pandas()``. Deprecated in LanceDB."""
        deprecated("to_df", "use to_pandas()")
        return self.to_pandas()

    def to_polars(self, timeout: timedelta | None = None) -> Any:
        """Run the query and return a polars DataFrame."""
        with limited(timeout):
            return ask(self.table, self.told).to_polars()

    def to_pydantic(self, model: type[M], *, timeout: timedelta | None = None) -> list[M]:
        """Run the query and return one object of the model a row."""
        with limited(timeout):
            found: list[M] = ask(self.table, self.told).to_pydantic(model)
            return found

    def output_schema(self) -> pa.Schema:
        """Run the query and return the schema of its result."""
        return self.to_batches().schema

    def explain_plan(self, verbose: bool = False) -> str:
        """Return how the query would be run."""
        return str(ask(self.table, self.told).explain_plan())

    def analyze_plan(self, distributed_metrics: str = "aggregate") -> str:
        """Run the query and return what it did."""
        return str(ask(self.table, self.told).analyze_plan())

    def vector(self, vector: Any) -> Self:
        """Set the vector of a hybrid query, ``search(query_type="hybrid")``."""
        raise _hybrid_only("vector")

    def text(self, text: Any) -> Self:
        """Set the words of a hybrid query, ``search(query_type="hybrid")``."""
        raise _hybrid_only("text")


class LanceEmptyQueryBuilder(LanceQueryBuilder):
    """Rows, all or those that satisfy a condition."""

    def rerank(self, reranker: Reranker) -> Self:
        """Refuse: rows that were not searched for have no order to change."""
        raise ConfigurationError(
            "rerank() is for what a search found: search(vector) or search('words')."
        )


class LanceVectorQueryBuilder(LanceQueryBuilder, Nearest):
    """The nearest rows."""

    def metric(self, metric: str) -> Self:
        """Choose the distance: ``distance_type``."""
        return self.distance_type(metric)

    def rerank(self, reranker: Reranker, query_string: str | None = None) -> Self:
        """Put the rows that are found into another order, by ``_relevance_score``."""
        return self._reranked(reranker, query_string=query_string)


class LanceFtsQueryBuilder(LanceQueryBuilder):
    """Rows with words."""

    def rerank(self, reranker: Reranker) -> Self:
        """Put the rows that are found into another order, by ``_relevance_score``."""
        return self._reranked(reranker)

    def phrase_query(self, phrase_query: bool = True) -> Self:
        """Look for the words in their order."""
        self.told.phrase = phrase_query
        return self

    def fast_search(self) -> Self:
        """Take what an index has."""
        self.told.tuning["fast_search"] = True
        return self


class LanceHybridQueryBuilder(LanceQueryBuilder, Nearest):
    """The nearest rows and those with words, in one order."""

    def vector(self, vector: Any) -> Self:
        """Say what to be near to, where ``search`` was given no text for both halves."""
        self.told.vector = vector
        return self

    def text(self, text: Any) -> Self:
        """Say what words to look for, where ``search`` was given no text for both halves."""
        self.told.text = text
        return self

    def phrase_query(self, phrase_query: bool = True) -> Self:
        """Look for the words in their order."""
        self.told.phrase = phrase_query
        return self

    def metric(self, metric: str) -> Self:
        """Choose the distance: ``distance_type``."""
        return self.distance_type(metric)

    def rerank(self, reranker: Reranker | None = None, normalize: str = "score") -> Self:
        """Choose how one order is made of both halves; by reciprocal ranks if none is given."""
        return self._reranked(reranker or RRFReranker(), normalize=normalize)


class LanceTakeQueryBuilder(LanceQueryBuilder):
    """Rows by their ids or places."""

    def to_batches(
        self,
        batch_size: int | None = None,
        timeout: timedelta | None = None,
        *,
        max_batch_length: int | None = None,
    ) -> pa.RecordBatchReader:
        """Run the query and return a reader of record batches."""
        return super().to_batches(batch_size or max_batch_length, timeout)


BUILDERS: dict[str, type[LanceQueryBuilder]] = {
    "scan": LanceEmptyQueryBuilder,
    "vector": LanceVectorQueryBuilder,
    "fts": LanceFtsQueryBuilder,
    "hybrid": LanceHybridQueryBuilder,
}


class AsyncQueryBase(AwaitedResults):
    """A query whose results are awaited.

    It may be awaited itself: ``(await table.search(vector)).limit(1)``.
    """

    async def _itself(self) -> Self:
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        return self._itself().__await__()

    def where(self, predicate: Condition) -> Self:
        """Keep rows that satisfy a condition; several calls are joined by AND."""
        self.told.filter.append(predicate)
        return self

    def with_row_id(self) -> Self:
        """Return ``_rowid`` as well."""
        self.told.with_row_id = True
        return self

    def postfilter(self) -> Self:
        """Filter what was found, not what is searched."""
        self.told.postfilter = True
        return self

    def fast_search(self) -> Self:
        """Take what an index has."""
        self.told.tuning["fast_search"] = True
        return self


class AsyncTakeQuery(AsyncQueryBase):
    """Rows by their ids or places."""

    def __init__(self, table: Any, told: Query, offsets: Iterable[int] | None = None) -> None:
        super().__init__(table, told)
        self._offsets = offsets

    async def asked(self) -> Any:
        """Return embow's query, once it is known which rows lie at the places."""
        if self._offsets is not None:
            ids = await self.table.search().select(["_rowid"]).to_arrow()
            self.told.row_ids = rows_at(ids, self._offsets)
        return await super().asked()


class AsyncQuery(AsyncQueryBase):
    """Rows, all or those that satisfy a condition; ``nearest_to`` makes it a search."""

    def nearest_to(self, query_vector: Any) -> AsyncVectorQuery:
        """Search for what is near to a vector or several."""
        return AsyncVectorQuery(self.table, _as_vector(self.told, query_vector))

    def nearest_to_text(self, query: Any, columns: str | list[str] | None = None) -> AsyncFTSQuery:
        """Search for words."""
        return AsyncFTSQuery(self.table, _as_words(self.told, query, columns))


class AsyncVectorQuery(AsyncQueryBase, Nearest):
    """The nearest rows."""

    def column(self, column: str) -> Self:
        """Choose the vector column."""
        self.told.vector_column = column
        return self

    def rerank(self, reranker: Reranker | None = None, query_string: str | None = None) -> Self:
        """Put the rows that are found into another order; by reciprocal ranks if none is given."""
        return self._reranked(reranker or RRFReranker(), query_string=query_string)

    def nearest_to_text(
        self, query: Any, columns: str | list[str] | None = None
    ) -> AsyncHybridQuery:
        """Search for words too, and join both in one order."""
        told = _as_words(self.told, query, columns)
        told.kind = "hybrid"
        return AsyncHybridQuery(self.table, told)


class AsyncFTSQuery(AsyncQueryBase):
    """Rows with words."""

    def rerank(self, reranker: Reranker | None = None) -> Self:
        """Put the rows that are found into another order; by reciprocal ranks if none is given."""
        return self._reranked(reranker or RRFReranker())

    def get_query(self) -> str:
        """Return the words that are searched for."""
        return str(self.told.text)

    def nearest_to(self, query_vector: Any) -> AsyncHybridQuery:
        """Search for what is near too, and join both in one order."""
        told = _as_vector(self.told, query_vector)
        told.kind = "hybrid"
        return AsyncHybridQuery(self.table, told)


class AsyncHybridQuery(AsyncQueryBase, Nearest):
    """The nearest rows and those with words, in one order."""

    column = AsyncVectorQuery.column

    def rerank(self, reranker: Reranker | None = None, normalize: str = "score") -> Self:
        """Choose how one order is made of both halves; by reciprocal ranks if none is given."""
        return self._reranked(reranker or RRFReranker(), normalize=normalize)


def rows_at(ids: pa.Table, offsets: Iterable[int]) -> list[int]:
    """Return the ids of the rows at some places, in the order of the table.

    Raises:
        ConfigurationError: There is no such place.
    """
    wanted = sorted(set(offsets))
    if wanted and not 0 <= wanted[0] <= wanted[-1] < ids.num_rows:
        raise ConfigurationError(
            f"take_offsets: places go from 0 to {ids.num_rows - 1}, not to {wanted[-1]}."
        )
    return list(ids["_rowid"].take(pa.array(wanted, pa.int64())).to_pylist())


ASYNC_BUILDERS: dict[str, type[AsyncQueryBase]] = {
    "scan": AsyncQuery,
    "vector": AsyncVectorQuery,
    "fts": AsyncFTSQuery,
    "hybrid": AsyncHybridQuery,
}


def _as_vector(told: Query, vector: Any) -> Query:
    if vector is None or not (is_vector(vector) or isinstance(vector, (list, tuple))):
        raise ConfigurationError(f"nearest_to takes a vector or several, not {vector!r:.60}.")
    told.kind, told.vector = "vector", vector
    return told


def _as_words(told: Query, text: Any, columns: str | list[str] | None) -> Query:
    told.kind, told.text = "fts", text
    told.fts_columns = [columns] if isinstance(columns, str) else columns
    return told


def _hybrid_only(call: str) -> ConfigurationError:
    return ConfigurationError(
        f"{call}() is for search(query_type='hybrid'); give other searches their query: search(q)."
    )
