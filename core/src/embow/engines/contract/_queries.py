"""What can be asked of a snapshot, and what makes a question a good one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines.contract._records import NAME_BYTES, RESERVED, RowIds
from embow.engines.predicate import Predicate
from embow.errors import (
    BadVectorError,
    ConfigurationError,
    DataError,
    SchemaError,
    UnknownColumnError,
    near_name,
)
from embow.query import FullTextQuery, columns_of

Metric = Literal["l2", "cosine", "dot"]
"""``l2`` is the squared Euclidean distance, ``cosine`` is 1 - cosine similarity, ``dot`` is
1 - inner product: in each, smaller is nearer."""

_TABLE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*\Z")
_PHYSICAL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowQuery:
    """What every question about rows can say.

    Attributes:
        columns: Columns to return; ``None`` for all.
        predicate: Rows must satisfy it, before they are scored or counted.
        row_ids: Only these rows; ids that are gone are skipped.
        offset: Rows to skip: the first, the nearest or the best.
        with_row_id: Also return ``_rowid`` (int64), last.
    """

    columns: Sequence[str] | None = None
    predicate: Predicate | None = None
    row_ids: Sequence[int] | RowIds | None = None
    offset: int = 0
    with_row_id: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanQuery(RowQuery):
    """A read of rows without scoring, in insertion order or that of ``row_ids``.

    Attributes:
        fragment: Only this fragment.
        limit: Rows wanted; ``None`` for all.
    """

    fragment: str | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class VectorQuery(RowQuery):
    """One nearest-neighbour search.

    Rows whose vector is null, or whose distance is not a number, are never returned. A vector of
    norm zero has cosine distance 1 to everything. In an exact search equal distances come in row
    order.

    Attributes:
        column: Vector column to search.
        vectors: Queries, float32, shape ``(queries, dimensions)``.
        k: Rows wanted a query.
        metric: Distance.
        distance_range: Keep ``lower <= distance < upper``.
    """

    column: str
    vectors: NDArray[np.float32]
    k: int
    metric: Metric = "l2"
    distance_range: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True, slots=True)
class TextQuery(RowQuery):
    """One full-text search, scored by BM25: the best come first, of equal ones the first row.

    Attributes:
        query: What to look for; it names physical columns.
        search_columns: Where what names no column is looked for: columns with a full-text index.
        k: Rows wanted; ``None`` for all that are found.
    """

    query: FullTextQuery
    search_columns: Sequence[str]
    k: int | None


def check_columns(schema: pa.Schema, names: Iterable[str]) -> None:
    """Raise `UnknownColumnError` for the first name that is not a column."""
    for name in names:
        if schema.get_field_index(name) < 0:
            raise UnknownColumnError(
                f"There is no column '{name}'.{near_name(name, schema.names)} "
                f"Columns: {', '.join(schema.names)}."
            )


def check_schema(
    schema: pa.Schema, supports: Callable[[pa.Field], str | None] = lambda _: None
) -> None:
    """Refuse columns that cannot be stored.

    Raises:
        SchemaError: A name is repeated, reserved or not a physical one, there is no column, or the
            store cannot hold one.
    """
    if not schema.names:
        raise SchemaError("A table needs at least one column.")
    seen: set[str] = set()
    for column in schema:
        name = column.name
        if name in RESERVED:
            raise SchemaError(f"Column name '{name}' is reserved; choose another.")
        if not is_physical(name):
            raise SchemaError(
                f"Column name '{name}' is no physical one: letters, digits and '_', at most "
                f"{NAME_BYTES} bytes."
            )
        if name in seen:
            raise SchemaError(f"Column '{name}' appears twice in the schema.")
        seen.add(name)
        if why := supports(column):
            raise SchemaError(why)


def check_table_name(name: object) -> None:
    """Refuse what a store may not take for the name of a file, a folder or a table.

    Raises:
        ConfigurationError: It is no text of letters, digits, ``_``, ``-`` and, not first, ``.``.
    """
    if not isinstance(name, str) or not _TABLE.match(name):
        raise ConfigurationError(
            f"Invalid table name {name!r}: it may contain only letters, digits, underscores, "
            "hyphens and periods, and may not begin with a period."
        )


def is_physical(name: str) -> bool:
    """Return whether every store can keep a column under this name."""
    return len(name) <= NAME_BYTES and _PHYSICAL.match(name) is not None


@lru_cache(1024)
def is_vector(arrow_type: pa.DataType) -> bool:
    """Return whether a column of this type holds one vector a row and can be searched."""
    if not pa.types.is_fixed_size_list(arrow_type) or arrow_type.list_size == 0:
        return False
    value = arrow_type.value_type
    return bool(pa.types.is_floating(value) or pa.types.is_integer(value))


def searched_columns(query: TextQuery) -> list[str]:
    """Return the columns that a full-text search looks at, each once."""
    named = ((name,) if name else query.search_columns for name in columns_of(query.query))
    return list(dict.fromkeys(name for names in named for name in names))


def check_text_query(schema: pa.Schema, indexed: Sequence[str], query: TextQuery) -> None:
    """Raise what `Snapshot.search_text` raises for a query that does not fit the schema."""
    searched = searched_columns(query)
    check_columns(schema, [*searched, *(query.columns or ())])
    if not searched:
        raise DataError("A full-text search needs a column to search.")
    for name in searched:
        if name not in indexed:
            raise DataError(
                f"Column '{name}' has no full-text index. Columns with one: "
                f"{', '.join(indexed) or 'none'}."
            )
    if (query.k or 0) < 0 or query.offset < 0:
        raise DataError(f"k ({query.k}) and offset ({query.offset}) must not be negative.")


def check_vector_query(schema: pa.Schema, query: VectorQuery) -> None:
    """Raise what `Snapshot.search` raises for a query that does not fit the schema."""
    check_columns(schema, [query.column, *(query.columns or ())])
    arrow_type = schema.field(query.column).type
    if not is_vector(arrow_type):
        vectors = [each.name for each in schema if is_vector(each.type)]
        raise DataError(
            f"Column '{query.column}' is {arrow_type}, not a vector of fixed length. "
            f"Vector columns: {', '.join(vectors) or 'none'}."
        )
    metrics = get_args(Metric)
    if query.metric not in metrics:
        raise DataError(
            f"No metric '{query.metric}'.{near_name(str(query.metric), metrics)} "
            f"Metrics: {', '.join(metrics)}."
        )
    if query.k < 0 or query.offset < 0:
        raise DataError(f"k ({query.k}) and offset ({query.offset}) must not be negative.")
    if query.vectors.ndim != 2 or query.vectors.shape[1] != arrow_type.list_size:
        raise BadVectorError(
            f"Column '{query.column}' has vectors of {arrow_type.list_size} dimensions; the "
            f"queries have shape {query.vectors.shape}."
        )
    if not np.isfinite(query.vectors).all():
        raise BadVectorError("A query vector holds NaN or infinity.")
