"""The query builder: what ``table.search(...)`` returns.

A query is a description until a terminal method (``to_list`` and its like) runs it, on one snapshot
of the table. Every builder method returns the query itself, so that calls chain.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pyarrow as pa

from embow._table.columns import Columns
from embow._table.handle import Handle
from embow._table.reading.explain import Plan, Trace, analyzed, explained
from embow._table.reading.order import Key, fetched, sorted_ids
from embow._table.reading.projection import Projection, Selection
from embow._table.reading.results import Results
from embow.engines.contract import ROW_ID, RowIds, ScanQuery, Snapshot
from embow.engines.predicate import Predicate
from embow.errors import ConfigurationError
from embow.expr import Condition, Expr, all_of, sql


class Query(Results):
    """Rows of a table, all or those that satisfy a filter.

    Example:
        ``table.search().where("price < 10").select(["name"]).limit(5).to_list()``
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._where: list[Expr] = []
        self._late: list[Expr] = []
        self._selection = Selection()
        self._order: list[Key] = []
        self._limit: int | None = None
        self._offset = 0
        self._with_row_id = False
        self._ids: RowIds | None = None
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
        self._limit = whole_number("limit", limit, least=0) if limit is not None else None
        return self

    def offset(self, offset: int) -> Self:
        """Leave out so many rows first."""
        self._offset = whole_number("offset", offset, least=0)
        return self

    def row_ids(self, ids: Iterable[int]) -> Self:
        """Take only the rows of these ids, which ``with_row_id`` returned.

        They come in the order of the ids unless the query has one of its own. An id that is gone is
        left out: a row that is changed gets a new one.
        """
        try:
            given = np.fromiter(map(operator.index, ids), np.int64)
        except (TypeError, OverflowError) as exc:
            raise ConfigurationError(f"row_ids takes whole numbers, not {ids!r:.60}.") from exc
        self._ids = given
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
            whole_number("batch_size", batch_size, least=1)
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
                row_ids=self._ids,
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

    @property
    def computed(self) -> Mapping[str, pa.DataType]:
        """Columns that may be selected beside the table's, and their types."""
        return {ROW_ID: pa.int64()}

    def _wants_row_id(self) -> bool:
        return self._with_row_id or ROW_ID in (self._selection.names or ())


_MANY = 2**60
"""More rows than there can be; twice that is still a number of the machine's."""


def whole_number(name: str, value: Any, *, least: int) -> int:
    """Return an argument that is a whole number, refusing any other."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ConfigurationError(
            f"{name} must be a whole number of at least {least}, not {value!r}."
        )
    return min(int(value), _MANY)
