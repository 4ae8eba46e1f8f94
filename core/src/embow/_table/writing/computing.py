"""Columns that come in: empty ones, and ones computed from the rows that are there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Self

import pyarrow as pa

from embow._table.columns import Columns
from embow._table.entries import Shown, column_entries
from embow._table.incoming.conform import Conformer
from embow._table.names import free_name
from embow.engines.contract import ROW_ID, ScanQuery, Snapshot
from embow.engines.predicate import Predicate, evaluate_expression
from embow.engines.predicate._parse import parse_expression
from embow.errors import ConfigurationError, DataError, SchemaError
from embow.schema._columns import check_column_names

Values = Iterator[tuple[pa.Array, pa.Array]]
"""Row ids, and the values of these rows."""
Computing = Callable[[pa.RecordBatch], Any]


@dataclass(frozen=True, slots=True)
class NewColumn:
    """One column to add: null in every row, or what an expression or a function makes of it."""

    name: str
    made: pa.Field | str | Computing

    @classmethod
    def read(cls, new: Any) -> list[Self]:
        """Return the columns the user asked for.

        Raises:
            ConfigurationError: It is none of the forms that can be read.
            SchemaError: A column that may not be null is asked for.
        """
        if isinstance(new, pa.Field):
            new = [new]
        if isinstance(new, Mapping):
            added = [cls(name, made) for name, made in new.items()]
        elif isinstance(new, Iterable) and not isinstance(new, (str, bytes)):
            added = [cls(getattr(field, "name", ""), field) for field in new]
        else:
            added = []
        for each in added:
            if not isinstance(each.name, str) or not _can_be_made(each.made):
                raise ConfigurationError(f"{_FORMS} {each.made!r:.60} is none of these.")
            if isinstance(each.made, pa.Field) and not each.made.nullable:
                raise SchemaError(
                    f"Column {each.name!r} may not be null, and the rows that are there have no "
                    "value for it. Give an expression, such as "
                    f'add_columns({{"{each.name}": "0"}}), and then '
                    f'alter_columns({{"path": "{each.name}", "nullable": False}}).'
                )
        if not added:
            raise ConfigurationError(f"{_FORMS} {new!r:.60} is none of these.")
        return added

    def on(self, snapshot: Snapshot, columns: Columns) -> tuple[pa.Field, Values | None]:
        """Return the column as the user will see it, and its values in the rows of a snapshot.

        There are no values where it is null in every row.
        """
        if isinstance(self.made, pa.Field):
            return self.made, None
        if isinstance(self.made, str):
            return self._expression(self.made, snapshot, columns)
        return self._function(self.made, snapshot, columns)

    def _expression(
        self, sql: str, snapshot: Snapshot, columns: Columns
    ) -> tuple[pa.Field, Values]:
        seen = columns.visible
        used = Predicate(sql, parse_expression(sql, seen)).columns
        none = pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in seen], names=seen.names)
        field = self._field(evaluate_expression(sql, seen, none).type)
        rows = _scan(snapshot, columns, used)

        def values() -> Values:
            for row_ids, batch in rows:
                yield row_ids, self._fitted(evaluate_expression(sql, seen, batch), field, row_ids)

        return field, values()

    def _function(
        self, function: Computing, snapshot: Snapshot, columns: Columns
    ) -> tuple[pa.Field, Values]:
        rows = _scan(snapshot, columns, tuple(columns.names))
        computed = ((row_ids, _array(function(batch))) for row_ids, batch in rows)
        first = next(computed, None)
        if first is None:
            raise SchemaError(
                f"The type of column {self.name!r} cannot be told: the table has no rows to "
                f'compute it from. Say it: add_columns(pa.field("{self.name}", pa.int64())).'
            )
        field = self._field(first[1].type)

        def values() -> Values:
            for row_ids, array in chain([first], computed):
                yield row_ids, self._fitted(array, field, row_ids)

        return field, values()

    def _field(self, data_type: pa.DataType) -> pa.Field:
        if pa.types.is_null(data_type):
            raise SchemaError(
                f"The type of column {self.name!r} cannot be told: all its values are null. Say "
                'it, such as "CAST(NULL AS bigint)", or pass a pyarrow field or typed array.'
            )
        return pa.field(self.name, data_type)

    def _fitted(self, array: pa.Array, field: pa.Field, row_ids: pa.Array) -> pa.Array:
        if len(array) != len(row_ids):
            raise DataError(
                f"The function of column {self.name!r} returned {len(array)} values for "
                f"{len(row_ids)} rows. It must return one for each."
            )
        try:
            return array.cast(field.type)
        except pa.ArrowException as exc:
            raise DataError(
                f"Column {self.name!r} is {field.type} by its first values, and {array.type} "
                f"came later: {exc}"
            ) from exc


def widened(columns: Columns, fields: Iterable[pa.Field]) -> tuple[Columns, list[pa.Field]]:
    """Return columns with those behind that they lack, and the physical ones that come in."""
    lacking = [field for field in fields if field.name not in columns.names]
    if not lacking:
        return columns, []
    check_column_names([*columns.names, *(each.name for each in lacking)], "The table")
    shown, new, taken = columns.shown, [], set(columns.taken)
    for field in lacking:
        physical = free_name(field.name, taken)
        taken.add(physical)
        shown.append(Shown(field, physical))
        new.append(field.with_name(physical).with_nullable(True))
    metadata = {**columns.metadata, **column_entries(shown, columns.stored)}
    return Columns.read(pa.schema([*columns.stored, *new]), metadata), new


def cast_values(
    snapshot: Snapshot, shown: Shown, target: pa.Field, physical: str
) -> Iterator[pa.RecordBatch]:
    """Yield the values of a column in its new type, under its new physical name."""
    conformer, first_row = Conformer(pa.schema([target])), 0
    for batch in snapshot.scan(ScanQuery(columns=[shown.physical], with_row_id=True)):
        old = batch.select([shown.physical]).rename_columns([target.name])
        new = conformer.fit(old, first_row).column(0)
        first_row += batch.num_rows
        yield pa.RecordBatch.from_arrays([batch.column(ROW_ID), new], [ROW_ID, physical])


def called_values(values: Values, physical: str) -> Iterator[pa.RecordBatch]:
    """Yield values with their row ids as a column is written."""
    for row_ids, column in values:
        yield pa.RecordBatch.from_arrays([row_ids, column], [ROW_ID, physical])


_FORMS = (
    'add_columns takes {"name": "SQL expression"}, {"name": function of a RecordBatch}, a pyarrow '
    "field, a list of fields or a schema."
)


def _can_be_made(made: Any) -> bool:
    return isinstance(made, (pa.Field, str)) or callable(made)


def _scan(
    snapshot: Snapshot, columns: Columns, names: Iterable[str]
) -> Iterator[tuple[pa.Array, pa.RecordBatch]]:
    """Yield row ids and visible columns."""
    physical = [columns.physical(name) for name in names]
    for batch in snapshot.scan(ScanQuery(columns=physical, with_row_id=True)):
        row_ids = batch.column(ROW_ID)
        seen = columns.to_visible(batch)
        yield (
            row_ids,
            seen.select([name for name in seen.schema.names if name != ROW_ID] or [ROW_ID]),
        )


def _array(values: Any) -> pa.Array:
    """Return what a function made as one array."""
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks()
    return values if isinstance(values, pa.Array) else pa.array(values)
