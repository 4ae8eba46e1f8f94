"""Exact search: distances in float64, the nearest rows kept while the column is read.

Lance's own flat search leaves out vectors of norm zero and does not say in which order rows of
equal distance come; it is not faster, since both read the whole column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines.contract import (
    RowIds,
    VectorQuery,
    exact_distances,
    row_ids_of,
    wanted_distances,
)

_NUMBERS = 1 << 20
"""Numbers turned to float64 at a time."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest rows of one query, nearest first."""

    distances: NDArray[np.float32]
    row_ids: RowIds


def nearest(batches: Iterable[pa.RecordBatch], query: VectorQuery) -> list[Nearest]:
    """Return the nearest rows of each query.

    Args:
        batches: The vector column and ``_rowid``, in row order.
        query: What is searched.
    """
    nothing = Nearest(np.empty(0, np.float32), np.empty(0, np.int64))
    found = [nothing for _ in query.vectors]
    wide = query.vectors.astype(np.float64)
    for row_ids, matrix in _matrices(batches):
        for number, vector in enumerate(wide):
            distances = exact_distances(vector, matrix, query.metric)
            found[number] = _merged(found[number], distances, row_ids, query)
    return [Nearest(e.distances[query.offset :], e.row_ids[query.offset :]) for e in found]


def _matrices(
    batches: Iterable[pa.RecordBatch],
) -> Iterator[tuple[RowIds, NDArray[np.float64]]]:
    for batch in batches:
        column = batch.column(0)
        step = max(1, _NUMBERS // column.type.list_size)
        for start in range(0, len(column), step):
            piece = column.slice(start, step)
            valid = piece.is_valid().to_numpy(zero_copy_only=False)
            # flatten() leaves nulls out; a null inside a vector becomes NaN, and so its distance.
            flat = piece.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
            yield row_ids_of(batch)[start : start + step][valid], flat.reshape(valid.sum(), -1)


def _merged(
    found: Nearest, distances: NDArray[np.float32], row_ids: RowIds, query: VectorQuery
) -> Nearest:
    wanted = query.offset + query.k
    kept = wanted_distances(distances, query)
    if len(found.distances) == wanted and wanted:
        kept &= distances < found.distances[-1]
    both = np.concatenate([found.distances, distances[kept]])
    order = np.argsort(both, kind="stable")[:wanted]  # Rows come in order, so ties stay in it.
    return Nearest(both[order], np.concatenate([found.row_ids, row_ids[kept]])[order])
