"""Batches of rows: made to fit a schema, and read by row id."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, closing, nullcontext

import numpy as np
import pyarrow as pa

from embow.engines.contract._columns import check_columns
from embow.engines.contract._records import ROW_ID
from embow.engines.indexes import RowIds
from embow.errors import DataError, MissingColumnError, SchemaError


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch with the columns of a schema, in its order.

    Columns may come in any order; nullable ones may be missing.

    Raises:
        UnknownColumnError: The schema has no such column.
        SchemaError: A column has another type.
        DataError: A null in a column that must not have one.
    """
    check_columns(schema, batch.schema.names)
    arrays = []
    for field in schema:
        index = batch.schema.get_field_index(field.name)
        array = pa.nulls(batch.num_rows, field.type) if index < 0 else batch.column(index)
        fits = array.type == field.type and (field.nullable or not array.null_count)
        arrays.append(array if fits else _conformed(array, field))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def conform_values(field: pa.Field, batches: Iterable[pa.RecordBatch]) -> Generator[pa.RecordBatch]:
    """Yield batches of the row id and one column.

    Raises:
        SchemaError: The values are of another type.
        MissingColumnError: A batch lacks one of the two columns.
    """
    schema = pa.schema([pa.field(ROW_ID, pa.int64()), field])
    with ending(batches):
        for batch in batches:
            for name in schema.names:
                if name not in batch.schema.names:
                    raise MissingColumnError(
                        f"Batches for a new column need the columns '{ROW_ID}' and "
                        f"'{field.name}'; '{name}' is missing."
                    )
            yield conform(batch.select(schema.names), schema)


def _conformed(array: pa.Array, field: pa.Field) -> pa.Array:
    if array.null_count and not field.nullable:
        raise DataError(
            f"Column '{field.name}' must not be null, but {array.null_count} of "
            f"{len(array)} rows have no value."
        )
    wrong = SchemaError(f"Column '{field.name}' is {field.type}; the rows have {array.type}.")
    if array.type.id != field.type.id:
        raise wrong
    try:
        return array.cast(field.type)  # Details such as the names of items may differ.
    except pa.ArrowException as exc:
        raise wrong from exc


def ending(batches: Iterable[object]) -> AbstractContextManager[object]:
    """Return what closes a generator of batches on leaving, so that what feeds it ends at once."""
    return closing(batches) if isinstance(batches, Generator) else nullcontext()


def row_ids_of(batch: pa.RecordBatch) -> RowIds:
    """Return the ``_rowid`` column of a batch as numbers."""
    column = batch.column(batch.schema.get_field_index(ROW_ID))
    data = np.frombuffer(column.buffers()[1] or b"", np.int64)
    return data[column.offset : column.offset + len(column)]
