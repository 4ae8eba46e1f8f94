"""The query builder: what ``table.search(...)`` returns.

A query is a description until a terminal method (``to_list`` and its like) runs it. Every builder
method returns the query itself, so that calls chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines.base import DISTANCE, ROW_ID, Metric, ScanQuery, VectorQuery
from embow.errors import ConfigurationError
from embow.table.conform import check_columns
from embow.table.results import Results, rows_that_satisfy

if TYPE_CHECKING:
    from embow.table.table import Table

DEFAULT_LIMIT = 10


class Query(Results):
    """Rows of a table, all or those that satisfy a filter.

    Example:
        ``table.search().where("price < 10").select(["name"]).limit(5).to_list()``
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._where: list[str] = []
        self._late: list[str] = []
        self._columns: list[str] | None = None
        self._limit: int | None = None
        self._offset = 0
        self._with_row_id = False

    # -- building -----------------------------------------------------------------------

    def where(self, where: str, prefilter: bool = True) -> Self:
        """Keep rows that satisfy an SQL condition; several calls are joined by AND.

        Args:
            where: A condition over the table's columns, such as ``"price < 10"``.
            prefilter: Filter before searching, so that ``limit`` rows come back where there are
                that many. ``False`` filters the nearest rows, and may use ``_distance``.
        """
        (self._where if prefilter else self._late).append(where)
        return self

    def select(self, columns: Sequence[str] | None) -> Self:
        """Return only these columns, in this order; ``None`` for all.

        ``_distance`` of a search comes too, last where it is not named.
        """
        self._columns = None if columns is None else _checked_columns(columns)
        return self

    def limit(self, limit: int | None) -> Self:
        """Return at most so many rows."""
        self._limit = _whole_number("limit", limit, least=0) if limit is not None else None
        return self

    def offset(self, offset: int) -> Self:
        """Leave out so many rows first."""
        self._offset = _whole_number("offset", offset, least=0)
        return self

    def with_row_id(self, with_row_id: bool = True) -> Self:
        """Return the column ``_rowid`` too."""
        self._with_row_id = with_row_id
        return self

    # -- running ------------------------------------------------------------------------

    def to_arrow(self) -> pa.Table:
        """Run the query and return an Arrow table."""
        reader = self._scan()
        table = pa.Table.from_batches(list(reader), schema=reader.schema)
        if self._columns is None or ROW_ID not in self._columns:
            return table
        return table.select(self._columns)

    def to_batches(self, batch_size: int | None = None) -> pa.RecordBatchReader:
        """Run the query and return a reader of record batches, read as it is pulled."""
        if batch_size is None:
            return self._scan()
        return _resized(self._scan(), _whole_number("batch_size", batch_size, least=1))

    def _scan(self) -> pa.RecordBatchReader:
        return self._table._engine_table.scan(
            ScanQuery(
                columns=self._projection(),
                predicate=self._table._predicate(_joined([*self._where, *self._late])),
                limit=self._limit,
                offset=self._offset,
                with_row_id=self._wants_row_id(),
            )
        )

    def _projection(self) -> list[str]:
        visible = list(self._table.schema.names)
        if self._columns is None:
            return visible
        check_columns(self._columns, [*visible, *self._computed()])
        return [name for name in self._columns if name in visible]

    def _computed(self) -> list[str]:
        """Return the columns that may be selected beside the table's."""
        return [ROW_ID]

    def _wants_row_id(self) -> bool:
        return self._with_row_id or ROW_ID in (self._columns or ())

    # -- asynchronous twins -------------------------------------------------------------

    async def ato_arrow(self) -> pa.Table:
        """Run the query without blocking the event loop; see :meth:`to_arrow`."""
        return await self._table._database._in_thread(self.to_arrow)

    async def ato_list(self) -> list[dict[str, Any]]:
        """Run the query without blocking the event loop; see :meth:`to_list`."""
        return await self._table._database._in_thread(self.to_list)

    async def ato_pandas(self, **kwargs: Any) -> Any:
        """Run the query without blocking the event loop; see :meth:`to_pandas`."""
        return await self._table._database._in_thread(self.to_pandas, **kwargs)

    async def ato_polars(self) -> Any:
        """Run the query without blocking the event loop; see :meth:`to_polars`."""
        return await self._table._database._in_thread(self.to_polars)

    async def ato_pydantic(self, model: Any) -> list[Any]:
        """Run the query without blocking the event loop; see :meth:`to_pydantic`."""
        return await self._table._database._in_thread(self.to_pydantic, model)


class VectorSearch(Query):
    """The rows nearest to one query or several, nearest first, with ``_distance``.

    Example:
        ``table.search("greetings").metric("cosine").limit(3).to_pandas()``
    """

    def __init__(self, table: Table, query: Any, column: str, *, embed: bool, many: bool) -> None:
        super().__init__(table)
        self._query = query
        self._column = column
        self._embed = embed
        self._many = many
        self._metric: Metric = "l2"
        self._range: tuple[float | None, float | None] = (None, None)
        self._limit = DEFAULT_LIMIT

    def limit(self, limit: int | None) -> Self:
        """Return at most so many rows a query; 10 where this is not called."""
        if limit is None:
            raise ConfigurationError("A vector search needs a limit of at least 1.")
        self._limit = _whole_number("limit", limit, least=1)
        return self

    def metric(self, metric: Metric) -> Self:
        """Choose the distance: ``"l2"`` (squared, the default), ``"cosine"`` or ``"dot"``."""
        name = str(metric).lower()
        if name not in get_args(Metric):
            raise ConfigurationError(
                f"Metric {metric!r} is not known; use {', '.join(get_args(Metric))}."
            )
        self._metric = name  # type: ignore[assignment]
        return self

    distance_type = metric

    def distance_range(self, lower: float | None = None, upper: float | None = None) -> Self:
        """Keep rows with ``lower <= _distance < upper``."""
        for name, bound in (("lower", lower), ("upper", upper)):
            if bound is not None and not _is_real(bound):
                raise ConfigurationError(f"{name} must be a number or None, not {bound!r:.60}.")
        self._range = (lower, upper)
        return self

    def to_arrow(self) -> pa.Table:
        """Embed the query where that is needed, search, and return an Arrow table."""
        results = self._table._engine_table.search(self._vector_query())
        results = [self._finished(result) for result in results]
        if not self._many:
            return results[0]
        return pa.concat_tables(
            result.append_column("query_index", _repeated(number, result.num_rows))
            for number, result in enumerate(results)
        )

    def to_batches(self, batch_size: int | None = None) -> pa.RecordBatchReader:
        """Run the query and return a reader of record batches."""
        if batch_size is not None:
            _whole_number("batch_size", batch_size, least=1)
        return Results.to_batches(self, batch_size)

    def _vector_query(self) -> VectorQuery:
        assert self._limit is not None
        return VectorQuery(
            column=self._column,
            vectors=self._vectors(),
            k=self._limit,
            metric=self._metric,
            offset=self._offset,
            predicate=self._table._predicate(_joined(self._where)),
            columns=self._read_columns(),
            distance_range=self._range,
            with_row_id=self._wants_row_id(),
        )

    def _vectors(self) -> NDArray[np.float32]:
        if self._embed:
            return self._table._embed_query(self._column, self._query)
        return np.atleast_2d(self._query)

    def _read_columns(self) -> list[str]:
        """Return the columns to read; a late filter may need others than those returned."""
        chosen = self._projection()
        return list(self._table.schema.names) if self._late else chosen

    def _finished(self, result: pa.Table) -> pa.Table:
        late = _joined(self._late)
        if late is not None:
            result = rows_that_satisfy(result, late)
        if late is None and self._columns is None:
            return result
        chosen = self._projection() if self._columns is None else self._columns
        return result.select([*chosen, *(n for n in _added(result) if n not in chosen)])

    def _computed(self) -> list[str]:
        return [ROW_ID, DISTANCE]

    async def aembed(self) -> NDArray[np.float32]:
        """Return the query vectors without searching."""
        return await self._table._database._in_thread(self._vectors)


def _joined(conditions: Sequence[str]) -> str | None:
    if len(conditions) < 2:
        return conditions[0] if conditions else None
    return " AND ".join(f"({condition})" for condition in conditions)


def _is_real(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not np.isnan(value)


def _added(result: pa.Table) -> Iterator[str]:
    return (name for name in (ROW_ID, DISTANCE) if name in result.schema.names)


def _checked_columns(columns: Sequence[str]) -> list[str]:
    if isinstance(columns, (str, Mapping)) or not all(isinstance(name, str) for name in columns):
        raise ConfigurationError('select takes a list of column names: select(["a", "b"]).')
    return list(columns)


def _whole_number(name: str, value: Any, *, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ConfigurationError(
            f"{name} must be a whole number of at least {least}, not {value!r}."
        )
    return int(value)


def _repeated(value: int, count: int) -> pa.Array:
    return pa.Array.from_buffers(
        pa.int32(), count, [None, pa.py_buffer(np.full(count, value, dtype=np.int32))]
    )


def _resized(reader: pa.RecordBatchReader, batch_size: int) -> pa.RecordBatchReader:
    pieces = (
        batch.slice(start, batch_size)
        for batch in reader
        for start in range(0, batch.num_rows, batch_size)
    )
    return pa.RecordBatchReader.from_batches(reader.schema, pieces)
