"""Distances: cheap ones with a bound on their error, and exact ones.

Scores come from one float32 (or, for float64 columns, float64) matrix product, which is how memory
bandwidth is reached. Such a score of near-identical vectors suffers cancellation, so it only says
which rows can be among the nearest; their distance is then computed in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embow.engines._local.vectors import Vectors, is_tame
from embow.engines.contract import Metric

_ROWS = 4096
"""Rows turned to another number type at a time."""

_COPIED = 128
"""Rows copied out of a block at a time."""

_SLACK = 32
"""Roundings beside those of the product: of norms, of the distance, of the answer."""


@dataclass(frozen=True, slots=True)
class Queries:
    """Query vectors prepared for one column.

    Attributes:
        exact: float64, shape ``(queries, dimensions)``.
        norms: Euclidean norms, float64.
        units: Queries scaled to length 1, in the type the column is scored in.
        metric: Distance.
        wild: Queries so long or short that their scores say nothing.
    """

    exact: NDArray[np.float64]
    norms: NDArray[np.float64]
    units: NDArray[Any]
    metric: Metric
    wild: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Scores:
    """What is known of distances after scoring some rows of a block.

    Attributes:
        distance: Shape ``(queries, rows)``; infinite for rows that are out of the question.
        error: How far the true distance may be off, shape ``(queries, 1)``.
        unknown: Rows, by their place in ``distance``, that must be computed exactly.
    """

    distance: NDArray[Any]
    error: NDArray[np.float64]
    unknown: NDArray[np.intp]


def prepare(vectors: NDArray[np.float32], metric: Metric, column: np.dtype[Any]) -> Queries:
    """Return queries ready to be scored against a column of that number type."""
    exact = np.ascontiguousarray(vectors, np.float64)
    norms = np.sqrt((exact * exact).sum(axis=1))
    scoring = np.float64 if column == np.float64 else np.float32
    units = (exact / np.where(norms > 0, norms, 1)[:, None]).astype(scoring)
    return Queries(exact, norms, units, metric, (norms != 0) & ~is_tame(norms))


def score(queries: Queries, vectors: Vectors) -> Scores:
    """Return the distance of each query to each row, to within an error."""
    products = _products(queries.units, vectors.matrix)
    return _scores(queries, products, vectors.norms, vectors.odd, vectors.reach)


def score_rows(queries: Queries, pieces: list[tuple[Vectors, NDArray[np.intp]]]) -> Scores:
    """Return the distance of each query to some rows of several blocks, one after the other."""
    products = np.concatenate(
        [_row_products(queries.units, vectors.matrix, rows) for vectors, rows in pieces], axis=1
    )
    norms = np.concatenate([vectors.norms[rows] for vectors, rows in pieces])
    odd = np.concatenate([np.isin(rows, vectors.odd) for vectors, rows in pieces])
    reach = max(vectors.reach for vectors, _ in pieces)
    return _scores(queries, products, norms, np.flatnonzero(odd), reach)


def _scores(
    queries: Queries,
    products: NDArray[Any],
    norms: NDArray[np.float32],
    odd: NDArray[np.intp],
    reach: float,
) -> Scores:
    with np.errstate(all="ignore"):
        distance = _distances(queries, products, norms)
    distance[:, odd] = np.inf
    error = _errors(queries, reach)
    distance[queries.wild], error[queries.wild] = 0, np.inf
    return Scores(distance, error, odd)


def _errors(queries: Queries, reach: float) -> NDArray[np.float64]:
    # Each rounding is off by at most half an epsilon of the largest number it meets. Norms are
    # float32 even where vectors are float64, so float32's epsilon holds for both.
    bound = (2 * queries.exact.shape[1] + _SLACK) * float(np.finfo(np.float32).eps) / 2
    scale = queries.norms[:, None]
    if queries.metric == "l2":
        return np.asarray(bound * np.square(scale + reach))
    if queries.metric == "dot":
        return np.asarray(bound * (1 + scale * reach))
    return np.full_like(scale, 2 * bound)


def _products(units: NDArray[Any], matrix: NDArray[Any]) -> NDArray[Any]:
    single = len(units) == 1
    with np.errstate(all="ignore"):
        if matrix.dtype == units.dtype:
            return np.asarray((matrix @ units[0])[None, :] if single else units @ matrix.T)
        products = np.empty((len(units), len(matrix)), units.dtype)
        for start in range(0, len(matrix), _ROWS):
            window = slice(start, start + _ROWS)
            rows = matrix[window].astype(units.dtype)
            products[:, window] = rows @ units[0] if single else units @ rows.T
    return products


def _row_products(
    units: NDArray[Any], matrix: NDArray[Any], rows: NDArray[np.intp]
) -> NDArray[Any]:
    # Rows are copied a few at a time into memory that stays in the cache: fresh pages for all
    # of them cost more than reading them.
    products = np.empty((len(units), len(rows)), units.dtype)
    scratch = np.empty((min(_COPIED, len(rows)), matrix.shape[1]), matrix.dtype)
    for start in range(0, len(rows), _COPIED):
        chosen = rows[start : start + _COPIED]
        copied = np.take(matrix, chosen, axis=0, out=scratch[: len(chosen)], mode="clip")
        products[:, start : start + _COPIED] = _products(units, copied)
    return products


def _distances(
    queries: Queries, products: NDArray[Any], norms: NDArray[np.float32]
) -> NDArray[Any]:
    scale = queries.norms.astype(products.dtype)[:, None]
    if queries.metric == "cosine":
        products /= np.where(norms > 0, norms, 1)
        np.subtract(1, products, out=products)
        return products
    if queries.metric == "dot":
        products *= -scale
        products += 1
        return products
    products *= -2 * scale
    products += norms * norms
    products += scale * scale
    return products
