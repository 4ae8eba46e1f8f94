"""Rows found by the values of some columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from embow.engines.contract._rows import row_ids_of
from embow.engines.indexes import RowIds
from embow.schema._masks import validity

Found = tuple[NDArray[np.int64], RowIds]
"""Positions among the keys, and ids of rows."""


class Keys:
    """Keys to look for.

    Args:
        rows: Key columns. No key twice; one that holds a null is found nowhere.
    """

    def __init__(self, rows: pa.RecordBatch) -> None:
        self._rows = rows
        self._names: list[str] = rows.schema.names

    def among(self, batches: Iterable[pa.RecordBatch]) -> Found:
        """Return the rows whose key is one of these, by id ascending."""
        nothing = np.empty(0, np.int64)
        found = [(nothing, nothing), *map(self._in, _joined(batches))]
        at, row_ids = (np.concatenate(each) for each in zip(*found, strict=True))
        order = np.argsort(row_ids, kind="stable")
        return at[order], row_ids[order]

    def _in(self, batch: pa.RecordBatch) -> Found:
        alike = [name for name in self._names if self._comparable(batch, name)]
        if len(self._names) == 1 and alike:
            return self._by_column(batch, alike[0])
        for name in alike:
            column = batch.column(batch.schema.get_field_index(name))
            batch = batch.filter(pc.is_in(column, value_set=self._rows.column(name)))
        pairs = [
            (self._places[key], row_id)
            for key, row_id in zip(_tuples(batch, self._names), row_ids_of(batch), strict=True)
            if key in self._places
        ]
        at, row_ids = np.array(pairs, np.int64).reshape(-1, 2).T
        return at, row_ids

    def _by_column(self, batch: pa.RecordBatch, name: str) -> Found:
        """Return what is found by the only column, compared by Arrow alone."""
        column = batch.column(batch.schema.get_field_index(name))
        places = pc.index_in(column, value_set=self._rows.column(name), skip_nulls=True)
        known = validity(places)
        at = np.frombuffer(places.buffers()[1] or b"", np.int32)[places.offset :][: len(places)]
        return at[known].astype(np.int64), row_ids_of(batch)[known]

    def _comparable(self, batch: pa.RecordBatch, name: str) -> bool:
        wanted = self._rows.schema.field(name).type
        same = wanted == batch.schema.field(name).type
        return same and any(fits(wanted) for fits in _COMPARED)

    @cached_property
    def _places(self) -> dict[tuple[Any, ...], int]:
        keys = enumerate(_tuples(self._rows, self._names))
        return {key: at for at, key in keys if None not in key}


_ROWS, _BYTES = 2**20, 2**28
"""What is looked through at once, at most: for each time Arrow hashes the keys anew."""


def _joined(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the rows in fewer and larger batches."""
    pending: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if pending and (rows + batch.num_rows > _ROWS or size + batch.nbytes > _BYTES):
            yield _one(pending)
            pending, rows, size = [], 0, 0
        pending.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
    if pending:
        yield _one(pending)


def _one(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


# Numbers with a point are left to Python, for which zero equals minus zero.
_COMPARED = (
    pa.types.is_integer,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_date,
    pa.types.is_timestamp,
)


def _tuples(batch: pa.RecordBatch, names: Sequence[str]) -> list[tuple[Any, ...]]:
    columns = (batch.column(batch.schema.get_field_index(name)) for name in names)
    return list(zip(*(column.to_pylist() for column in columns), strict=True))
