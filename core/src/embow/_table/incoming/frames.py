"""Frames of pandas as Arrow record batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from embow._table.incoming.rows import lenient_field
from embow.engines.contract import vector_kind
from embow.errors import DataError
from embow.schema._arrays import array_of
from embow.schema._cells import CellError


def pandas_batches(data: Any, schema: pa.Schema | None, max_rows: int) -> Iterator[pa.RecordBatch]:
    """Return batches of a frame.

    Args:
        data: The frame.
        schema: The table's, where it is known: its vectors are read from Python objects faster
            than Arrow reads them.
        max_rows: Rows of one batch.

    Raises:
        DataError: It is no frame, or Arrow cannot read it.
    """
    if not hasattr(data, "columns"):
        raise DataError(
            f"A pandas {type(data).__name__} has no named columns; pass a DataFrame, for example "
            "series.to_frame('text')."
        )
    vectors = _vector_fields(data, schema)
    others = data.drop(columns=[field.name for field in vectors]) if vectors else data
    try:
        table = pa.Table.from_pandas(others, preserve_index=False)
    except (pa.ArrowException, ValueError, TypeError) as exc:
        raise _unreadable(exc) from exc
    return _with_vectors(table, data, vectors, max_rows)


def _vector_fields(data: Any, schema: pa.Schema | None) -> list[pa.Field]:
    """Return the vector columns that hold Python objects, as lists; none where all are such."""
    if schema is None or not data.columns.is_unique:
        return []
    objects = {name for name, kind in data.dtypes.items() if str(kind) == "object"}
    found = [field for field in schema if field.name in objects and vector_kind(field.type)]
    lists = list(map(lenient_field, found))
    return lists if len(lists) < len(data.columns) else []


def _with_vectors(
    table: pa.Table, data: Any, vectors: list[pa.Field], max_rows: int
) -> Iterator[pa.RecordBatch]:
    start = 0
    for batch in table.to_batches(max_chunksize=max_rows):
        for field in vectors:
            values = data[field.name].iloc[start : start + batch.num_rows]
            try:
                array = array_of(values.tolist(), field.type)
            except CellError:
                array = _read(values)
            batch = batch.append_column(field.name, array)
        yield batch
        start += batch.num_rows


def _read(values: Any) -> pa.Array:
    """Return objects as Arrow reads them, such as NaN for what is missing."""
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, ValueError, TypeError) as exc:
        raise _unreadable(exc) from exc


def _unreadable(exc: Exception) -> DataError:
    cause = ". ".join(str(part).rstrip(".") for part in exc.args)
    return DataError(f"The DataFrame cannot be read as Arrow columns: {cause}.")
