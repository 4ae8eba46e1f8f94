"""What a query builder was told, and how embow is asked for it.

Both faces, the synchronous and the awaited one, fill in a ``Query``; ``ask`` is the one place where
LanceDB's words become embow's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from embow.errors import ConfigurationError
from embow.expr import Condition
from embow.rerankers import Reranker

Kind = Literal["scan", "vector", "fts", "hybrid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnOrdering:
    """One column to sort by.

    Attributes:
        column_name: Its name.
        ascending: The least first.
        nulls_first: Rows without a value come first.
    """

    column_name: str
    ascending: bool = True
    nulls_first: bool = False


@dataclass(slots=True)
class Query:
    """What a query was told.

    Attributes:
        kind: What is asked for.
        vector: Vector or vectors to be near to, or inputs of the embedding function.
        both: Text that a hybrid search looks for in both halves.
        text: Words to find: text, or a query built of ``embow.query``.
        vector_column: Vector column to search.
        fts_columns: Columns to find words in.
        filter: Conditions, all of which must hold.
        postfilter: Filter what was found, not what is searched.
        columns: Columns to return, or expressions by name.
        limit: Rows to return; ``None`` for all of a scan, and for ten of a search.
        tuning: Settings of an index by name.
        reranker: What puts the rows that are found into another order.
        query_string: What the reranker is told was searched for, where the query is no text.
        normalize: How a hybrid search makes distances and scores comparable.
        phrase: Whether the words must come in their order.
        row_ids: Only these rows, in this order.
    """

    kind: Kind
    vector: Any = None
    both: Any = None
    text: Any = None
    vector_column: str | None = None
    fts_columns: Sequence[str] | None = None
    filter: list[Condition] = field(default_factory=list)
    postfilter: bool = False
    columns: Sequence[str] | Mapping[str, Condition] | None = None
    limit: int | None = None
    offset: int = 0
    distance_type: str | None = None
    lower_bound: float | None = None
    upper_bound: float | None = None
    order_by: list[ColumnOrdering] = field(default_factory=list)
    with_row_id: bool = False
    tuning: dict[str, Any] = field(default_factory=dict)
    reranker: Reranker | None = None
    query_string: str | None = None
    normalize: str | None = None
    phrase: bool = False
    row_ids: Sequence[int] | None = None


def ask(table: Any, told: Query) -> Any:
    """Return embow's query for what was told; of an asynchronous table, its asynchronous one."""
    query = _searched(table, told)
    for condition in told.filter:
        query = query.where(condition, prefilter=not told.postfilter)
    if told.columns is not None:
        query = query.select(told.columns)
    if told.limit is not None:
        query = query.limit(told.limit)
    if told.offset:
        query = query.offset(told.offset)
    for key in told.order_by:
        query = query.order_by(
            key.column_name, ascending=key.ascending, nulls_first=key.nulls_first
        )
    if told.row_ids is not None:
        query = query.row_ids(told.row_ids)
    return query.with_row_id() if told.with_row_id else query


def _searched(table: Any, told: Query) -> Any:
    """Return the search itself, without what every query can say."""
    if told.kind == "scan":
        return table.search()
    if told.kind == "fts":
        query = table.search(told.text, query_type="fts", fts_columns=told.fts_columns)
        query = query.phrase_query() if told.phrase else query
        return query if told.reranker is None else query.rerank(told.reranker)
    if told.kind == "hybrid":
        return _hybrid(table, told)
    if told.vector is None:
        raise ConfigurationError("A vector search needs a query: search(vector) or search('text').")
    query = _measured(table.search(told.vector, told.vector_column, "vector"), told)
    return query if told.reranker is None else query.rerank(told.reranker, told.query_string)


def _hybrid(table: Any, told: Query) -> Any:
    column, words = told.vector_column, told.fts_columns
    query = table.search(told.both, column, "hybrid", words)
    if told.vector is not None:
        query = query.vector(told.vector)
    if told.text is not None:
        query = query.text(told.text)
    if told.phrase:
        query = query.phrase_query()
    query = _measured(query, told)
    if told.reranker is None and told.normalize is None:
        return query
    return query.rerank(told.reranker, normalize=told.normalize or "score")


def _measured(query: Any, told: Query) -> Any:
    """Return the search with what is said of distances and of an index."""
    if told.distance_type is not None:
        query = query.metric(told.distance_type)
    if told.lower_bound is not None or told.upper_bound is not None:
        query = query.distance_range(told.lower_bound, told.upper_bound)
    if "ef" in told.tuning:
        query = query.ef(told.tuning["ef"])
    if "bypass_vector_index" in told.tuning:
        query = query.bypass_vector_index()
    if "fast_search" in told.tuning:
        query = query.fast_search()
    return query
