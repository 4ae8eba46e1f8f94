"""Exact nearest neighbours, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines._local.blas import one_thread
from embow.engines._local.blocks import check_ahead
from embow.engines._local.distance import (
    Queries,
    Scores,
    prepare,
    score,
    score_rows,
)
from embow.engines._local.exhaustive import Nearest, nearest_rows
from embow.engines._local.nearest import Candidates, Origin
from embow.engines._local.scan import column_names, gather, output_schema
from embow.engines._local.vectors import Vectors
from embow.engines._local.view import View
from embow.engines.contract import (
    DISTANCE,
    VectorQuery,
    exact_distances,
    vector_kinds,
    wanted_distances,
)

_QUERIES_AT_ONCE = 64
_TOGETHER = 8192
"""Rows copied from several blocks before they are scored."""

_GATHER_BELOW = 0.3
"""Share of rows below which copying the rows that pass reads fewer bytes than scoring all."""


def search(view: View, query: VectorQuery) -> list[pa.Table]:
    names = column_names(view, query.columns)
    kind = vector_kinds(view.layout.schema)[query.column]
    if kind.multi or query.metric == "hamming" or query.column not in view.layout.schema.names:
        return [_table(view, query, names, *each) for each in nearest_rows(view, query)]
    results: list[pa.Table] = []
    for start in range(0, len(query.vectors), _QUERIES_AT_ONCE):
        vectors = query.vectors[start : start + _QUERIES_AT_ONCE]
        candidates, exact = _candidates(view, query, vectors)
        for at, vector in enumerate(exact):
            nearest = _rank(view, query, vector, *candidates.of(at))
            results.append(_table(view, query, names, *nearest))
    return results


def _candidates(
    view: View, query: VectorQuery, vectors: NDArray[np.float32]
) -> tuple[Candidates, NDArray[np.float64]]:
    """Return what can be among the nearest of each vector, and the vectors in float64."""
    value_type = view.layout.schema.field(query.column).type.value_type
    dtype: np.dtype[Any] = np.dtype(value_type.to_pandas_dtype())
    queries = prepare(vectors, query.metric, dtype)
    candidates = Candidates(len(vectors), query.offset + query.k, query.distance_range)
    with one_thread:
        for scores, origin in _scored(view, query, queries):
            candidates.add(scores, origin)
    return candidates, queries.exact


def _scored(view: View, query: VectorQuery, queries: Queries) -> Iterator[tuple[Scores, Origin]]:
    """Score each part whole, or, of parts from which few rows pass, those rows together."""
    few: list[_Few] = []
    wanted = None if query.row_ids is None else np.unique(np.asarray(query.row_ids, np.int64))
    everything = query.predicate is None and wanted is None
    stored = view.layout.stored[query.column]
    checks = check_ahead(list(map(attrgetter("block"), view.parts)))
    for number, (part, _) in enumerate(zip(view.parts, checks, strict=True)):
        block = part.block.vectors(stored)
        if block is None or not query.k:
            continue
        mask = part.live if everything else view.passing(part, query.predicate, wanted)
        if block.valid is not None:
            mask = block.valid if mask is None else mask & block.valid
        if mask is None or np.count_nonzero(mask) > _GATHER_BELOW * len(mask):
            scores = score(queries, block)
            yield scores if mask is None else _masked(scores, mask), Origin(number)
            continue
        few.append(_Few(number, block, np.flatnonzero(mask)))
        if sum(len(each.rows) for each in few) > _TOGETHER:
            yield _score_few(queries, few)
            few = []
    if few:
        yield _score_few(queries, few)


@dataclass(frozen=True, slots=True)
class _Few:
    part: int
    block: Vectors
    rows: NDArray[np.intp]


def _score_few(queries: Queries, few: list[_Few]) -> tuple[Scores, Origin]:
    parts = np.repeat([each.part for each in few], [len(each.rows) for each in few])
    positions = np.concatenate([each.rows for each in few])
    scores = score_rows(queries, [(each.block, each.rows) for each in few])
    return scores, Origin(parts=parts, positions=positions)


def _masked(scores: Scores, mask: NDArray[np.bool_]) -> Scores:
    scores.distance[:, ~mask] = np.inf
    unknown = scores.unknown[mask[scores.unknown]]
    return Scores(scores.distance, scores.error, unknown)


def _rank(
    view: View,
    query: VectorQuery,
    vector: NDArray[np.float64],
    parts: NDArray[np.intp],
    positions: NDArray[np.intp],
) -> Nearest:
    distances = np.empty(len(parts), np.float32)
    stored = view.layout.stored[query.column]
    for number in np.unique(parts):
        block = view.parts[number].block.vectors(stored)
        assert block is not None
        chosen = parts == number
        rows = block.matrix[positions[chosen]]
        distances[chosen] = exact_distances(vector, rows, query.metric)
    kept = wanted_distances(distances, query)
    parts, positions, distances = parts[kept], positions[kept], distances[kept]
    window = slice(query.offset, query.offset + query.k)
    order = np.lexsort((positions, parts, distances))[window]
    return parts[order], positions[order], distances[order]


def _table(
    view: View,
    query: VectorQuery,
    names: list[str],
    parts: NDArray[np.intp],
    positions: NDArray[np.intp],
    distances: NDArray[np.float32],
) -> pa.Table:
    schema = output_schema(view, names, with_row_id=query.with_row_id)
    rows = gather(view, names, parts, positions, schema)
    data = pa.py_buffer(np.ascontiguousarray(distances))
    column = pa.Array.from_buffers(pa.float32(), len(distances), [None, data])
    field = pa.field(DISTANCE, pa.float32())
    return pa.Table.from_batches([rows]).add_column(len(names), field, column)
