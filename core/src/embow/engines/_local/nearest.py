"""Keeping the rows that can still be among the nearest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embow.engines._local.distance import Piece, Scores

_ROUNDING = 4 * float(np.finfo(np.float32).eps)
"""Share of a limit by which a row may lie above it: answers are rounded to float32, and of two that
are then equal the earlier row comes first."""

_SAMPLE = (256, 4096)
"""Rows from whose distances a first limit comes: at least, and of one query."""

_WAITING = 64
"""Candidates that are gathered before those that cannot be among the nearest are dropped."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of a query and a row, all of shape ``(pairs,)``.

    Attributes:
        query: Number of the query.
        part: Number of the part.
        position: Position of the row within its part.
        low: Lowest possible distance.
        high: Highest possible distance; infinite where the row may yet fall out.
    """

    query: NDArray[np.intp]
    part: NDArray[np.intp]
    position: NDArray[np.intp]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def only(self, which: NDArray[Any]) -> Pairs:
        """Return some of the pairs."""
        return Pairs(
            self.query[which],
            self.part[which],
            self.position[which],
            self.low[which],
            self.high[which],
        )


_count, _part = attrgetter("count"), attrgetter("part")
_NO_ROWS = np.empty(0, np.intp)
_NONE = Pairs(_NO_ROWS, _NO_ROWS, _NO_ROWS, np.empty(0), np.empty(0))


class Candidates:
    """Rows, for each of several queries, whose distance may be among the ``k`` smallest.

    A row stays while its lowest possible distance is not above the ``k``-th smallest of the
    highest possible ones; what remains at the end surely includes the nearest.

    Args:
        queries: How many queries.
        k: Rows wanted, skipped ones included.
        distance_range: Only distances with ``lower <= distance < upper`` count.
    """

    def __init__(
        self, queries: int, k: int, distance_range: tuple[float | None, float | None]
    ) -> None:
        lower, upper = distance_range
        self._k = k
        self._lower = -np.inf if lower is None else lower
        self._limits = np.full(queries, np.inf if upper is None else upper)
        self._fresh = np.ones(queries, np.bool_)
        self._gathered: list[Pairs] = []  # What was kept last comes first.
        self._kept = self._waiting = 0

    def add(self, scores: Scores, pieces: Sequence[Piece]) -> None:
        """Consider the rows that were scored, and the pieces that they are of."""
        if self._fresh.any():
            self._begin(scores)
        distance = scores.distance
        bound = self._reach() + scores.error
        near = distance <= _not_below(bound, distance.dtype)[:, None]
        if not np.isfinite(bound).all():
            near &= distance < np.inf
        if len(scores.unknown):
            near[:, scores.unknown] = True
        if len(near) == 1:
            at = np.flatnonzero(near[0])
            query = np.zeros(len(at), np.intp)
        else:  # In the order in which the products lie in memory.
            at, query = np.nonzero(near.T)
        if scores.mask is not None and len(at):
            passing = scores.mask[at]
            at, query = at[passing], query[passing]
        if len(at):
            self._wait(self._pairs(scores, query, at, pieces))

    def found(self) -> Pairs:
        """Return what remains, the pairs of each query together."""
        if not self._gathered:
            return _NONE
        pairs = self._prune()
        if len(self._limits) == 1:
            return pairs
        return pairs.only(np.argsort(pairs.query, kind="stable"))

    def _begin(self, scores: Scores) -> None:
        """Set limits from the first rows, for queries that have none yet."""
        size = max(_SAMPLE[0], _SAMPLE[1] // len(self._limits), 8 * self._k)
        mask = scores.mask
        rows = slice(size) if mask is None else np.flatnonzero(mask)[:size]
        sample = scores.distance[:, rows][self._fresh]
        if sample.shape[1] < self._k:
            return
        error = scores.error[self._fresh, None]
        high = sample + error
        high[~(sample - error >= self._lower)] = np.inf
        kth = np.partition(high, self._k - 1, axis=1)[:, self._k - 1]
        self._limits[self._fresh] = np.minimum(self._limits[self._fresh], kth)
        self._fresh[self._fresh] = np.isinf(kth)

    def _reach(self) -> NDArray[np.float64]:
        """Return the lowest possible distances that are still of interest."""
        return np.asarray(self._limits + np.abs(self._limits) * _ROUNDING)

    def _pairs(
        self,
        scores: Scores,
        query: NDArray[np.intp],
        at: NDArray[np.intp],
        pieces: Sequence[Piece],
    ) -> Pairs:
        distance, error = scores.distance[query, at].astype(np.float64), scores.error[query]
        low, high = distance - error, distance + error
        if len(scores.unknown):
            unknown = np.isin(at, scores.unknown)
            low[unknown], high[unknown] = -np.inf, np.inf
        pairs = Pairs(query, *_origin(pieces, at), low, high)
        if self._lower == -np.inf:
            return pairs
        pairs.high[low < self._lower] = np.inf
        return pairs.only(high >= self._lower)

    def _wait(self, pairs: Pairs) -> None:
        self._gathered.append(pairs)
        self._waiting += len(pairs.query)
        if self._waiting > max(_WAITING, self._kept // 4):
            self._prune()

    def _prune(self) -> Pairs:
        """Drop what cannot be among the nearest, tighten the limits, and return what is left."""
        every = _joined(self._gathered)
        if not self._waiting:
            return every
        enough, kth = self._kth(every)
        self._limits[enough] = np.minimum(self._limits[enough], kth)
        self._fresh[enough] &= np.isinf(kth)
        kept = every.only(every.low <= self._reach()[every.query])
        self._gathered, self._kept, self._waiting = [kept], len(kept.query), 0
        return kept

    def _kth(self, every: Pairs) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return the queries with ``k`` pairs, and the ``k``-th smallest highest distance."""
        if len(self._limits) == 1:
            if len(every.high) < self._k:
                return _NO_ROWS, np.empty(0)
            return np.zeros(1, np.intp), np.partition(every.high, self._k - 1)[[self._k - 1]]
        counts = np.bincount(every.query, minlength=len(self._limits))
        enough = np.flatnonzero(counts >= self._k)
        order = np.lexsort((every.high, every.query))
        return enough, every.high[order[(np.cumsum(counts) - counts + self._k - 1)[enough]]]


def _origin(
    pieces: Sequence[Piece], at: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return part numbers and positions of scored rows."""
    if len(pieces) == 1:
        return np.full(len(at), pieces[0].part, np.intp), _positions(pieces[0], at)
    starts = np.cumsum([0, *map(_count, pieces)])
    owner = np.searchsorted(starts, at, "right") - 1
    within = at - starts[owner]
    positions = np.empty(len(at), np.intp)
    for number in set(owner.tolist()):
        mine = owner == number
        positions[mine] = _positions(pieces[number], within[mine])
    return np.array(list(map(_part, pieces)), np.intp)[owner], positions


def _positions(piece: Piece, at: NDArray[np.intp]) -> NDArray[np.intp]:
    return at + piece.rows.start if isinstance(piece.rows, slice) else piece.rows[at]


def _joined(pieces: list[Pairs]) -> Pairs:
    if len(pieces) == 1:
        return pieces[0]
    names = Pairs.__slots__
    return Pairs(*(np.concatenate([getattr(each, name) for each in pieces]) for name in names))


def _not_below(bound: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return numbers of a narrower type, none of them below what it stands for."""
    with np.errstate(over="ignore"):
        return np.asarray(np.nextafter(bound.astype(dtype), dtype.type(np.inf)))
