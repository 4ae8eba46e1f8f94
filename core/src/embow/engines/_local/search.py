"""Exact nearest neighbours, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import accumulate, pairwise
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines._local.alive import ascending
from embow.engines._local.blas import one_thread
from embow.engines._local.blocks import check_ahead
from embow.engines._local.distance import Piece, prepare, score
from embow.engines._local.exhaustive import Nearest, nearest_rows
from embow.engines._local.nearest import Candidates, Pairs
from embow.engines._local.scan import column_names, gather, output_schema
from embow.engines._local.several import nearest_of_lists
from embow.engines._local.threads import side_by_side, thread_count
from embow.engines._local.view import View
from embow.engines.contract import (
    DISTANCE,
    VectorQuery,
    column_of,
    exact_distances,
    vector_kinds,
    wanted_distances,
)

_QUERIES_AT_ONCE = 64
_SCORES = 2**17
"""Scores made at a time: they stay in the cache next to a core."""

_LARGE = 2**26
"""Bytes of vectors from which a scan uses several threads."""

_FEW = 256
"""Rows asked for by id whose distances are computed exactly at once."""

_PAIRS = 1024
"""Rows copied at a time for their exact distances."""

_DISTANCE = pa.field(DISTANCE, pa.float32())

_GATHER_BELOW = (0.3, 0.5)
"""Share of rows below which copying the rows that pass costs less than scoring all: of one query,
and of several, which share the copy."""


def search(view: View, query: VectorQuery) -> list[pa.Table]:
    names = column_names(view, query.columns)
    if query.metric == "hamming":
        return _tables(view, query, names, nearest_rows(view, query))
    if vector_kinds(view.layout.schema)[query.column].multi:
        return _tables(view, query, names, nearest_of_lists(view, query))
    few = (
        query.row_ids is not None
        and query.predicate is None
        and len(query.row_ids) <= _FEW
        and len(query.vectors) == 1
    )
    results: list[pa.Table] = []
    for start in range(0, len(query.vectors), _QUERIES_AT_ONCE):
        vectors = query.vectors[start : start + _QUERIES_AT_ONCE]
        if few:
            pairs, exact = _pairs(view, query), vectors.astype(np.float64)
        else:
            pairs, exact = _candidates(view, query, vectors)
        results += _tables(view, query, names, _rank(view, query, exact, pairs))
    return results


def _pairs(view: View, query: VectorQuery) -> Pairs:
    """Return rows asked for by id, all of them: so few that exact distances are all they need."""
    stored = view.layout.stored[column_of(query.column)]
    parts, positions = [np.empty(0, np.intp)], [np.empty(0, np.intp)]
    for number, rows in view.locate(ascending(() if query.row_ids is None else query.row_ids)):
        vectors = view.parts[number].block.vectors(stored, query.column)
        if vectors is not None and query.k:
            kept = rows if vectors.valid is None else rows[vectors.valid[rows]]
            parts.append(np.full(len(kept), number, np.intp))
            positions.append(kept)
    part = np.concatenate(parts)
    zeros = np.zeros(len(part))
    return Pairs(np.zeros(len(part), np.intp), part, np.concatenate(positions), zeros, zeros)


def _candidates(
    view: View, query: VectorQuery, vectors: NDArray[np.float32]
) -> tuple[Pairs, NDArray[np.float64]]:
    """Return what can be among the nearest of each vector, and the vectors in float64."""
    dtype = vector_kinds(view.layout.schema)[query.column].dtype
    queries = prepare(vectors, query.metric, dtype)
    candidates = Candidates(len(vectors), query.offset + query.k, query.distance_range)
    rows = sum(map(attrgetter("block.rows"), view.parts))
    threads = thread_count() if rows * vectors.shape[1] * dtype.itemsize >= _LARGE else 1
    step = _SCORES // len(vectors)
    if threads > 1:
        step = min(step, max(rows // (4 * threads), 1))
    with one_thread:
        pieces = _pieces(view, query, step)
        for some, scores in side_by_side(partial(score, queries), pieces, threads):
            candidates.add(scores, some)
    return candidates.found(), queries.exact


def _pieces(view: View, query: VectorQuery, step: int) -> Iterator[list[Piece]]:
    """Yield the rows to score, as many at a time as are scored together.

    They are whole blocks or, where few rows pass, those rows. What is done for each is as little
    as possible: a block that was read has driven everything else out of the processor's cache.
    """
    together: list[Piece] = []
    rows = 0
    for piece in _passing(view, query):
        for each in (piece,) if piece.count <= step else piece.split(step):
            if rows + each.count > step and together:
                yield together
                together, rows = [], 0
            together.append(each)
            rows += each.count
    if together:
        yield together


def _passing(view: View, query: VectorQuery) -> Iterator[Piece]:
    """Yield the rows of each part that count."""
    if not query.k:
        return
    wanted = None if query.row_ids is None else ascending(query.row_ids)
    everything = query.predicate is None
    stored = view.layout.stored[column_of(query.column)]
    below = _GATHER_BELOW[len(query.vectors) > 1]
    if wanted is not None and query.predicate is None:
        yield from _listed(view, wanted, query.column, below)
        return
    checks = check_ahead(list(map(attrgetter("block"), view.parts)))
    for number, (part, _) in enumerate(zip(view.parts, checks, strict=True)):
        block = part.block.vectors(stored, query.column)
        if block is None:
            continue
        mask = part.live if everything else view.passing(part, query.predicate, wanted)
        if block.valid is not None:
            mask = block.valid if mask is None else mask & block.valid
        if mask is None or np.count_nonzero(mask) > below * len(mask):
            yield Piece(number, block, slice(0, part.block.rows), part.block.rows, mask)
        elif len(rows := np.flatnonzero(mask)):
            yield Piece(number, block, rows, len(rows))


def _listed(view: View, row_ids: NDArray[np.int64], column: str, below: float) -> Iterator[Piece]:
    """Yield rows by their ids, which ascend; other blocks are not even looked at."""
    found, stored = list(view.locate(row_ids)), view.layout.stored[column_of(column)]
    blocks = [view.parts[number].block for number, _ in found]
    for (number, rows), block, _ in zip(found, blocks, check_ahead(blocks), strict=True):
        vectors = block.vectors(stored, column)
        if vectors is None:
            continue
        if vectors.valid is not None:
            rows = rows[vectors.valid[rows]]
        if len(rows) > below * block.rows:
            mask = np.zeros(block.rows, np.bool_)
            mask[rows] = True
            yield Piece(number, vectors, slice(0, block.rows), block.rows, mask)
        elif len(rows):
            yield Piece(number, vectors, rows, len(rows))


def _rank(
    view: View, query: VectorQuery, exact: NDArray[np.float64], pairs: Pairs
) -> list[Nearest]:
    """Return the nearest of each query, which has its pairs together."""
    distances = _exact(view, query, exact, pairs)
    kept = np.flatnonzero(wanted_distances(distances, query))
    of = pairs.query[kept]
    order = kept[np.lexsort((pairs.position[kept], pairs.part[kept], distances[kept], of))]
    ends = np.cumsum(np.bincount(of, minlength=len(exact))).tolist()
    found = []
    for start, end in pairwise([0, *ends]):
        some = order[start:end][query.offset : query.offset + query.k]
        found.append((pairs.part[some], pairs.position[some], distances[some]))
    return found


def _exact(
    view: View, query: VectorQuery, exact: NDArray[np.float64], pairs: Pairs
) -> NDArray[np.float32]:
    """Return the distance of each pair, rounded from float64."""
    stored = view.layout.stored[column_of(query.column)]
    distances = np.empty(len(pairs.query), np.float32)
    order = np.argsort(pairs.part, kind="stable")
    for start in range(0, len(order), _PAIRS):
        some = order[start : start + _PAIRS]
        parts, positions = pairs.part[some], pairs.position[some]
        rows: list[NDArray[Any]] = []
        for number in sorted(set(parts.tolist())):
            block = view.parts[number].block.vectors(stored, query.column)
            assert block is not None
            rows.append(block.matrix[positions[parts == number]])
        matrix = rows[0] if len(rows) == 1 else np.concatenate(rows)
        distances[some] = exact_distances(exact[pairs.query[some]], matrix, query.metric)
    return distances


def _tables(
    view: View, query: VectorQuery, names: list[str], found: list[Nearest]
) -> list[pa.Table]:
    """Return one table for each query; they share the memory of their rows."""
    if not found:
        return []
    schema = output_schema(view, names, with_row_id=query.with_row_id)
    parts, positions, distances = found[0]
    if len(found) > 1:
        parts, positions, distances = map(np.concatenate, zip(*found, strict=True))
    rows = gather(view, names, parts, positions, schema)
    data = pa.py_buffer(np.ascontiguousarray(distances))
    column = pa.Array.from_buffers(pa.float32(), len(distances), [None, data])
    arrays = [*rows.columns[: len(names)], column, *rows.columns[len(names) :]]
    table = pa.Table.from_arrays(arrays, schema=schema.insert(len(names), _DISTANCE))
    if len(found) == 1:
        return [table]
    ends = accumulate([len(each) for each, _, _ in found], initial=0)
    return [table.slice(start, end - start) for start, end in pairwise(ends)]
