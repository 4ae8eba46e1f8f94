"""Distances: cheap ones with a bound on their error, and exact ones.

Scores come from one float32 (or, for float64 columns, float64) matrix product, which is how memory
bandwidth is reached. Such a score of near-identical vectors suffers cancellation, so it only says
which rows can be among the nearest; their distance is then computed in float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embow.engines._local.products import put_products
from embow.engines._local.vectors import Vectors, is_tame
from embow.engines.contract import Metric

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
        error: How far the true distance may be off, shape ``(queries,)``.
        unknown: Rows, by their place in ``distance``, that must be computed exactly.
        mask: Rows that count, shape ``(rows,)``; ``None`` when all do.
    """

    distance: NDArray[Any]
    error: NDArray[np.float64]
    unknown: NDArray[np.intp]
    mask: NDArray[np.bool_] | None = None


def prepare(vectors: NDArray[np.float32], metric: Metric, column: np.dtype[Any]) -> Queries:
    """Return queries ready to be scored against a column of that number type."""
    exact = np.ascontiguousarray(vectors, np.float64)
    norms = np.sqrt((exact * exact).sum(axis=1))
    scoring = np.float64 if column == np.float64 else np.float32
    units = (exact / np.where(norms > 0, norms, 1)[:, None]).astype(scoring)
    return Queries(exact, norms, units, metric, (norms != 0) & ~is_tame(norms))


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one block that are scored.

    Attributes:
        part: Number of the part that the block is.
        vectors: All vectors of the block.
        rows: Which rows, in ascending order.
        mask: Which of them count, shape ``(rows,)``; ``None`` when all do.
    """

    part: int
    vectors: Vectors
    rows: slice | NDArray[np.intp]
    mask: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        """Return how many rows there are."""
        rows = self.rows
        return rows.stop - rows.start if isinstance(rows, slice) else len(rows)

    def split(self, step: int) -> Iterator[Piece]:
        """Yield the rows in pieces of some size, the last one smaller."""
        size = len(self)
        if size <= step:
            yield self
            return
        for start in range(0, size, step):
            some = slice(start, min(start + step, size))
            rows = self.rows
            if isinstance(rows, slice):
                rows = slice(rows.start + some.start, rows.start + some.stop)
            else:
                rows = rows[some]
            yield Piece(
                self.part, self.vectors, rows, None if self.mask is None else self.mask[some]
            )

    @property
    def odd(self) -> NDArray[np.intp]:
        """Places among the rows of those whose scores say nothing."""
        rows, odd = self.rows, self.vectors.odd
        if not len(odd):
            return odd
        if isinstance(rows, slice):
            low, high = np.searchsorted(odd, [rows.start, rows.stop])
            return np.asarray(odd[low:high] - rows.start)
        return np.flatnonzero(np.isin(rows, odd))


def score(queries: Queries, pieces: Sequence[Piece]) -> Scores:
    """Return the distance of each query to each row, one piece after the other.

    Distances are off by at most the error that is told with them.
    """
    found = np.empty((sum(map(len, pieces)), len(queries.units)), queries.units.dtype)
    with np.errstate(all="ignore"):
        start = 0
        for piece in pieces:
            for matrix in _matrices(piece):
                put_products(queries.units, matrix, found[start : start + len(matrix)])
                start += len(matrix)
        distance = _distances(queries, found.T, _joined([_norms(queries, each) for each in pieces]))
        error = _errors(queries, max(each.vectors.reach for each in pieces))
    odd, mask = _odd(pieces), _mask(pieces)
    if len(odd):
        distance[:, odd] = np.inf
        odd = odd if mask is None else odd[mask[odd]]
    if queries.wild.any():
        distance[queries.wild], error[queries.wild] = 0, np.inf
    return Scores(distance, error, odd, mask)


def _matrices(piece: Piece) -> Iterator[NDArray[Any]]:
    """Yield the rows of a piece, as they lie or copied; one lasts until the next."""
    matrix, rows = piece.vectors.matrix, piece.rows
    if isinstance(rows, slice):
        yield matrix[rows]
        return
    # Rows are copied a few at a time into memory that stays in the cache: fresh pages for all
    # of them cost more than reading them.
    scratch = np.empty((min(_COPIED, len(rows)), matrix.shape[1]), matrix.dtype)
    for start in range(0, len(rows), _COPIED):
        chosen = rows[start : start + _COPIED]
        yield np.take(matrix, chosen, axis=0, out=scratch[: len(chosen)], mode="clip")


def _norms(queries: Queries, piece: Piece) -> NDArray[np.float32]:
    every = piece.vectors.norms if queries.metric == "l2" else piece.vectors.divisors
    return every[piece.rows]


def _joined(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _odd(pieces: Sequence[Piece]) -> NDArray[np.intp]:
    ends = accumulate(map(len, pieces), initial=0)
    return _joined([each.odd + start for each, start in zip(pieces, ends, strict=False)])


def _mask(pieces: Sequence[Piece]) -> NDArray[np.bool_] | None:
    if all(each.mask is None for each in pieces):
        return None
    masks = [np.ones(len(each), np.bool_) if each.mask is None else each.mask for each in pieces]
    return _joined(masks)


def _errors(queries: Queries, reach: float) -> NDArray[np.float64]:
    # Each rounding is off by at most half an epsilon of the largest number it meets. Norms are
    # float32 even where vectors are float64, so float32's epsilon holds for both.
    bound = (2 * queries.exact.shape[1] + _SLACK) * float(np.finfo(np.float32).eps) / 2
    scale = queries.norms
    if queries.metric == "l2":
        return np.asarray(bound * np.square(scale + reach))
    if queries.metric == "dot":
        return np.asarray(bound * (1 + scale * reach))
    return np.full_like(scale, 2 * bound)


def _distances(
    queries: Queries, products: NDArray[Any], norms: NDArray[np.float32]
) -> NDArray[Any]:
    scale = queries.norms.astype(products.dtype)[:, None]
    if queries.metric == "cosine":
        products /= norms
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
