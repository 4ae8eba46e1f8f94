"""Segments of neighbouring rows into one, without the rows that were deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from embow_text.segment import Segment, pack
from embow_text.slices import ranges


def merge(
    segments: Sequence[Segment], kept: Sequence[NDArray[np.bool_] | None] | None = None
) -> Segment:
    """Return one segment with the rows of several, one after another.

    The result is what building it from the rows that are left would have given. Nothing is
    sorted: what a term has in each segment is put behind what it has in the segments before.

    Args:
        segments: In the order of their rows, of one analysis.
        kept: For each of them which rows stay; ``None`` for all of them.
    """
    masks = kept or [None] * len(segments)
    terms = pa.concat_arrays([segment.terms for segment in segments]).unique()
    terms = terms.take(pc.sort_indices(terms))
    parts = []
    before = 0
    for segment, mask in zip(segments, masks, strict=True):
        parts.append(_part(segment, mask, terms, before))
        before += len(parts[-1].lengths)
    sizes = [part.sizes for part in parts]
    spans = [part.spans for part in parts]
    return pack(
        terms,
        np.sum(sizes, axis=0),
        _interleaved([part.rows for part in parts], sizes),
        _interleaved([part.counts for part in parts], sizes),
        np.concatenate([part.lengths for part in parts]),
        _interleaved([part.positions for part in parts if part.positions is not None], spans)
        if all(part.positions is not None for part in parts)
        else None,
    )


@dataclass(frozen=True, eq=False)
class _Part:
    """What stays of a segment; ``sizes`` and ``spans`` count rows and positions of each term."""

    sizes: NDArray[np.int64]
    spans: NDArray[np.int64]
    rows: NDArray[Any]
    counts: NDArray[Any]
    lengths: NDArray[np.uint32]
    positions: NDArray[Any] | None


def _part(segment: Segment, mask: NDArray[np.bool_] | None, terms: pa.Array, before: int) -> _Part:
    stays = np.ones(len(segment), bool) if mask is None else mask
    posting = stays[segment.rows]
    numbers = pc.index_in(segment.terms, terms).to_numpy()
    sizes, spans = np.zeros((2, len(terms)), np.int64)
    sizes[numbers] = _totals(posting, segment.starts)
    spans[numbers] = _totals(posting * segment.counts.astype(np.int64), segment.starts)
    positions = segment.positions
    return _Part(
        sizes,
        spans,
        (np.cumsum(stays) - 1 + before).astype(np.uint32)[segment.rows[posting]],
        segment.counts[posting],
        segment.lengths[stays],
        None if positions is None else positions[np.repeat(posting, segment.counts)],
    )


def _totals(values: NDArray[Any], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    totals: NDArray[np.int64] = np.diff(np.r_[0, np.cumsum(values, dtype=np.int64)][starts])
    return totals


def _interleaved(parts: list[NDArray[Any]], sizes: list[NDArray[np.int64]]) -> NDArray[Any]:
    """Return values by term and then by part, given each part's values by term, and how many."""
    whole = np.sum(sizes, axis=0)
    begins = np.cumsum(whole) - whole
    values = np.empty(sum(map(len, parts)), np.result_type(*parts))
    for part, size in zip(parts, sizes, strict=True):
        values[ranges(begins, size)] = part
        begins = begins + size
    return values
