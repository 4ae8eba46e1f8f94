"""Whatever a user hands to ``add``, as a stream of Arrow record batches.

Called by ``ingest`` and ``Database.create_table``. Knows shapes of data, not the meaning of
columns: fitting batches to a table's schema is ``conform``'s work.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from embow._table.incoming.frames import pandas_batches
from embow._table.incoming.inference import inferred_schema
from embow._table.incoming.mending import mended_rows, with_defaults
from embow._table.incoming.rows import rows_to_batch
from embow.errors import DataError

BATCH_ROWS = 8192
"""Rows of one batch: enough to fill provider requests, few enough to keep memory flat."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How data are read.

    Attributes:
        schema: The table's schema where it is known; guides the reading of Python values.
        defaults: Values of columns that rows leave out.
        odd: Where given, text that is no Unicode is mended, and this tells of the batch that came
            last which rows held such text, and in which column.
    """

    schema: pa.Schema | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    odd: dict[int, str] | None = None


def iter_batches(data: Any, how: Reading) -> Iterator[pa.RecordBatch]:
    """Yield the data as record batches of at most ``BATCH_ROWS`` rows.

    Args:
        data: A list or generator of dicts or pydantic objects, a dict of columns, one dict of
            lists in a list, a pandas or polars frame, anything that speaks the Arrow C stream
            protocol, an Arrow table, batch, reader or dataset, or an iterable of these.
        how: What is known of the table.

    Raises:
        DataError: The data is of no kind that can be read; the message says what to pass.
    """
    if data is None:
        return iter(())
    batches = _known_batches(data, how.schema)
    if batches is not None:
        return (with_defaults(batch, how.schema, how.defaults) for batch in batches)
    if isinstance(data, Mapping):
        return _iter_rows(iter(_rows_of_columns(data)), how)
    if isinstance(data, Iterable) and not isinstance(data, (str, bytes, bytearray)):
        return _iter_items(data, how)
    raise DataError(_unreadable(data))


def new_fields(data: Any, known: pa.Schema) -> tuple[list[pa.Field], Any]:
    """Return the columns of the first rows that are not known, and the data to be read again.

    Raises:
        SchemaError: The type of one cannot be read off its values.
        DataError: The data is of no kind that can be read.
    """
    batches = iter_batches(data, Reading())
    first = next(batches, None)
    if first is None:
        return [], data
    names = [name for name in first.schema.names if name not in known.names]
    found = [field.with_nullable(True) for field in inferred_schema(first.select(names))]
    return found, itertools.chain([first], batches) if is_read_once(data) else data


def is_read_once(data: Any) -> bool:
    """Return whether data are gone once they have been read."""
    return isinstance(data, (Iterator, pa.RecordBatchReader))


def count_rows(data: Any) -> int | None:
    """Return how many rows the data holds, ``None`` where that shows only when it is read."""
    if isinstance(data, (pa.RecordBatch, pa.Table)):
        return int(data.num_rows)
    if type(data).__module__.partition(".")[0] in ("pandas", "polars"):
        return len(data) if hasattr(data, "__len__") else None
    if not isinstance(data, (list, tuple)) or not data or hasattr(data[0], "__arrow_c_array__"):
        return None
    columns = len(data) == 1 and isinstance(data[0], Mapping)  # one dict of lists in a list
    return None if columns or hasattr(data[0], "__arrow_c_stream__") else len(data)


def _known_batches(data: Any, schema: pa.Schema | None) -> Iterable[pa.RecordBatch] | None:
    """Return batches of objects that hold columns already, ``None`` for all else."""
    if isinstance(data, pa.RecordBatch):
        return _slices(data)
    if isinstance(data, pa.Table):
        return _table_batches(data)
    if isinstance(data, pa.RecordBatchReader):
        return _reader_batches(data)
    library = type(data).__module__.partition(".")[0]
    if library == "pandas":
        return pandas_batches(data, schema, BATCH_ROWS)
    if library == "polars" and hasattr(data, "collect"):
        data = data.collect()
    if hasattr(data, "__arrow_c_stream__"):
        return _reader_batches(pa.RecordBatchReader.from_stream(data))
    if hasattr(data, "to_batches"):
        return itertools.chain.from_iterable(map(_slices, data.to_batches()))
    return None


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """Return all rows as one batch, of no rows where there are none."""
    batches = table.combine_chunks().to_batches()
    none = [pa.nulls(0, f.type) for f in table.schema]
    return batches[0] if batches else pa.RecordBatch.from_arrays(none, names=table.schema.names)


def _slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for start in range(0, batch.num_rows, BATCH_ROWS):
        yield batch.slice(start, BATCH_ROWS)


def _table_batches(table: pa.Table) -> Iterator[pa.RecordBatch]:
    return iter(table.to_batches(max_chunksize=BATCH_ROWS))


def _reader_batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    for batch in reader:
        yield from _slices(batch)


def _iter_items(items: Iterable[Any], how: Reading) -> Iterator[pa.RecordBatch]:
    """Yield batches of an iterable whose items are rows or hold columns themselves."""
    iterator = iter(items)
    start = list(itertools.islice(iterator, 1))
    if not start:
        return
    first, rest = start[0], itertools.chain(start, iterator)
    if isinstance(first, Mapping) or hasattr(first, "model_dump"):
        rows = _explode(items, how.schema) if isinstance(items, Sequence) else None
        yield from _iter_rows(rest if rows is None else iter(rows), how)
        return
    for item in rest:
        if item is None or isinstance(item, (str, bytes, int, float)):
            raise DataError(_unreadable(items))
        yield from iter_batches(item, how)


def _iter_rows(rows: Iterator[Any], how: Reading) -> Iterator[pa.RecordBatch]:
    """Yield batches of rows; without a schema the first batch fixes the types of the rest."""
    first_row, schema = 0, how.schema
    while chunk := list(itertools.islice(rows, BATCH_ROWS)):
        try:
            batch = rows_to_batch(chunk, schema, first_row, how.defaults)
        except DataError:
            mended, odd = mended_rows(chunk) if how.odd is not None else (chunk, {})
            if how.odd is None or not odd:
                raise
            how.odd.update(odd)
            batch = rows_to_batch(mended, schema, first_row, how.defaults)
        if schema is None:
            schema = batch.schema
        first_row += len(chunk)
        yield with_defaults(batch, schema, how.defaults) if how.defaults else batch
        if how.odd:
            how.odd.clear()


def _explode(items: Sequence[Any], schema: pa.Schema | None) -> list[dict[str, Any]] | None:
    """Return the rows of ``[{"a": [1, 2], "b": [3, 4]}]``, one dict whose values are columns.

    Only where the schema says that these columns hold single values, so that one real row with
    lists in it is never taken apart.
    """
    if schema is None or len(items) != 1 or not isinstance(items[0], Mapping) or not items[0]:
        return None
    columns = items[0]
    for value in columns.values():
        if not isinstance(value, (list, tuple)):
            return None
    scalar = [
        n for n in columns if n in schema.names and not hasattr(schema.field(n).type, "value_field")
    ]
    if not scalar:
        return None
    return _columns_to_rows(columns)


def _columns_to_rows(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"The columns have different lengths: {lengths}.")
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _rows_of_columns(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a dict of columns as rows."""
    scalars = [
        n for n, v in columns.items() if isinstance(v, (str, bytes)) or not hasattr(v, "__len__")
    ]
    if scalars or not columns:
        raise DataError(
            "A dict given to add is read as columns, and "
            + (f"{scalars[0]!r} is a single value. " if scalars else "this one is empty. ")
            + "For one row pass a list: add([{...}])."
        )
    lists = {n: v.to_pylist() if hasattr(v, "to_pylist") else v for n, v in columns.items()}
    return _columns_to_rows(lists)


def _unreadable(data: Any) -> str:
    kind = type(data).__name__
    hint = (
        "Use a list: add([row])."
        if hasattr(data, "model_dump")
        else (
            "Pass a list of dicts or model objects, a dict of columns, a pandas or polars frame, "
            "an Arrow table or reader, or a generator of these."
        )
    )
    return f"Data of type {kind} cannot be added. {hint}"
