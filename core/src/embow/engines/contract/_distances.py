"""Distances in float64, and which of them a search asked for: the same in every engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embow.engines.contract._kinds import Metric, RowVectors
from embow.engines.contract._queries import VectorQuery

_NUMBERS = 2**15
"""Numbers turned to float64 at a time: they stay in the cache next to a core."""


def exact_distances(
    query: NDArray[np.float64], matrix: NDArray[Any], metric: Metric
) -> NDArray[np.float32]:
    """Return the distances of vectors, in float64, rounded to float32.

    A vector of norm zero has cosine distance 1: it points nowhere, so it is like nothing.

    Args:
        query: One for all of the others, shape ``(ndims,)``, or one for each.
        matrix: What it is compared with, shape ``(vectors, ndims)``.
        metric: Distance.
    """
    with np.errstate(over="ignore"):
        return _wide_distances(query, matrix, metric).astype(np.float32)


def row_distances(
    query: NDArray[np.float64], rows: RowVectors, metric: Metric
) -> NDArray[np.float32]:
    """Return the distance of one query to each row, in float64, rounded to float32.

    Args:
        query: Its vectors, shape ``(vectors, ndims)``.
        rows: What it is compared with.
        metric: Distance of two vectors.

    Returns:
        Shape ``(rows,)``: the sum, over the query's vectors, of the distance to the row's nearest;
        NaN where a row has none that can be compared.
    """
    total = np.zeros(len(rows))
    with np.errstate(all="ignore"):
        for vector in query:
            each = _wide_distances(vector, rows.matrix, metric)
            if rows.valid is not None:
                each[~rows.valid] = np.nan
            total += each if rows.offsets is None else least_of_rows(each, rows.offsets)
        return total.astype(np.float32)


def least_of_rows(distances: NDArray[Any], offsets: NDArray[np.int64]) -> NDArray[Any]:
    """Return the least distance of each row along the last axis; NaN where it has none.

    Args:
        distances: Of each vector; those that are NaN count for nothing.
        offsets: Where the vectors of each row begin, and where the last ones end.
    """
    least = np.full((*distances.shape[:-1], len(offsets) - 1), np.nan, distances.dtype)
    some = np.flatnonzero(np.diff(offsets))
    if len(some):
        least[..., some] = np.fmin.reduceat(distances, offsets[some], axis=-1)
    return least


def _wide_distances(
    query: NDArray[np.float64], matrix: NDArray[Any], metric: Metric
) -> NDArray[np.float64]:
    if metric == "hamming":
        return differing_bits(query, matrix)
    distances = np.empty(len(matrix))
    step = max(1, _NUMBERS // matrix.shape[1])
    with np.errstate(all="ignore"):
        for start in range(0, len(matrix), step):
            some = slice(start, start + step)
            one = query if query.ndim == 1 else query[some]
            distances[some] = _exact(one, matrix[some].astype(np.float64), metric)
    return distances


def _exact(
    query: NDArray[np.float64], rows: NDArray[np.float64], metric: Metric
) -> NDArray[np.float64]:
    # Sums along each row, not a matrix product: equal rows must get equal distances.
    products = np.subtract(rows, query) if metric == "l2" else np.multiply(rows, query)
    if metric == "l2":
        np.multiply(products, products, out=products)
    sums: NDArray[np.float64] = np.add.reduce(products, axis=1)
    if metric == "l2":
        return sums
    if metric == "dot":
        return 1 - sums
    lengths = np.sqrt(np.add.reduce(np.multiply(rows, rows, out=products), axis=1))
    lengths *= np.sqrt((query * query).sum(axis=-1))
    cosine = sums / np.where(lengths > 0, lengths, 1)
    return np.clip(1 - cosine, 0, 2)


def differing_bits(query: NDArray[np.floating], matrix: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return in how many bits each row differs from a query, both of bytes."""
    width = next(n for n in (8, 4, 2, 1) if matrix.shape[1] % n == 0)
    words = np.ascontiguousarray(matrix).view(f"u{width}")
    one = query.astype(np.uint8).view(f"u{width}")
    found = np.empty(len(words))
    step = max(_NUMBERS // words.shape[1], 1)
    for start in range(0, len(words), step):
        counts = _set_bits(words[start : start + step] ^ one).astype(np.float32)
        # A product is a fast sum of short rows, and exact: the numbers are whole and small.
        found[start : start + step] = counts @ np.ones(counts.shape[1], np.float32)
    return found


_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)


def _looked_up(words: NDArray[Any]) -> NDArray[Any]:
    return np.take(_BITS, words.view(np.uint8))


_set_bits: Callable[[NDArray[Any]], NDArray[Any]] = getattr(np, "bitwise_count", _looked_up)
"""The bits set in each number; numpy 1 has no function of its own for that."""


def wanted_distances(distances: NDArray[np.float32], query: VectorQuery) -> NDArray[np.bool_]:
    """Return which distances are numbers within the query's range."""
    lower, upper = query.distance_range
    kept: NDArray[np.bool_] = ~np.isnan(distances)
    if lower is not None:
        kept &= distances >= lower
    if upper is not None:
        kept &= distances < upper
    return kept
