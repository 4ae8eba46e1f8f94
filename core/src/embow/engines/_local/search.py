"""Exact nearest neighbours, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines._local.blas import one_thread
from embow.engines._local.blocks import check_ahead
from embow.engines._local.distance import Piece, prepare, score
from embow.engines._local.nearest import Candidates, Pairs
from embow.engines._local.scan import column_names, gather, output_schema
from embow.engines._local.view import View
from embow.engines.contract import DISTANCE, VectorQuery, exact_distances, wanted_distances

_QUERIES_AT_ONCE = 64
_SCORES = 2**17
"""Scores made at a time: they stay in the cache next to a core."""

_PAIRS = 1024
"""Rows copied at a time for their exact distances."""

_GATHER_BELOW = 0.3
"""Share of rows below which copying the rows that pass reads fewer bytes than scoring all."""


def search(view: View, query: VectorQuery) -> list[pa.Table]:
    names = column_names(view, query.columns)
    results: list[pa.Table] = []
    for start in range(0, len(query.vectors), _QUERIES_AT_ONCE):
        vectors = query.vectors[start : start + _QUERIES_AT_ONCE]
        pairs, exact = _candidates(view, query, vectors)
        results += _tables(view, query, names, len(vectors), _rank(view, query, exact, pairs))
    return results


def _candidates(
    view: View, query: VectorQuery, vectors: NDArray[np.float32]
) -> tuple[Pairs, NDArray[np.float64]]:
    """Return what can be among the nearest of each vector, and the vectors in float64."""
    value_type = view.layout.schema.field(query.column).type.value_type
    dtype: np.dtype[Any] = np.dtype(value_type.to_pandas_dtype())
    queries = prepare(vectors, query.metric, dtype)
    candidates = Candidates(len(vectors), query.offset + query.k, query.distance_range)
    with one_thread:
        for pieces in _pieces(view, query):
            candidates.add(score(queries, pieces), pieces)
    return candidates.found(), queries.exact


def _pieces(view: View, query: VectorQuery) -> Iterator[list[Piece]]:
    """Yield the rows to score, as many at a time as can be scored together.

    They are whole blocks or, where few rows pass, those rows. What is done for each is as little
    as possible: a block that was read has driven everything else out of the processor's cache.
    """
    together: list[Piece] = []
    rows = 0
    step = max(_SCORES // len(query.vectors), 1)
    for piece in _passing(view, query):
        for each in piece.split(step):
            if rows + len(each) > step and together:
                yield together
                together, rows = [], 0
            together.append(each)
            rows += len(each)
    if together:
        yield together


def _passing(view: View, query: VectorQuery) -> Iterator[Piece]:
    """Yield the rows of each part that count."""
    if not query.k:
        return
    wanted = None if query.row_ids is None else np.unique(np.asarray(query.row_ids, np.int64))
    everything = query.predicate is None and wanted is None
    stored = view.layout.stored[query.column]
    checks = check_ahead(list(map(attrgetter("block"), view.parts)))
    for number, (part, _) in enumerate(zip(view.parts, checks, strict=True)):
        block = part.block.vectors(stored)
        if block is None:
            continue
        mask = part.live if everything else view.passing(part, query.predicate, wanted)
        if block.valid is not None:
            mask = block.valid if mask is None else mask & block.valid
        if mask is None or np.count_nonzero(mask) > _GATHER_BELOW * len(mask):
            yield Piece(number, block, slice(0, part.block.rows), mask)
        elif len(rows := np.flatnonzero(mask)):
            yield Piece(number, block, rows)


@dataclass(frozen=True, slots=True)
class _Nearest:
    """Rows that were found: those of each query together, nearest first.

    Attributes:
        counts: How many rows each query has.
        parts: Part number of each row.
        positions: Position of each row within its part.
        distances: Distance of each row.
    """

    counts: NDArray[np.intp]
    parts: NDArray[np.intp]
    positions: NDArray[np.intp]
    distances: NDArray[np.float32]


def _rank(view: View, query: VectorQuery, exact: NDArray[np.float64], pairs: Pairs) -> _Nearest:
    distances = _exact(view, query, exact, pairs)
    kept = np.flatnonzero(wanted_distances(distances, query))
    pairs, distances = pairs.only(kept), distances[kept]
    order = np.lexsort((pairs.position, pairs.part, distances, pairs.query))
    counts = np.bincount(pairs.query, minlength=len(exact))
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    order = order[(query.offset <= place) & (place < query.offset + query.k)]
    counts = np.clip(counts - query.offset, 0, query.k)
    return _Nearest(counts, pairs.part[order], pairs.position[order], distances[order])


def _exact(
    view: View, query: VectorQuery, exact: NDArray[np.float64], pairs: Pairs
) -> NDArray[np.float32]:
    """Return the distance of each pair, rounded from float64."""
    distances = np.empty(len(pairs.query), np.float32)
    stored = view.layout.stored[query.column]
    order = np.argsort(pairs.part, kind="stable")
    ends = np.flatnonzero(np.diff(pairs.part[order])) + 1
    for start, stop in pairwise([0, *ends.tolist(), len(order)]):
        if start < stop:
            chosen = order[start:stop]
            block = view.parts[pairs.part[chosen[0]]].block.vectors(stored)
            assert block is not None
            for some in np.split(chosen, range(_PAIRS, len(chosen), _PAIRS)):
                rows = block.matrix[pairs.position[some]]
                distances[some] = exact_distances(exact[pairs.query[some]], rows, query.metric)
    return distances


def _tables(
    view: View, query: VectorQuery, names: list[str], queries: int, nearest: _Nearest
) -> list[pa.Table]:
    """Return one table for each query; they share the memory of their rows."""
    schema = output_schema(view, names, with_row_id=query.with_row_id)
    rows = gather(view, names, nearest.parts, nearest.positions, schema)
    data = pa.py_buffer(np.ascontiguousarray(nearest.distances))
    column = pa.Array.from_buffers(pa.float32(), len(nearest.distances), [None, data])
    field = pa.field(DISTANCE, pa.float32())
    table = pa.Table.from_batches([rows]).add_column(len(names), field, column)
    if queries == 1:
        return [table]
    ends = np.cumsum(nearest.counts).tolist()
    return [table.slice(start, end - start) for start, end in pairwise([0, *ends])]
