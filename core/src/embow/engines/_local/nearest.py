"""Keeping the rows that can still be among the nearest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embow.engines._local.distance import Scores

_ROUNDING = 4 * float(np.finfo(np.float32).eps)
"""Share of a limit by which a row may lie above it: answers are rounded to float32, and of two that
are then equal the earlier row comes first."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where scored rows stand: all rows of one part, or those listed.

    Attributes:
        part: Number of the part, where all of its rows were scored.
        parts: Part number of each row otherwise.
        positions: Position of each row within its part.
    """

    part: int = 0
    parts: NDArray[np.intp] | None = None
    positions: NDArray[np.intp] | None = None

    def of(self, at: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return part numbers and positions of scored rows."""
        if self.parts is None or self.positions is None:
            return np.full(len(at), self.part, np.intp), at
        return self.parts[at], self.positions[at]


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
        self._limits = np.full((queries, 1), np.inf if upper is None else upper)
        self._pools = [_Pool() for _ in range(queries)]

    def add(self, scores: Scores, origin: Origin) -> None:
        """Consider the rows that were scored."""
        distance, error = scores.distance, scores.error
        limits = self._tightened(distance, error)
        near = distance <= limits + np.abs(limits) * _ROUNDING + error
        near &= distance < np.inf
        if self._lower > -np.inf:
            near &= distance + error >= self._lower
        near[:, scores.unknown] = True
        for query in np.flatnonzero(near.any(axis=1)).tolist():
            at = np.flatnonzero(near[query])
            low, high = distance[query, at] - error[query], distance[query, at] + error[query]
            unknown = np.isin(at, scores.unknown)
            low[unknown] = -np.inf
            high[unknown | (low < self._lower)] = np.inf  # These may yet fall out.
            pool = self._pools[query]
            pool.add(low, high, *origin.of(at))
            self._limits[query] = pool.prune(self._k, float(self._limits[query, 0]))

    def of(self, query: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return part numbers and positions of one query's candidates."""
        pool = self._pools[query]
        return pool.parts, pool.positions

    def _tightened(
        self, distance: NDArray[np.floating], error: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return limits that hold for this part too, where none was known from earlier ones."""
        limits = self._limits.copy()
        if distance.shape[1] > self._k and self._lower == -np.inf:
            for query in np.flatnonzero(np.isinf(limits[:, 0])).tolist():
                kth = np.partition(distance[query], self._k - 1)[self._k - 1]
                limits[query] = kth + error[query]
        return limits


class _Pool:
    """Candidates of one query, in row order."""

    def __init__(self) -> None:
        self._low = self._high = np.empty(0, np.float64)
        self.parts = self.positions = np.empty(0, np.intp)

    def add(
        self,
        low: NDArray[np.floating],
        high: NDArray[np.floating],
        parts: NDArray[np.intp],
        positions: NDArray[np.intp],
    ) -> None:
        self._low = np.concatenate([self._low, low])
        self._high = np.concatenate([self._high, high])
        self.parts = np.concatenate([self.parts, parts])
        self.positions = np.concatenate([self.positions, positions])

    def prune(self, k: int, limit: float) -> float:
        """Drop what cannot be among the nearest; return the limit that now holds."""
        if len(self._high) > k:
            limit = min(limit, float(np.partition(self._high, k - 1)[k - 1]))
            kept = self._low <= limit + abs(limit) * _ROUNDING
            self._low, self._high = self._low[kept], self._high[kept]
            self.parts, self.positions = self.parts[kept], self.positions[kept]
        return limit
