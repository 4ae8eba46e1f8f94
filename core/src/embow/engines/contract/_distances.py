"""Distances in float64, and which of them a search asked for: the same in every engine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from embow.engines.contract._queries import Metric, VectorQuery

_NUMBERS = 2**16
"""Numbers turned to float64 at a time: they stay in the cache next to a core."""


def exact_distances(
    query: NDArray[np.float64], matrix: NDArray[Any], metric: Metric
) -> NDArray[np.float32]:
    """Return distances of queries and rows, computed in float64, rounded to float32.

    A row or query of norm zero has cosine distance 1: it points nowhere, so it is like nothing.

    Args:
        query: One for all rows, shape ``(dimensions,)``, or one for each row.
        matrix: The rows.
        metric: Distance.
    """
    distances = np.empty(len(matrix), np.float32)
    step = max(1, _NUMBERS // matrix.shape[1])
    with np.errstate(all="ignore"):
        for start in range(0, len(matrix), step):
            some = slice(start, start + step)
            wide = matrix[some].astype(np.float64)
            one = query if query.ndim == 1 else query[some]
            distances[some] = _exact(one, wide, metric)
    return distances


def _exact(
    query: NDArray[np.float64], rows: NDArray[np.float64], metric: Metric
) -> NDArray[np.float64]:
    # Sums along each row, not a matrix product: equal rows must get equal distances.
    if metric == "l2":
        difference = rows - query
        squares: NDArray[np.float64] = (difference * difference).sum(axis=1)
        return squares
    products: NDArray[np.float64] = (rows * query).sum(axis=1)
    if metric == "dot":
        return 1 - products
    lengths = np.sqrt((rows * rows).sum(axis=1)) * np.sqrt((query * query).sum(axis=-1))
    cosine = products / np.where(lengths > 0, lengths, 1)
    return np.clip(1 - cosine, 0, 2)


def wanted_distances(distances: NDArray[np.float32], query: VectorQuery) -> NDArray[np.bool_]:
    """Return which distances are numbers within the query's range."""
    lower, upper = query.distance_range
    kept: NDArray[np.bool_] = ~np.isnan(distances)
    if lower is not None:
        kept &= distances >= lower
    if upper is not None:
        kept &= distances < upper
    return kept
