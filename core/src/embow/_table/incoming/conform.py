"""Fit a batch of the user's rows to the table's schema, or say which row and column do not fit.

Called by the modules that write. Reads no function and writes nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache, lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from embow._table.incoming.inference import vector_columns
from embow._table.incoming.vectors import BadVectorPolicy, as_mask, fit_vectors
from embow._table.names import unknown_column
from embow.engines.contract import vector_kind
from embow.errors import DataError, MissingColumnError
from embow.schema._arrays import array_of
from embow.schema._cells import CellError


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
        check_columns(tuple(batch.schema.names), tuple(self.schema.names))
        vectors = vector_columns(self.schema, tuple(self.filled), self.policy.mode)
        keep = np.ones(batch.num_rows, dtype=np.bool_)
        columns = []
        for target in self.schema:
            policy = self.policy if target.name in vectors else None
            column, kept = self._fit_column(batch, target, first_row, policy)
            keep &= kept
            columns.append(column)
        fitted = pa.RecordBatch.from_arrays(columns, schema=_nullable(self.schema))
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
        kind = vector_kind(target.type)
        # Lists of lists that are no vectors, such as points, may hold nulls.
        if kind is not None and (policy is not None or not kind.multi):
            if column.null_count == len(column):
                return pa.nulls(batch.num_rows, target.type), keep
            return fit_vectors(column, target, first_row, policy)
        if column.type == target.type and not _needs_values(target.type):
            return column, keep
        return _cast(column, target, first_row), keep

    def _refuse_nulls(self, batch: pa.RecordBatch, first_row: int) -> None:
        for target, column in zip(self.schema, batch.columns, strict=True):
            if column.null_count and not target.nullable and target.name not in self.filled:
                raise DataError(
                    f"Row {first_row + first_null(column)}, column {target.name!r}: the value is "
                    "missing, and the column may not be null. Give it a value, or declare the "
                    "field Optional."
                )


@lru_cache(maxsize=64)
def _nullable(schema: pa.Schema) -> pa.Schema:
    return pa.schema([f.with_nullable(True) for f in schema])


def first_null(column: pa.Array) -> int:
    """Return the position of the first null."""
    return int(pc.index(column.is_valid(), pa.scalar(False)).as_py())


@lru_cache(maxsize=256)
def check_columns(names: tuple[str, ...], known: tuple[str, ...]) -> None:
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
        cast = column
        if column.type != target.type:
            cast = _decoded(column, target.type).cast(target.type)
        if not (_needs_values(target.type) and _holds_nulls(cast)):
            return cast
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        pass  # Value by value some fit all the same, and of the others the first is named.
    try:
        return array_of(column.to_pylist(), target.type)
    except CellError as exc:
        path = ".".join((target.name, *exc.path))
        raise DataError(
            f"Row {first_row + exc.position}, column {path!r}: {exc.reason}; the column is "
            f"{target.type}, and {column.type} was given."
        ) from exc


@cache
def _needs_values(data_type: pa.DataType) -> bool:
    """Return whether a nested type has a field that may not be null."""
    nested = [data_type.field(i) for i in range(data_type.num_fields)]
    return any(not each.nullable or _needs_values(each.type) for each in nested)


def _holds_nulls(column: pa.Array) -> bool:
    """Return whether there is a null anywhere inside a nested column."""
    nested = [column.values] if hasattr(column, "values") else []
    if pa.types.is_struct(column.type):
        nested = [column.field(i) for i in range(column.type.num_fields)]
    return any(each.null_count or _holds_nulls(each) for each in nested)


def _decoded(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Return dictionary values as plain ones where plain ones are wanted.

    Arrow casts no dictionary of views, which is what categories of polars are.
    """
    if not pa.types.is_dictionary(column.type) or pa.types.is_dictionary(wanted):
        return column
    return column.dictionary.cast(wanted).take(column.indices)
