"""Fit a batch of the user's rows to the table's schema, or say which row and column do not fit.

Called by the modules that write. Reads no function and writes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from embow._table.incoming.inference import vector_columns
from embow._table.incoming.vectors import BadVectorPolicy, as_mask, fit_vectors
from embow._table.names import unknown_column
from embow.engines.contract import is_vector
from embow.errors import DataError, MissingColumnError
from embow.schema._arrays import array_of


@dataclass(frozen=True, slots=True)
class Conformer:
    """Fits batches to one schema.

    Attributes:
        schema: Columns the user sees, in order.
        filled: Vector columns the pipeline will fill; they may be absent.
        policy: What to do with bad vectors the user brought.
    """

    schema: pa.Schema
    filled: Collection[str] = ()
    policy: BadVectorPolicy = field(default_factory=BadVectorPolicy)

    def fit(self, batch: pa.RecordBatch, first_row: int = 0) -> pa.RecordBatch:
        """Return the batch with exactly the columns of the schema, in its types.

        Args:
            batch: Rows as read from the user's data.
            first_row: Position of its first row in that data, for messages.

        Raises:
            UnknownColumnError: The batch has a column the table does not.
            MissingColumnError: A column that may not be null is absent.
            BadVectorError: A vector is bad and the policy is ``error``.
            DataError: A value does not fit its column.
        """
        check_columns(batch.schema.names, self.schema.names)
        vectors = vector_columns(self.schema, self.filled, self.policy.mode)
        keep = np.ones(batch.num_rows, dtype=np.bool_)
        columns = []
        for target in self.schema:
            policy = self.policy if target.name in vectors else None
            column, kept = self._fit_column(batch, target, first_row, policy)
            keep &= kept
            columns.append(column)
        fitted = pa.RecordBatch.from_arrays(columns, schema=self._nullable_schema())
        fitted = fitted if keep.all() else fitted.filter(as_mask(keep))
        self._refuse_nulls(fitted, first_row)
        return fitted

    def _fit_column(
        self,
        batch: pa.RecordBatch,
        target: pa.Field,
        first_row: int,
        policy: BadVectorPolicy | None,
    ) -> tuple[pa.Array, NDArray[np.bool_]]:
        keep = np.ones(batch.num_rows, dtype=np.bool_)
        position = batch.schema.get_field_index(target.name)
        if position < 0:
            if not target.nullable and target.name not in self.filled:
                raise MissingColumnError(
                    f"Column {target.name!r} is missing from the rows and may not be null. "
                    f"The rows have: {', '.join(batch.schema.names) or 'no columns'}."
                )
            return pa.nulls(batch.num_rows, target.type), keep
        column = batch.column(position)
        if is_vector(target.type):
            if column.null_count == len(column):
                return pa.nulls(batch.num_rows, target.type), keep
            return fit_vectors(column, target, first_row, policy)
        return _cast(column, target, first_row), keep

    def _nullable_schema(self) -> pa.Schema:
        return pa.schema([f.with_nullable(True) for f in self.schema])

    def _refuse_nulls(self, batch: pa.RecordBatch, first_row: int) -> None:
        for target, column in zip(self.schema, batch.columns, strict=True):
            if column.null_count and not target.nullable and target.name not in self.filled:
                raise _is_missing(first_row + first_null(column), target.name)


def _is_missing(row: int, path: str) -> DataError:
    return DataError(
        f"Row {row}, column {path!r}: the value is missing, and the column may not be null. Give "
        "it a value, or declare the field Optional."
    )


def _missing(column: pa.Array, field: pa.Field) -> tuple[int, str] | None:
    """Return the first row that lacks a value it needs, at any depth, and the path to it."""
    if not field.nullable and column.null_count:
        return first_null(column), field.name
    if not _needs_values(field.type):
        return None
    for child, values, rows in _children(column, field.type):
        if found := _missing(values, child):
            row, path = found
            # The items of a list, and the entries of a map, have no name that users know.
            below = path if pa.types.is_struct(column.type) else path.partition(".")[2]
            return int(rows[row].as_py()), ".".join(filter(None, (field.name, below)))
    return None


@cache
def _needs_values(data_type: pa.DataType) -> bool:
    """Return whether a nested type has a field that may not be null."""
    nested = [data_type.field(i) for i in range(data_type.num_fields)]
    return any(not each.nullable or _needs_values(each.type) for each in nested)


def _children(
    column: pa.Array, wanted: pa.DataType
) -> Iterator[tuple[pa.Field, pa.Array, pa.Array]]:
    """Yield the fields wanted below a column, their values, and the row each value belongs to."""
    if pa.types.is_struct(wanted):
        rows = pc.indices_nonzero(column.is_valid())
        for field, values in zip(wanted, column.take(rows).flatten(), strict=True):
            yield field, values, rows
    elif pa.types.is_map(wanted):
        pairs = pa.struct([column.type.key_field, column.type.item_field])
        entry = pa.field("entries", pa.struct([wanted.key_field, wanted.item_field]), False)
        listed = column.cast(pa.list_(pa.field("entries", pairs, nullable=False)))
        yield entry, listed.flatten(), pc.list_parent_indices(listed)
    elif hasattr(wanted, "value_field"):
        yield wanted.value_field, column.flatten(), pc.list_parent_indices(column)


def first_null(column: pa.Array) -> int:
    """Return the position of the first null."""
    return int(pc.index(column.is_valid(), pa.scalar(False)).as_py())


def check_columns(names: Sequence[str], known: Sequence[str]) -> None:
    """Refuse a column name the table does not have, and one given twice.

    Raises:
        UnknownColumnError: The message suggests the nearest name.
    """
    there = frozenset(known)
    for name in names:
        if name not in there:
            raise unknown_column(name, known, known)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"Column {twice!r} is given twice.")


def _cast(column: pa.Array, target: pa.Field, first_row: int) -> pa.Array:
    """Cast a column to its type in the table, naming the first row that does not fit."""
    try:
        # Arrow refuses nulls inside in words of its own, or even where there could be some.
        loose = column
        if column.type != target.type:
            loose = _decoded(column, target.type).cast(_loose(target.type))
        if missing := _missing(loose, target.with_nullable(True)):
            raise _is_missing(first_row + missing[0], missing[1])
        return loose if loose.type == target.type else _strict(loose, target.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as exc:
        row, value = _first_unfit(column, target)
        where = f"Row {first_row + row}, column" if row is not None else "Column"
        raise DataError(
            f"{where} {target.name!r}: {value} does not fit type {target.type}."
        ) from exc


@cache
def _loose(data_type: pa.DataType) -> pa.DataType:
    """Return a type in which every nested value may be null."""

    def loosened(field: pa.Field) -> pa.Field:
        return field.with_type(_loose(field.type)).with_nullable(True)

    if pa.types.is_struct(data_type):
        return pa.struct([loosened(field) for field in data_type])
    if pa.types.is_map(data_type):
        return pa.map_(data_type.key_type, loosened(data_type.item_field))
    if pa.types.is_fixed_size_list(data_type):
        return pa.list_(loosened(data_type.value_field), data_type.list_size)
    if pa.types.is_list(data_type):
        return pa.list_(loosened(data_type.value_field))
    if pa.types.is_large_list(data_type):
        return pa.large_list(loosened(data_type.value_field))
    return data_type


def _strict(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Return values that lack nothing in the type that says so."""
    try:
        return column.view(wanted)
    except pa.ArrowInvalid:  # Below a null list of fixed size there are nulls.
        return array_of(column.to_pylist(), wanted)


def _decoded(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Return dictionary values as plain ones where plain ones are wanted.

    Arrow casts no dictionary of views, which is what categories of polars are.
    """
    if not pa.types.is_dictionary(column.type) or pa.types.is_dictionary(wanted):
        return column
    return column.dictionary.cast(wanted).take(column.indices)


def _first_unfit(column: pa.Array, target: pa.Field) -> tuple[int | None, str]:
    for row in range(len(column)):
        try:
            _decoded(column.slice(row, 1), target.type).cast(target.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
            return row, f"{column[row].as_py()!r:.60}"
    return None, f"type {column.type}"
