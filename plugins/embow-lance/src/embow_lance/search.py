"""Exact search: distances in float64, the nearest rows kept while the column is read.

Lance's own flat search leaves out vectors of norm zero and does not say in which order rows of
equal distance come; it is not faster, since both read the whole column.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines.contract import (
    RowIds,
    VectorQuery,
    row_distances,
    row_ids_of,
    row_vectors,
    wanted_distances,
)


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
    queries = list(query.queries())
    found = [Nearest(np.empty(0, np.float32), np.empty(0, np.int64)) for _ in queries]
    for batch in batches:
        row_ids, vectors = row_ids_of(batch), row_vectors(batch.column(0), query.column)
        for number, vector in enumerate(queries):
            distances = row_distances(vector, vectors, query.metric)
            found[number] = _merged(found[number], distances, row_ids, query)
    return [Nearest(e.distances[query.offset :], e.row_ids[query.offset :]) for e in found]


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
