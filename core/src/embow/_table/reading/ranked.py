"""What every search has in common: rows that were found, the best first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Self

import pyarrow as pa

from embow._table.columns import Columns
from embow._table.reading.projection import Projection, Selection
from embow._table.reading.query import Query
from embow._table.reading.results import rows_that_satisfy
from embow.engines.contract import ROW_ID
from embow.engines.predicate import Predicate
from embow.errors import ConfigurationError
from embow.expr import Condition, all_of

DEFAULT_LIMIT = 10


class RankedQuery(Query):
    """Rows that a search found, the best first, with what tells how good they are."""

    _ranked_by: ClassVar[str]
    """Column that says how good a row is."""

    def order_by(
        self, column: Condition, *, ascending: bool = True, nulls_first: bool = False
    ) -> Self:
        """Refuse: the best come first. Sort what ``to_arrow`` returns."""
        raise ConfigurationError(
            "A search returns the nearest rows first. Sort its result, to_arrow().sort_by('name'), "
            "or read rows in order with search().order_by('name')."
        )

    def _scanned(self, batch_size: int | None) -> Iterator[Any]:
        found = self.to_arrow()
        yield found.schema
        yield from found.to_batches(max_chunksize=batch_size)

    def _read(self, columns: Columns, projection: Projection) -> list[str]:
        """Return the stored columns to read of what was found."""
        # A late filter may need other columns than those returned.
        return list(columns.names.values() if self._late else projection.physical)

    def _finished(self, result: pa.Table, columns: Columns, projection: Projection) -> pa.Table:
        shown = pa.Table.from_arrays(result.columns, schema=columns.visible_schema(result.schema))
        if self._late:
            shown = rows_that_satisfy(shown, all_of(self._late))
        if self._selection == Selection():
            return shown
        added = [self._ranked_by, ROW_ID] if self._wants_row_id() else [self._ranked_by]
        batches = [projection.shown(batch, added) for batch in shown.to_batches()]
        schema = projection.shown_schema(shown.schema, added)
        return pa.Table.from_batches(batches, schema=schema)

    def _predicate(self, columns: Columns) -> Predicate | None:
        return columns.predicate(all_of(self._where)) if self._where else None
