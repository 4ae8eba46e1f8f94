"""Distances: cheap ones with a bound on their error, and exact ones.

Scores come from one float32 (or, for float64 columns, float64) matrix product, which is how memory
bandwidth is reached. Such a score of near-identical vectors suffers cancellation, so it only says
which rows can be among the nearest; their distance is then computed in float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
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

_NO_ROWS = np.empty(0, np.intp)
_count = attrgetter("count")


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
        count: How many rows these are.
        mask: Which of them count, shape ``(rows,)``; ``None`` when all do.
    """

    part: int
    vectors: Vectors
    rows: slice | NDArray[np.intp]
    count: int
    mask: NDArray[np.bool_] | None = None

    def split(self, step: int) -> Iterator[Piece]:
        """Yield the rows in pieces of some size, the last one smaller."""
        for start in range(0, self.count, step):
            stop = min(start + step, self.count)
            rows = self.rows
            if isinstance(rows, slice):
                rows = slice(rows.start + start, rows.start + stop)
            else:
                rows = rows[start:stop]
            mask = None if self.mask is None else self.mask[start:stop]
            yield Piece(self.part, self.vectors, rows, stop - start, mask)

    @property
    def odd(self) -> NDArray[np.intp]:
        """Places among the rows of those whose scores say nothing."""
        rows, odd = self.rows, self.vectors.odd
        if isinstance(rows, slice):
            low, high = np.searchsorted(odd, [rows.start, rows.stop])
            return np.asarray(odd[low:high] - rows.start)
        return np.flatnonzero(np.isin(rows, odd))


def score(queries: Queries, pieces: Sequence[Piece]) -> Scores:
    """Return the distance of each query to each row, one piece after the other.

    Distances are off by at most the error that is told with them.
    """
    rows = sum(map(_count, pieces))
    found = np.empty((rows, len(queries.units)), queries.units.dtype)
    norms: list[NDArray[np.float32]] = []
    odd: list[NDArray[np.intp]] = []
    mask: NDArray[np.bool_] | None = None
    start, reach = 0, 0.0
    with np.errstate(all="ignore"):
        _put_products(queries.units, pieces, found)
        for piece in pieces:
            vectors, place = piece.vectors, slice(start, start + piece.count)
            every = vectors.norms if queries.metric == "l2" else vectors.divisors
            norms.append(every[piece.rows])
            reach = max(reach, vectors.reach)
            if len(vectors.odd):
                odd.append(piece.odd + start)
            if piece.mask is not None:
                mask = np.ones(rows, np.bool_) if mask is None else mask
                mask[place] = piece.mask
            start = place.stop
        lengths = norms[0] if len(norms) == 1 else np.concatenate(norms)
        distance = _distances(queries, found.T, lengths)
        error = _errors(queries, reach)
    unknown = np.concatenate(odd) if odd else _NO_ROWS
    if len(unknown):
        distance[:, unknown] = np.inf
        unknown = unknown if mask is None else unknown[mask[unknown]]
    if queries.wild.any():
        distance[queries.wild], error[queries.wild] = 0, np.inf
    return Scores(distance, error, unknown, mask)


def _put_products(units: NDArray[Any], pieces: Sequence[Piece], out: NDArray[Any]) -> None:
    """Multiply the rows of all pieces, as they lie or copied."""
    first = 0
    for piece in pieces:
        matrix, rows = piece.vectors.matrix, piece.rows
        if isinstance(rows, slice):
            put_products(units, matrix[rows], out[first : first + piece.count])
            first += piece.count
            continue
        # Rows are copied a few at a time into memory that stays in the cache: fresh pages for all
        # of them cost more than reading them.
        scratch = np.empty((min(_COPIED, len(rows)), matrix.shape[1]), matrix.dtype)
        for start in range(0, len(rows), _COPIED):
            chosen = rows[start : start + _COPIED]
            copied = scratch[: len(chosen)]
            np.take(matrix, chosen, axis=0, out=copied, mode="clip")
            put_products(units, copied, out[first : first + len(chosen)])
            first += len(chosen)


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
