"""From what a user searches for to a query: which column, and whether to embed.

Called by ``Table.search``. Ambiguity that cannot be settled by rule is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.errors import BadVectorError, ConfigurationError, DataError
from embow.table.conform import check_columns
from embow.table.query import Query, VectorSearch
from embow.table.vectors import is_vector_type

if TYPE_CHECKING:
    from embow.table.table import Table


def plan_search(table: Table, query: Any, column: str | None, query_type: str) -> Query:
    """Return the query for what was asked. See ``Table.search``."""
    if query_type not in ("auto", "vector"):
        raise ConfigurationError(
            f"query_type={query_type!r} is not served here; use 'auto' or 'vector'."
        )
    if query is None:
        if query_type == "vector" or column is not None:
            raise ConfigurationError("A vector search needs a query: search('text') or a vector.")
        return Query(table)
    if column is not None:
        check_columns([column], table.schema.names)
    vectors = _as_vectors(query)
    if vectors is None:
        chosen = _column_for_input(table, column)
        return VectorSearch(table, query, chosen, embed=True, many=False)
    chosen = _column_for_vector(table, column, vectors.shape[-1])
    return VectorSearch(table, vectors, chosen, embed=False, many=vectors.ndim == 2)


def _as_vectors(query: Any) -> NDArray[np.float32] | None:
    """Return the query as one vector or a matrix of them, ``None`` where it is neither."""
    if isinstance(query, (pa.Array, pa.ChunkedArray)):
        query = query.to_pylist()
    if isinstance(query, np.ndarray) and query.ndim in (1, 2) and query.dtype.kind in "fiu":
        return _checked(query)
    if not isinstance(query, Sequence) or isinstance(query, (str, bytes, bytearray)) or not query:
        return None
    if not all(isinstance(v, (int, float, np.number, Sequence, np.ndarray)) for v in query):
        return None
    if any(isinstance(v, (str, bytes)) for v in query):
        return None
    try:
        array = np.asarray(query, dtype=np.float64)
    except (ValueError, TypeError):
        return None
    except OverflowError as exc:
        raise BadVectorError("The query vector holds a number that is too large.") from exc
    return _checked(array) if array.ndim in (1, 2) else None


def _checked(vectors: NDArray[Any]) -> NDArray[np.float32]:
    if not len(vectors):
        raise BadVectorError("There is no vector to search for: the list of vectors is empty.")
    with np.errstate(over="ignore"):
        single: NDArray[np.float32] = vectors.astype(np.float32)
    if not np.isfinite(single).all():
        raise BadVectorError("The query vector holds NaN, infinity, or a number too large.")
    return single


def _vector_columns(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if is_vector_type(field.type)]


def _column_for_input(table: Table, column: str | None) -> str:
    """Return the column whose function embeds the input: the named one, or the first."""
    bound = [binding.vector_column for binding in table._columns().bindings]
    if column is None and bound:
        order = table.schema.names
        return min(bound, key=order.index)
    if column in bound:
        return str(column)
    where = f"Column {column!r}" if column else f"Table {table.name!r}"
    raise DataError(
        f"{where} has no embedding function, so it is searched by vector: search([0.1, ...]). "
        "Declare one in the schema, or add it with table.add_embedding(vector, source, function)."
    )


def _column_for_vector(table: Table, column: str | None, ndims: int) -> str:
    """Return the column to compare a vector with: the named one, or the first of its length."""
    schema = table.schema
    candidates = [column] if column is not None else _vector_columns(schema)
    if not candidates or not is_vector_type(schema.field(candidates[0]).type):
        named = f"Column {column!r} is no vector column" if column else "There is no vector column"
        raise DataError(f"{named}. Vector columns: {', '.join(_vector_columns(schema)) or 'none'}.")
    fitting = [name for name in candidates if schema.field(name).type.list_size == ndims]
    if not fitting:
        sizes = ", ".join(f"{name} ({schema.field(name).type.list_size})" for name in candidates)
        raise BadVectorError(
            f"The query vector has {ndims} dimensions, and no column has so many: {sizes}."
        )
    return fitting[0]
