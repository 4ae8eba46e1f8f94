"""Search of vectors that no matrix product compares: every row by the distance itself."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from embow.engines._local.alive import ascending
from embow.engines._local.blocks import check_ahead
from embow.engines._local.view import View
from embow.engines.contract import (
    VectorQuery,
    column_of,
    row_distances,
    row_vectors,
    wanted_distances,
)

Nearest = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]
"""Part numbers, positions and distances, nearest first."""


def nearest_rows(view: View, query: VectorQuery) -> list[Nearest]:
    """Return the nearest rows of each query."""
    vectors = list(query.queries())
    nothing = np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0, np.float32)
    found: list[Nearest] = [nothing] * len(vectors)
    for number, positions, distances in _compared(view, query, vectors):
        for at, each in enumerate(distances):
            kept = _best(each, found[at][2], query)
            parts = np.full(len(kept), number)
            found[at] = _merged(found[at], (parts, positions[kept], each[kept]), query)
    return [(p[query.offset :], at[query.offset :], d[query.offset :]) for p, at, d in found]


def _compared(
    view: View, query: VectorQuery, vectors: list[NDArray[np.float64]]
) -> Iterator[tuple[int, NDArray[np.intp], list[NDArray[np.float32]]]]:
    """Yield part number, positions of rows and, by query, their distances."""
    wanted = None if query.row_ids is None else ascending(query.row_ids)
    everything = query.predicate is None and wanted is None
    stored = view.layout.stored[column_of(query.column)]
    checks = check_ahead([part.block for part in view.parts])
    for number, (part, _) in enumerate(zip(view.parts, checks, strict=True)):
        column = part.block.columns.get(stored)
        if column is None:
            continue
        part.block.check()
        rows = row_vectors(column, query.column)
        mask = part.live if everything else view.passing(part, query.predicate, wanted)
        positions = np.arange(len(rows)) if mask is None else np.flatnonzero(mask)
        chosen = rows if mask is None else rows.take(positions)
        yield number, positions, [row_distances(each, chosen, query.metric) for each in vectors]


def _best(
    distances: NDArray[np.float32], known: NDArray[np.float32], query: VectorQuery
) -> NDArray[np.intp]:
    """Return which rows may be among the nearest, beside those that are known."""
    most = query.offset + query.k
    kept = wanted_distances(distances, query)
    if most and len(known) >= most:
        kept &= distances < known[most - 1]
    at = np.flatnonzero(kept)
    if len(at) > 2 * most and most:
        at = at[distances[at] <= np.partition(distances[at], most - 1)[most - 1]]
    return at


def _merged(found: Nearest, more: Nearest, query: VectorQuery) -> Nearest:
    """Return the nearest of both; of equal distances the earlier row comes first."""
    parts = np.concatenate([found[0], more[0]])
    positions = np.concatenate([found[1], more[1]])
    distances = np.concatenate([found[2], more[2]])
    order = np.argsort(distances, kind="stable")[: query.offset + query.k]
    return parts[order], positions[order], distances[order]
