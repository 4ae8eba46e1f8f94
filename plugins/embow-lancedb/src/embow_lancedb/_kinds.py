"""Which kind of search a call of LanceDB's ``search`` means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import pyarrow as pa

from embow.embeddings import read_bindings
from embow.errors import ConfigurationError, near_name
from embow.query import FullTextQuery
from embow_lancedb._told import Query
from embow_lancedb.types import QueryType


def told_by_search(
    schema: pa.Schema,
    query: Any,
    vector_column_name: str | None,
    query_type: str,
    fts_columns: str | Sequence[str] | None,
) -> Query:
    """Return the query that the arguments of ``search`` begin.

    ``"auto"`` is a scan without a query, a vector search for vectors and for what a function of the
    table embeds, and else a search for words.
    """
    kinds = get_args(QueryType)
    if query_type not in kinds:
        near = near_name(str(query_type), kinds)
        raise ConfigurationError(
            f"There is no query_type {query_type!r:.60}.{near} Use one of {', '.join(kinds)}."
        )
    columns = [fts_columns] if isinstance(fts_columns, str) else fts_columns
    if query_type == "auto":
        query_type = _kind_of(schema, query, vector_column_name)
    if query_type == "vector":
        return Query("vector", vector=query, vector_column=vector_column_name)
    if query_type == "fts":
        return Query("fts", text=query, fts_columns=columns)
    if query_type == "hybrid":
        return Query("hybrid", both=query, vector_column=vector_column_name, fts_columns=columns)
    return Query("scan")


def is_vector(query: Any) -> bool:
    """Whether a query is numbers, or rows of them."""
    if isinstance(query, (np.ndarray, pa.Array, pa.ChunkedArray)):
        return not isinstance(query, np.ndarray) or query.dtype.kind in "fiub"
    first = query
    while isinstance(first, (list, tuple)) and len(first):
        first = first[0]
    return first is not query and isinstance(first, (int, float, np.number, np.ndarray))


def source_of(schema: pa.Schema, told: Query) -> str | None:
    """Return the column whose text a vector search embeds; ``None`` where it embeds none."""
    bound = read_bindings(schema)
    column = told.vector_column or next(iter(bound), None)
    if told.kind != "vector" or column not in bound:
        return None
    return str(bound[column].source_column)


def _kind_of(schema: pa.Schema, query: Any, column: str | None) -> str:
    if query is None:
        return "vector" if column is not None else "scan"
    if isinstance(query, FullTextQuery):
        return "fts"
    if isinstance(query, str) and not _is_embedded(schema, column):
        return "fts"
    return "vector"


def _is_embedded(schema: pa.Schema, column: str | None) -> bool:
    bound = read_bindings(schema)
    return bool(bound) if column is None else column in bound
