"""Search where rows have several vectors: all are scored, and of each row the nearest count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from embow.engines._local.alive import ascending
from embow.engines._local.blas import one_thread
from embow.engines._local.blocks import check_ahead
from embow.engines._local.distance import Piece, Queries, Scores, prepare, score
from embow.engines._local.exhaustive import Nearest
from embow.engines._local.nearest import Candidates, Pairs
from embow.engines._local.threads import side_by_side, thread_count
from embow.engines._local.vectors import Vectors
from embow.engines._local.view import View
from embow.engines.contract import (
    RowVectors,
    VectorQuery,
    column_of,
    row_distances,
    vector_kinds,
    wanted_distances,
)

_SCORES = 2**18
"""Scores made at a time."""

_LARGE = 2**17
"""Rows times vectors of the query from which a scan uses several threads."""

_GATHER_BELOW = 0.5
"""Share of rows below which copying the vectors of those that pass costs less than scoring all."""


@dataclass(frozen=True, slots=True)
class _Lists:
    """Rows of one block that are scored.

    Attributes:
        rows: The rows.
        vectors: Their vectors, one row's after the other's.
        offsets: Where the vectors of each row begin among these, and where the last ones end.
    """

    rows: Piece
    vectors: Piece
    offsets: NDArray[np.int64]


def nearest_of_lists(view: View, query: VectorQuery) -> list[Nearest]:
    """Return the nearest rows of each query."""
    kind = vector_kinds(view.layout.schema)[query.column]
    sizes = query.sizes or (1,) * len(query.vectors)
    if not query.k:
        nothing = np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0, np.float32)
        return [nothing] * len(sizes)
    queries = prepare(query.vectors, query.metric, kind.dtype)
    starts = np.cumsum([0, *sizes[:-1]])
    candidates = Candidates(len(sizes), query.offset + query.k, query.distance_range)
    rows = sum(part.block.rows for part in view.parts)
    threads = thread_count() if rows * len(query.vectors) >= _LARGE else 1
    with one_thread:
        scored = side_by_side(partial(_of_rows, queries, starts), _passing(view, query), threads)
        for lists, scores in scored:
            candidates.add(scores, [lists.rows])
    pairs = candidates.found()
    return [
        _ranked(view, query, each, pairs.only(pairs.query == number))
        for number, each in enumerate(query.queries())
    ]


def _passing(view: View, query: VectorQuery) -> Iterator[_Lists]:
    """Yield the rows that count, as many at a time as can be scored together."""
    wanted = None if query.row_ids is None else ascending(query.row_ids)
    everything = query.predicate is None and wanted is None
    stored = view.layout.stored[column_of(query.column)]
    step = max(_SCORES // len(query.vectors), 1)
    checks = check_ahead([part.block for part in view.parts])
    for number, (part, _) in enumerate(zip(view.parts, checks, strict=True)):
        block = part.block.vectors(stored, query.column)
        if block is None or block.offsets is None:
            continue
        mask = part.live if everything else view.passing(part, query.predicate, wanted)
        if mask is None or np.count_nonzero(mask) > _GATHER_BELOW * len(mask):
            yield from _whole(number, block, block.offsets, mask, step)
        else:
            yield from _some(number, block, block.offsets, np.flatnonzero(mask), step)


def _whole(
    number: int,
    block: Vectors,
    offsets: NDArray[np.int64],
    mask: NDArray[np.bool_] | None,
    step: int,
) -> Iterator[_Lists]:
    for start, stop in _ranges(offsets, step):
        some = None if mask is None else mask[start:stop]
        first, last = int(offsets[start]), int(offsets[stop])
        yield _Lists(
            Piece(number, block, slice(start, stop), stop - start, some),
            Piece(number, block, slice(first, last), last - first),
            offsets[start : stop + 1] - offsets[start],
        )


def _some(
    number: int, block: Vectors, offsets: NDArray[np.int64], rows: NDArray[np.intp], step: int
) -> Iterator[_Lists]:
    counts = np.diff(offsets)[rows]
    ends = np.concatenate([[0], np.cumsum(counts)])
    for start, stop in _ranges(ends, step):
        chosen, own = rows[start:stop], ends[start : stop + 1] - ends[start]
        at = np.repeat(offsets[chosen] - own[:-1], counts[start:stop]) + np.arange(own[-1])
        every = Piece(number, block, at, len(at))
        yield _Lists(Piece(number, block, chosen, len(chosen)), every, own)


def _ranges(offsets: NDArray[np.int64], step: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of rows with at most so many vectors, or of one row."""
    start, rows = 0, len(offsets) - 1
    while start < rows:
        stop = int(np.searchsorted(offsets, offsets[start] + step, "right")) - 1
        stop = min(max(stop, start + 1), rows)
        yield start, stop
        start = stop


def _of_rows(queries: Queries, starts: NDArray[np.intp], lists: _Lists) -> Scores:
    """Return the distance of each query to each row, and how far it may be off."""
    scores = score(queries, [lists.vectors])
    each, offsets = scores.distance.T, lists.offsets
    valid, unknown = lists.vectors.vectors.valid, scores.unknown
    if valid is not None:
        there = valid[lists.vectors.rows]
        each[~there] = np.inf
        unknown = unknown[there[unknown]]
    nearest = np.full((len(offsets) - 1, each.shape[1]), np.inf, each.dtype)
    some = np.flatnonzero(np.diff(offsets))
    if len(some):
        nearest[some] = np.minimum.reduceat(each, offsets[some], axis=0)
    # Summed up in float64, of which no rounding counts beside those of the scores.
    distance = np.add.reduceat(nearest.astype(np.float64), starts, axis=1).T
    error = np.add.reduceat(scores.error, starts)
    rows = np.unique(np.searchsorted(offsets, unknown, "right") - 1)
    return Scores(distance, error, rows, lists.rows.mask)


def _ranked(view: View, query: VectorQuery, vectors: NDArray[np.float64], pairs: Pairs) -> Nearest:
    """Return the nearest rows of one query, of those that may be among them."""
    stored = view.layout.stored[column_of(query.column)]
    order = np.argsort(pairs.part, kind="stable")
    parts, positions = pairs.part[order], pairs.position[order]
    found = [np.empty(0, np.float32)]
    for number in np.unique(parts).tolist():
        block = view.parts[number].block.vectors(stored, query.column)
        assert block is not None
        rows = RowVectors(block.matrix, block.valid, block.offsets).take(positions[parts == number])
        found.append(row_distances(vectors, rows, query.metric))
    distances = np.concatenate(found)
    kept = np.flatnonzero(wanted_distances(distances, query))
    best = kept[np.lexsort((positions[kept], parts[kept], distances[kept]))]
    best = best[query.offset : query.offset + query.k]
    return parts[best], positions[best], distances[best]
