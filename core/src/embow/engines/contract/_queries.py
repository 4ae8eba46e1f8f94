"""What can be asked of a snapshot, and what makes a question a good one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines._paths import column_of
from embow.engines.contract._columns import check_columns
from embow.engines.contract._kinds import METRICS, Metric, VectorKind, vector_kinds
from embow.engines.contract._records import NAME_BYTES, RESERVED
from embow.engines.indexes import RowIds
from embow.engines.predicate import Predicate
from embow.errors import (
    BadVectorError,
    ConfigurationError,
    DataError,
    SchemaError,
    near_name,
)
from embow.query import FullTextQuery, columns_of

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

    A query is compared as it is given, in float64, whatever the numbers of the column; the distance
    is then rounded to float32. Rows whose vector is null, or whose distance is not a number, are
    never returned. A vector of norm zero has cosine distance 1 to everything. In an exact search
    equal distances come in row order.

    Where rows have several vectors, so may queries: the distance of a query and a row is the sum,
    over the query's vectors, of the distance to the nearest vector of the row. Vectors that are
    null or have no distance count for nothing, and a row without others is never returned.

    Attributes:
        column: Vector column to search; within a struct its path, such as ``"image.small"``.
        vectors: Vectors of the queries, float32 or float64, shape ``(vectors, ndims)``. For
            ``hamming`` they hold bytes, whole numbers from 0 to 255.
        k: Rows wanted a query.
        metric: Distance; one that the column's :class:`VectorKind` allows.
        distance_range: Keep ``lower <= distance < upper``.
        sizes: How many of the vectors each query has, in their order; ``None``: one each.
        ef: How many rows an index considers, at least as many as are wanted: more find more. The
            engine chooses where it is ``None``.
        index: ``"auto"`` uses an index where that is faster; ``"never"`` reads every row, and is
            exact; ``"only"`` finds rows that an index covers, where there is one.
    """

    column: str
    vectors: NDArray[np.floating]
    k: int
    metric: Metric = "l2"
    distance_range: tuple[float | None, float | None] = (None, None)
    sizes: tuple[int, ...] | None = None
    ef: int | None = None
    index: Literal["auto", "never", "only"] = "auto"

    def queries(self) -> Iterator[NDArray[np.float64]]:
        """Yield the vectors of each query, float64, shape ``(vectors, ndims)``."""
        start = 0
        for size in (1,) * len(self.vectors) if self.sizes is None else self.sizes:
            yield self.vectors[start : start + size].astype(np.float64)
            start += size


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


def check_new_columns(fields: Sequence[pa.Field]) -> None:
    """Refuse columns that cannot come into a table that has rows.

    Raises:
        SchemaError: As in `check_schema`, or a column may not be null.
    """
    if fields:
        check_schema(pa.schema(fields))
    for each in fields:
        if not each.nullable:
            raise SchemaError(f"Column '{each.name}' is added to rows: it must allow null.")


def with_columns(schema: pa.Schema, new: Sequence[pa.Field]) -> pa.Schema:
    """Return a schema with columns behind.

    Raises:
        SchemaError: One of them cannot come in, or is there already.
    """
    check_new_columns(new)
    for each in new:
        if each.name in schema.names:
            raise SchemaError(f"Column '{each.name}' appears twice in the schema.")
    return pa.schema([*schema, *new], schema.metadata)


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


def searched_columns(query: TextQuery) -> list[str]:
    """Return the columns that a full-text search looks at, each once."""
    named = ((name,) if name else query.search_columns for name in columns_of(query.query))
    return list(dict.fromkeys(name for names in named for name in names))


def check_text_query(schema: pa.Schema, indexed: Sequence[str], query: TextQuery) -> None:
    """Raise what `Snapshot.search_text` raises for a query that does not fit the schema."""
    searched = searched_columns(query)
    check_columns(schema, [*map(column_of, searched), *(query.columns or ())])
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


def check_vector_query(schema: pa.Schema, query: VectorQuery) -> VectorKind:
    """Raise what `Snapshot.search` raises for a query that does not fit the schema.

    Returns:
        What the column holds.
    """
    if query.columns:
        check_columns(schema, query.columns)
    kinds = vector_kinds(schema)
    kind = kinds.get(query.column)
    if kind is None:
        check_columns(schema, [column_of(query.column)])
        known = f"Vector columns: {', '.join(kinds) or 'none'}."
        if query.column not in schema.names:
            raise DataError(
                f"There is no vector column '{query.column}'."
                f"{near_name(query.column, list(kinds))} {known}"
            )
        found = schema.field(query.column).type
        raise DataError(
            f"Column '{query.column}' is {found}, not a vector of fixed length. {known}"
        )
    if query.k < 0 or query.offset < 0:
        raise DataError(f"k ({query.k}) and offset ({query.offset}) must not be negative.")
    _check_metric(kind, query)
    _check_vectors(kind, query)
    return kind


def _check_metric(kind: VectorKind, query: VectorQuery) -> None:
    if query.metric not in METRICS:
        raise DataError(
            f"No metric '{query.metric}'.{near_name(str(query.metric), METRICS)} "
            f"Metrics: {', '.join(METRICS)}."
        )
    if query.metric not in kind.metrics:
        raise DataError(
            f"Column '{query.column}' holds {kind}, and '{query.metric}' compares packed bits, "
            f"which are uint8. Metrics of the column: {', '.join(kind.metrics)}."
        )


def _check_vectors(kind: VectorKind, query: VectorQuery) -> None:
    vectors, sizes = query.vectors, query.sizes
    if vectors.ndim != 2 or vectors.shape[1] != kind.ndims:
        raise BadVectorError(
            f"Column '{query.column}' has vectors of {kind.ndims} dimensions; the queries have "
            f"shape {vectors.shape}."
        )
    if not np.isfinite(vectors).all():
        raise BadVectorError("A query vector holds NaN or infinity.")
    if (
        query.metric == "hamming"
        and not ((vectors >= 0) & (vectors < 256) & (vectors % 1 == 0)).all()
    ):
        raise BadVectorError(
            "A query vector compared by 'hamming' holds packed bits: bytes, which are whole "
            "numbers from 0 to 255. numpy.packbits makes them."
        )
    if sizes is not None and (min(sizes, default=1) < 1 or sum(sizes) != len(vectors)):
        raise BadVectorError(f"Queries of {sizes} vectors are not the {len(vectors)} given.")
    if sizes is not None and not kind.multi and max(sizes, default=1) > 1:
        raise BadVectorError(
            f"Column '{query.column}' has one vector a row, and a query has several."
        )
