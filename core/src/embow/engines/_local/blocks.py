"""Blocks of rows: the pieces that are scanned, scored and written one at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import repeat
from operator import attrgetter

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines._local.vectors import NORM_SUFFIX, Vectors, make_vectors, norm_array
from embow.engines.contract import is_vector

STORED_ROW_ID = "rowid"
"""Stored column of row ids, in files whose rows are not consecutive."""


_THREADS = min(4, os.cpu_count() or 1)


class Block:
    """Rows held in memory or mapped from files, by stored column.

    Args:
        columns: Arrays of one length.
        first_row: Lowest row id.
        ids: Row ids, ascending; ``None`` when they are consecutive.
        checks: Raise where the bytes are not those that were written; called before the first
            use of a column.

    Attributes:
        checked: Whether they have all been called.
        last_row: Highest row id.
    """

    def __init__(
        self,
        columns: Mapping[str, pa.Array],
        rows: int,
        first_row: int,
        ids: NDArray[np.int64] | None,
        checks: Sequence[Callable[[], None]] = (),
    ) -> None:
        self.columns = columns
        self._checks = checks
        self.checked = not checks
        self.rows = rows
        self.first_row = first_row
        self._ids = ids
        self._every = ids
        self.last_row = first_row + rows - 1 if ids is None else int(ids[-1])
        self._vectors: dict[str, Vectors] = {}

    @property
    def dense(self) -> bool:
        """Whether its row ids follow one another."""
        return self._ids is None

    @property
    def ids(self) -> NDArray[np.int64]:
        """Row ids, ascending, shape ``(rows,)``."""
        if self._every is None:
            self._every = np.arange(self.first_row, self.first_row + self.rows, dtype=np.int64)
        return self._every

    def select(self, stored: Iterable[str], types: Mapping[str, pa.DataType]) -> list[pa.Array]:
        """Return columns; nulls where the block was written before a column existed."""
        if not self.checked:
            self.check()
        arrays = []
        for name in stored:
            array = self.columns.get(name)
            arrays.append(pa.nulls(self.rows, types[name]) if array is None else array)
        return arrays

    def vectors(self, stored: str, path: str = "") -> Vectors | None:
        """Return a vector column as a matrix; ``None`` where the block does not have it.

        Args:
            stored: Stored name of the column.
            path: Of the vectors, where the column holds structs.
        """
        if stored not in self.columns:
            return None
        if not self.checked:
            self.check()
        within = path.partition(".")[2]
        key = f"{stored}.{within}" if within else stored
        if key not in self._vectors:
            norms = self.columns.get(key + NORM_SUFFIX)
            self._vectors[key] = make_vectors(self.columns[stored], norms, path)
        return self._vectors[key]

    def check(self) -> None:
        """Raise where its bytes are not those that were written; looks once."""
        for check in self._checks:
            check()
        self.checked, self._checks = True, ()

    def positions(self, row_ids: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return where rows of this block stand; ids that are not in it are left out."""
        inside = row_ids[(row_ids >= self.first_row) & (row_ids <= self.last_row)]
        if self._ids is None:
            return np.asarray(inside - self.first_row, np.intp)
        at: NDArray[np.intp] = np.searchsorted(self._ids, inside)
        return np.asarray(at[self._ids[at] == inside])


def check_ahead(blocks: Sequence[Block]) -> Iterator[None]:
    """Check blocks a few at a time, ahead of their use: one at each step, in their order.

    A checksum lets other threads run, and takes longer than scoring does.
    """
    known = list(map(attrgetter("checked"), blocks))
    return _checked(blocks) if known.count(False) > 1 else repeat(None, len(blocks))


def _checked(blocks: Sequence[Block]) -> Iterator[None]:
    with ThreadPoolExecutor(_THREADS) as pool:
        ahead: deque[Future[None]] = deque()
        for block in blocks:
            ahead.append(pool.submit(block.check))
            if len(ahead) > 2 * _THREADS:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def with_norms(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a physical batch with the norms of its vector columns added."""
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        if is_vector(array.type):
            batch = batch.append_column(name + NORM_SUFFIX, norm_array(array))
    return batch


def coalesce(
    batches: Iterable[pa.RecordBatch], max_rows: int, max_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Yield the rows in batches of useful size: small ones joined, large ones sliced."""
    pending: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        for piece in _pieces(batch, max_rows, max_bytes):
            if pending and (rows + piece.num_rows > max_rows or size + piece.nbytes > max_bytes):
                joined, pending, rows, size = join(pending), [], 0, 0
                yield joined
                del joined  # or it would be held while the next one gathers
            pending.append(piece)
            rows += piece.num_rows
            size += piece.nbytes
    if pending:
        yield join(pending)


def _pieces(batch: pa.RecordBatch, max_rows: int, max_bytes: int) -> Iterator[pa.RecordBatch]:
    if not batch.num_rows:
        return
    row_bytes = max(1, batch.nbytes // batch.num_rows)
    step = max(1, min(max_rows, max_bytes // row_bytes))
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)


def join(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Return one batch with the rows of all; they must have one schema."""
    if len(batches) == 1:
        return batches[0]
    columns = zip(*map(attrgetter("columns"), batches), strict=True)
    arrays = list(map(pa.concat_arrays, columns))
    return pa.RecordBatch.from_arrays(arrays, schema=batches[0].schema)
