"""Rows on their way into Lance: checked, and failing with what their source raised."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from embow.engines.contract import check_columns
from embow.errors import DataError, SchemaError


class Source:
    """Batches handed to Lance, which keeps of an error that they raise only its text.

    Args:
        batches: The batches; a generator is closed at the end.
        schema: What comes out.
        fit: Makes a batch fit that schema, or refuses it.
    """

    def __init__(
        self,
        batches: Iterable[pa.RecordBatch],
        schema: pa.Schema,
        fit: Callable[[pa.RecordBatch, pa.Schema], pa.RecordBatch],
    ) -> None:
        self.rows = 0
        self._batches = batches
        self._schema = schema
        self._fit = fit
        self._error: BaseException | None = None

    @contextmanager
    def readers(self, rows: int | None = None) -> Iterator[Iterator[pa.RecordBatchReader]]:
        """Give readers of all batches, one for about so many rows; at least one.

        On leaving, what the source raised is raised.
        """
        try:
            yield (pa.RecordBatchReader.from_batches(self._schema, p) for p in self._parts(rows))
        except BaseException:
            if self._error is not None:
                raise self._error from None
            raise
        finally:
            if isinstance(self._batches, Generator):
                self._batches.close()

    def _parts(self, rows: int | None) -> Iterator[Iterator[pa.RecordBatch]]:
        batches = self._read()
        first = next(batches, None)
        if first is None:
            yield iter(())
        while first is not None:
            yield _part(first, batches, rows)
            first = next(batches, None)

    def _read(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._batches:
                fitted = _whole(self._fit(batch, self._schema))
                self.rows += fitted.num_rows
                yield fitted
        except BaseException as error:
            self._error = error
            raise


def _whole(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch whose structs begin where their buffers do: Lance fails on lists in others."""
    arrays = [
        array.take(pa.array(range(len(array)), pa.int64()))
        if array.offset and pa.types.is_struct(array.type)
        else array
        for array in batch.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)


def _part(
    first: pa.RecordBatch, batches: Iterator[pa.RecordBatch], rows: int | None
) -> Iterator[pa.RecordBatch]:
    yield first
    count = first.num_rows
    while rows is None or count < rows:
        batch = next(batches, None)
        if batch is None:
            return
        yield batch
        count += batch.num_rows


def fit(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch with the columns of a schema, in its order; nullable ones may be missing.

    Raises:
        UnknownColumnError: The batch has a column that the schema has not.
        SchemaError: A column has another type.
        DataError: A null in a column that must not have one.
    """
    check_columns(schema, batch.schema.names)
    arrays = []
    for field in schema:
        index = batch.schema.get_field_index(field.name)
        array = pa.nulls(batch.num_rows, field.type) if index < 0 else batch.column(index)
        if array.null_count and not field.nullable:
            raise DataError(
                f"Column '{field.name}' must not be null, but {array.null_count} of "
                f"{batch.num_rows} rows have no value."
            )
        arrays.append(fit_array(array, field))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def fit_array(array: pa.Array, field: pa.Field) -> pa.Array:
    """Return an array in a field's type; only details such as the names of items may differ.

    Raises:
        SchemaError: It has another type.
    """
    if array.type == field.type:
        return array
    why = f"Column '{field.name}' is {field.type}; the rows have {array.type}."
    if array.type.id != field.type.id:
        raise SchemaError(why)
    try:
        return array.cast(field.type)
    except pa.ArrowException as exc:
        raise SchemaError(why) from exc
