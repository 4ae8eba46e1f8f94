"""The query builder: what ``table.search(...)`` returns.

A query is a description until a terminal method (``to_list`` and its like) runs it, on one snapshot
of the table. Every builder method returns the query itself, so that calls chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from dataclasses import replace
from typing import Any, Self, cast, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow._table.columns import Columns
from embow._table.handle import Handle
from embow._table.reading.explain import Plan, Trace, analyzed, explained
from embow._table.reading.order import Key, fetched, sorted_ids
from embow._table.reading.plan import (
    as_vectors,
    binding_for_input,
    column_for_vector,
    embedded,
    inputs_of,
)
from embow._table.reading.projection import Projection, Selection
from embow._table.reading.results import Results, rows_that_satisfy
from embow.engines.contract import DISTANCE, ROW_ID, Metric, ScanQuery, Snapshot, VectorQuery
from embow.engines.predicate import Predicate
from embow.errors import ConfigurationError, EmbowError
from embow.expr import Condition, Expr, all_of, sql

DEFAULT_LIMIT = 10


class Query(Results):
    """Rows of a table, all or those that satisfy a filter.

    Example:
        ``table.search().where("price < 10").select(["name"]).limit(5).to_list()``
    """

    computed: Mapping[str, pa.DataType] = {ROW_ID: pa.int64()}
    """Columns that may be selected beside the table's, and their types."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._where: list[Expr] = []
        self._late: list[Expr] = []
        self._selection = Selection()
        self._order: list[Key] = []
        self._limit: int | None = None
        self._offset = 0
        self._with_row_id = False
        self._trace: Trace | None = None

    def __repr__(self) -> str:
        told = {
            "where": str(all_of(where)) if (where := [*self._where, *self._late]) else None,
            "select": self._selection.expressions or self._selection.names,
            "limit": self._limit,
            "offset": self._offset,
        }
        said = [repr(self._handle.name), *(f"{name}={v!r}" for name, v in told.items() if v)]
        return f"{type(self).__name__}({', '.join(said)})"

    # -- building -----------------------------------------------------------------------

    def where(
        self, /, where: Condition, *values: Any, prefilter: bool = True, **named: Any
    ) -> Self:
        """Keep rows that satisfy a condition; several calls are joined by AND.

        Example:
            ``table.search().where("price < ? AND name = :name", 10, name="it's")``

        Args:
            where: SQL over the table's columns, such as ``"price < 10"``, or an expression such as
                ``col("price") < 10``.
            *values: For each ``?`` in the SQL, in order. They never become part of the text.
            prefilter: Filter before searching, so that ``limit`` rows come back where there are
                that many. ``False`` filters the nearest rows, and may use ``_distance``.
            **named: For each ``:name`` in the SQL.
        """
        if values in ((True,), (False,)) and "?" not in str(where):
            raise ConfigurationError(
                f"Values are bound by position; prefilter goes by keyword: prefilter={values[0]}."
            )
        (self._where if prefilter else self._late).append(sql(where, *values, **named))
        return self

    def select(self, columns: Sequence[str] | Mapping[str, Condition] | None) -> Self:
        """Return only these columns, in this order; ``None`` for all.

        ``_distance`` of a search comes too, last where it is not named.

        Args:
            columns: Names, or expressions by the name they get: ``{"double": "price * 2"}``.
        """
        self._selection = Selection.of(columns)
        return self

    def order_by(
        self, column: Condition, *, ascending: bool = True, nulls_first: bool = False
    ) -> Self:
        """Sort the rows; a further call sorts those that are equal by the calls before.

        NaN is greater than all numbers. Rows that are equal in all stay in the order of the table.

        Args:
            column: Name of a column, or an expression such as ``"lower(name)"``.
            ascending: The least first.
            nulls_first: Rows without a value come first, not last.
        """
        self._order.append(Key(column, bool(ascending), bool(nulls_first)))
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

    # -- telling ------------------------------------------------------------------------

    def explain_plan(self) -> str:
        """Return what running the query will do, a line for each step; no provider is called."""
        with self._handle.snapshot() as snapshot:
            return explained(snapshot, self._plan(self._handle.columns(snapshot)))

    def analyze_plan(self) -> str:
        """Run the query and return what it did: rows, bytes and milliseconds of each step."""
        run = copy(self)
        run._trace = trace = Trace()
        with trace.step("all"):
            result = run.to_arrow()
        with self._handle.snapshot() as snapshot:
            plan = self._plan(self._handle.columns(snapshot))
            return analyzed(snapshot, plan, trace, result)

    def _plan(self, columns: Columns) -> Plan:
        return Plan(
            table=self._handle.name,
            columns=columns,
            where=self._predicate(columns),
            order=tuple(self._order),
            selection=self._selection,
            physical=tuple(self._projected(columns).physical),
            limit=self._limit,
            offset=self._offset,
        )

    def _step(self, name: str) -> AbstractContextManager[None]:
        return nullcontext() if self._trace is None else self._trace.step(name)

    # -- running ------------------------------------------------------------------------

    def to_arrow(self) -> pa.Table:
        """Run the query and return an Arrow table."""
        reader = self.to_batches()
        return pa.Table.from_batches(list(reader), schema=reader.schema)

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
            projection = self._projected(columns)
            added = [ROW_ID] if self._wants_row_id() else []
            # Where no column is read there is still a number of rows.
            counted = bool(added) or ROW_ID in projection.uses or not projection.physical
            query = ScanQuery(
                columns=projection.physical,
                predicate=self._predicate(columns),
                limit=self._limit,
                offset=self._offset,
                with_row_id=counted,
            )
            reader = self._rows(snapshot, columns, query)
            schema = columns.visible_schema(reader.schema)
            yield projection.shown_schema(schema, added)
            for batch in reader:
                read = pa.RecordBatch.from_arrays(batch.columns, schema=schema)
                shown = projection.shown(read, added)
                for start in range(0, shown.num_rows, batch_size or max(1, shown.num_rows)):
                    yield shown.slice(start, batch_size)

    def _rows(self, snapshot: Snapshot, columns: Columns, query: ScanQuery) -> pa.RecordBatchReader:
        if not self._order:
            return snapshot.scan(query)
        with self._step("sort"):
            ids = sorted_ids(snapshot, columns, query, self._order)
        schema = snapshot.scan(replace(query, limit=0)).schema
        return pa.RecordBatchReader.from_batches(schema, fetched(snapshot, query, ids))

    def _predicate(self, columns: Columns) -> Predicate | None:
        where = [*self._where, *self._late]
        return columns.predicate(all_of(where)) if where else None

    def _projected(self, columns: Columns) -> Projection:
        return self._selection.on(columns, self.computed)

    def _wants_row_id(self) -> bool:
        return self._with_row_id or ROW_ID in (self._selection.names or ())


class VectorSearch(Query):
    """The rows nearest to one query or several, nearest first, with ``_distance``.

    Example:
        ``table.search("greetings").metric("cosine").limit(3).to_pandas()``
    """

    computed: Mapping[str, pa.DataType] = {ROW_ID: pa.int64(), DISTANCE: pa.float32()}

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

    def order_by(
        self, column: Condition, *, ascending: bool = True, nulls_first: bool = False
    ) -> Self:
        """Refuse: the nearest come first. Sort what ``to_arrow`` returns."""
        raise ConfigurationError(
            "A search returns the nearest rows first. Sort its result, to_arrow().sort_by('name'), "
            "or read rows in order with search().order_by('name')."
        )

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
                with self._step("embed"):
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
        projection = self._projected(columns)
        query = VectorQuery(
            column=columns.names[column],
            vectors=vectors,
            k=cast("int", self._limit),
            metric=self._metric,
            offset=self._offset,
            predicate=self._predicate(columns),
            # A late filter may need other columns than those returned.
            columns=list(columns.names.values()) if self._late else projection.physical,
            distance_range=self._range,
            with_row_id=self._wants_row_id() or ROW_ID in projection.uses,
        )
        with self._step("search"):
            found = snapshot.search(query)
        results = [self._finished(each, columns, projection) for each in found]
        if not self._listed and (self._vectors is None or self._vectors.ndim == 1):
            return results[0]
        return pa.concat_tables(
            result.append_column("query_index", _repeated(number, result.num_rows))
            for number, result in enumerate(results)
        )

    def _finished(self, result: pa.Table, columns: Columns, projection: Projection) -> pa.Table:
        shown = pa.Table.from_arrays(result.columns, schema=columns.visible_schema(result.schema))
        if self._late:
            shown = rows_that_satisfy(shown, all_of(self._late))
        if self._selection == Selection():
            return shown
        added = [DISTANCE, ROW_ID] if self._wants_row_id() else [DISTANCE]
        batches = [projection.shown(batch, added) for batch in shown.to_batches()]
        schema = projection.shown_schema(shown.schema, added)
        return pa.Table.from_batches(batches, schema=schema)

    def _predicate(self, columns: Columns) -> Predicate | None:
        return columns.predicate(all_of(self._where)) if self._where else None

    def _plan(self, columns: Columns) -> Plan:
        plan, vectors = super()._plan(columns), self._vectors
        if vectors is None:
            binding = binding_for_input(columns, self._column, self._handle)
            column, count = binding.vector_column, len(self._inputs)
            embed = f"{count} {'inputs' if count > 1 else 'input'} with {binding.name!r}"
        else:
            column = column_for_vector(columns, self._column, vectors.shape[-1])
            count, embed = len(np.atleast_2d(vectors)), None
        late = all_of(self._late) if self._late else None
        return replace(
            plan, late=late, embed=embed, search=column, metric=self._metric, queries=count
        )


def _is_real(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not np.isnan(value)


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
