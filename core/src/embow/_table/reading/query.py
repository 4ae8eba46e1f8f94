"""The query builder: what ``table.search(...)`` returns.

A query is a description until a terminal method (``to_list`` and its like) runs it, on one snapshot
of the table. Every builder method returns the query itself, so that calls chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, cast, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow._table.columns import Columns
from embow._table.handle import Handle
from embow._table.names import unknown_column
from embow._table.reading.plan import (
    as_vectors,
    binding_for_input,
    column_for_vector,
    embedded,
    inputs_of,
)
from embow._table.reading.results import Results, rows_that_satisfy
from embow.engines.contract import DISTANCE, ROW_ID, Metric, ScanQuery, Snapshot, VectorQuery
from embow.errors import ConfigurationError, EmbowError

DEFAULT_LIMIT = 10


class Query(Results):
    """Rows of a table, all or those that satisfy a filter.

    Example:
        ``table.search().where("price < 10").select(["name"]).limit(5).to_list()``
    """

    computed: tuple[str, ...] = (ROW_ID,)
    """Columns that may be selected beside the table's."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._where: list[str] = []
        self._late: list[str] = []
        self._columns: list[str] | None = None
        self._limit: int | None = None
        self._offset = 0
        self._with_row_id = False

    def __repr__(self) -> str:
        told = {
            "where": _joined([*self._where, *self._late]),
            "select": self._columns,
            "limit": self._limit,
            "offset": self._offset,
        }
        said = [repr(self._handle.name), *(f"{name}={v!r}" for name, v in told.items() if v)]
        return f"{type(self).__name__}({', '.join(said)})"

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
        reader = self.to_batches()
        table = pa.Table.from_batches(list(reader), schema=reader.schema)
        if self._columns is None or ROW_ID not in self._columns:
            return table
        return table.select(self._columns)

    def to_batches(self, batch_size: int | None = None) -> pa.RecordBatchReader:
        """Run the query and return a reader of record batches, read as it is pulled."""
        if batch_size is not None:
            _whole_number("batch_size", batch_size, least=1)
        stream = self._scanned(batch_size)
        return pa.RecordBatchReader.from_batches(next(stream), stream)

    def _scanned(self, batch_size: int | None) -> Iterator[Any]:
        """Yield the schema of the result and then its batches; the snapshot is held as long."""
        with self._handle.snapshot() as snapshot:
            columns = self._handle.columns(snapshot)
            where = [*self._where, *self._late]
            query = ScanQuery(
                columns=self._projection(columns),
                predicate=columns.predicate(_joined(where)) if where else None,
                limit=self._limit,
                offset=self._offset,
                with_row_id=self._wants_row_id(),
            )
            reader = snapshot.scan(query)
            schema = columns.visible_schema(reader.schema)
            yield schema
            for batch in reader:
                shown = pa.RecordBatch.from_arrays(batch.columns, schema=schema)
                for start in range(0, shown.num_rows, batch_size or max(1, shown.num_rows)):
                    yield shown.slice(start, batch_size)

    def _projection(self, columns: Columns) -> list[str]:
        """Return the physical columns to return."""
        if self._columns is None:
            return list(columns.names.values())
        known = [*columns.names, *self.computed]
        for name in self._columns:
            if name not in known:
                raise unknown_column(name, known, columns.names)
        return [columns.names[name] for name in self._columns if name in columns.names]

    def _wants_row_id(self) -> bool:
        return self._with_row_id or ROW_ID in (self._columns or ())


class VectorSearch(Query):
    """The rows nearest to one query or several, nearest first, with ``_distance``.

    Example:
        ``table.search("greetings").metric("cosine").limit(3).to_pandas()``
    """

    computed = (ROW_ID, DISTANCE)

    def __init__(self, handle: Handle, query: Any, column: str | None) -> None:
        super().__init__(handle)
        self._query = query
        self._vectors = None if isinstance(query, str) else as_vectors(query)
        self._inputs, self._listed = inputs_of(query) if self._vectors is None else ([], False)
        self._column = column
        self._metric: Metric = "l2"
        self._range: tuple[float | None, float | None] = (None, None)
        self._limit = DEFAULT_LIMIT

    def __repr__(self) -> str:
        vectors = self._vectors
        shown = f"{self._query!r:.60}" if vectors is None else f"<vectors {vectors.shape}>"
        return f"{super().__repr__()[:-1]}, query={shown}, metric={self._metric!r})"

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
        self._metric = cast("Metric", name)
        return self

    distance_type = metric

    def distance_range(
        self, lower_bound: float | None = None, upper_bound: float | None = None
    ) -> Self:
        """Keep rows with ``lower_bound <= _distance < upper_bound``."""
        for name, bound in (("lower_bound", lower_bound), ("upper_bound", upper_bound)):
            if bound is not None and not _is_real(bound):
                raise ConfigurationError(f"{name} must be a number or None, not {bound!r:.60}.")
        self._range = (lower_bound, upper_bound)
        return self

    def to_arrow(self) -> pa.Table:
        """Embed the query where that is needed, search, and return an Arrow table."""
        if self._vectors is not None:
            with self._handle.snapshot() as snapshot:
                columns = self._handle.columns(snapshot)
                chosen = column_for_vector(columns, self._column, self._vectors.shape[-1])
                return self._found(snapshot, columns, chosen, np.atleast_2d(self._vectors))
        columns = self._handle.seen()
        while True:
            used = columns
            try:
                binding, vectors = embedded(self._handle, used, self._inputs, self._column)
            except EmbowError:
                columns = self._handle.look()
                if columns is used:
                    raise
                continue  # They were seen some time ago; by those of now it may be embedded.
            with self._handle.snapshot() as snapshot:
                columns = self._handle.columns(snapshot)
                same = columns is used
                if same or binding_for_input(columns, self._column, self._handle) == binding:
                    return self._found(snapshot, columns, binding.vector_column, vectors)

    def _scanned(self, batch_size: int | None) -> Iterator[Any]:
        found = self.to_arrow()
        yield found.schema
        yield from found.to_batches(max_chunksize=batch_size)

    def _found(
        self, snapshot: Snapshot, columns: Columns, column: str, vectors: NDArray[np.float32]
    ) -> pa.Table:
        chosen = self._projection(columns)
        query = VectorQuery(
            column=columns.names[column],
            vectors=vectors,
            k=cast("int", self._limit),
            metric=self._metric,
            offset=self._offset,
            predicate=columns.predicate(_joined(self._where)) if self._where else None,
            # A late filter may need other columns than those returned.
            columns=list(columns.names.values()) if self._late else chosen,
            distance_range=self._range,
            with_row_id=self._wants_row_id(),
        )
        found = snapshot.search(query)
        if not self._listed and (self._vectors is None or self._vectors.ndim == 1):
            return self._finished(found[0], columns)
        results = (self._finished(each, columns) for each in found)
        return pa.concat_tables(
            result.append_column("query_index", _repeated(number, result.num_rows))
            for number, result in enumerate(results)
        )

    def _finished(self, result: pa.Table, columns: Columns) -> pa.Table:
        shown = pa.Table.from_arrays(result.columns, schema=columns.visible_schema(result.schema))
        if self._late:
            shown = rows_that_satisfy(shown, _joined(self._late))
        if self._columns is None:
            return shown
        added = [name for name in (DISTANCE, ROW_ID) if name in shown.schema.names]
        return shown.select([*self._columns, *(n for n in added if n not in self._columns)])


def _joined(conditions: Sequence[str]) -> str:
    if len(conditions) == 1:
        return conditions[0]
    return " AND ".join(f"({condition})" for condition in conditions)


def _is_real(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not np.isnan(value)


def _checked_columns(columns: Any) -> list[str]:
    listed = isinstance(columns, Iterable) and not isinstance(columns, (str, Mapping))
    chosen = list(columns) if listed else []
    if not listed or not all(isinstance(name, str) for name in chosen):
        raise ConfigurationError(
            f'select takes a list of column names, select(["a", "b"]), not {columns!r:.60}.'
        )
    return chosen


_MANY = 2**60
"""More rows than there can be; twice that is still a number of the machine's."""


def _whole_number(name: str, value: Any, *, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ConfigurationError(
            f"{name} must be a whole number of at least {least}, not {value!r}."
        )
    return min(int(value), _MANY)


def _repeated(value: int, count: int) -> pa.Array:
    return pa.Array.from_buffers(
        pa.int32(), count, [None, pa.py_buffer(np.full(count, value, dtype=np.int32))]
    )
