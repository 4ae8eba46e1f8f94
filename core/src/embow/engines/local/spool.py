"""Values by row id, kept in an unnamed file while a column is being added."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines.base import ROW_ID
from embow.engines.local.blocks import Block, conform_array
from embow.engines.local.failures import storing
from embow.engines.local.scan import int64_array
from embow.engines.local.vectors import mask_of
from embow.errors import MissingColumnError


@dataclass(frozen=True, slots=True)
class Values:
    """Spooled values of one column.

    Attributes:
        row_ids: Ids that have a value, ascending; of equal ones the last counts.
        places: Where their values stand, counted over all batches.
        pieces: The values, mapped.
        starts: Place of the first value of each piece.
        type: Type of the column.
    """

    row_ids: NDArray[np.int64]
    places: NDArray[np.intp]
    pieces: list[pa.Array]
    starts: NDArray[np.intp]
    type: pa.DataType

    def has(self, row_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which rows have a value that is not null."""
        found, places = self._find(row_ids)
        valid = np.concatenate([np.empty(0, np.bool_), *map(_validity, self.pieces)])
        found[found] = valid[places[found]]
        return found

    def of(self, block: Block) -> pa.Array:
        """Return the values of a block's rows, null where there is none."""
        found, places = self._find(block.ids)
        if not found.any():
            return pa.nulls(block.rows, self.type)
        numbers = np.searchsorted(self.starts, places, side="right") - 1
        index = np.zeros(block.rows, np.int64)
        taken: list[pa.Array] = []
        filled = 0
        for number in np.unique(numbers[found]).tolist():
            rows = np.flatnonzero(found & (numbers == number))
            taken.append(self.pieces[number].take(int64_array(places[rows] - self.starts[number])))
            index[rows] = np.arange(filled, filled + len(rows))
            filled += len(rows)
        validity = pa.py_buffer(np.packbits(found, bitorder="little"))
        indices = pa.Array.from_buffers(pa.int64(), block.rows, [validity, pa.py_buffer(index)])
        return pa.concat_arrays(taken).take(indices)

    def _find(self, row_ids: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
        if not len(self.row_ids):
            return np.zeros(len(row_ids), np.bool_), np.zeros(len(row_ids), np.intp)
        at = np.maximum(np.searchsorted(self.row_ids, row_ids, side="right") - 1, 0)
        return self.row_ids[at] == row_ids, self.places[at]


@contextmanager
def spool(folder: Path, field: pa.Field, batches: Iterable[pa.RecordBatch]) -> Iterator[Values]:
    """Write batches of ``_rowid`` and one column to a file that vanishes on leaving.

    Raises:
        MissingColumnError: A batch lacks one of the two columns.
        SchemaError: The values are of another type than the field.
    """
    schema = pa.schema([pa.field(field.name, field.type)])
    row_ids = [np.empty(0, np.int64)]
    with storing(folder, "write below"):
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed below
    try:
        writer = pa.ipc.new_stream(file, schema)
        for batch in batches:
            ids, values = _checked(batch, field)
            row_ids.append(ids)
            with storing(folder, "write below"):
                writer.write_batch(pa.RecordBatch.from_arrays([values], schema=schema))
        with storing(folder, "write below"):
            writer.close()
            file.flush()
        yield _index(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), row_ids, field.type)
    finally:
        with storing(folder, "write below"):
            file.close()  # Writes what is still buffered, which can fail once more.


def _checked(batch: pa.RecordBatch, field: pa.Field) -> tuple[NDArray[np.int64], pa.Array]:
    for name in (ROW_ID, field.name):
        if name not in batch.schema.names:
            raise MissingColumnError(
                f"Batches for add_column need the columns '{ROW_ID}' and '{field.name}'; "
                f"'{name}' is missing."
            )
    ids = batch.column(ROW_ID).cast(pa.int64())
    numbers = np.frombuffer(ids.buffers()[1], np.int64)[ids.offset : ids.offset + len(ids)]
    return numbers.copy(), conform_array(batch.column(field.name), field)


def _index(mapped: mmap.mmap, row_ids: list[NDArray[np.int64]], arrow_type: pa.DataType) -> Values:
    pieces = [batch.column(0) for batch in pa.ipc.open_stream(pa.py_buffer(mapped))]
    ids = np.concatenate(row_ids)
    order = np.argsort(ids, kind="stable")
    lengths = [len(piece) for piece in pieces]
    starts = np.cumsum([0, *lengths], dtype=np.intp)[:-1]
    return Values(ids[order], order, pieces, starts, arrow_type)


def _validity(array: pa.Array) -> NDArray[np.bool_]:
    mask = mask_of(array)
    return np.ones(len(array), np.bool_) if mask is None else mask
