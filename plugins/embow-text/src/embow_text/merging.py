"""Segments of neighbouring rows into one, without the rows that were deleted."""

from __future__ import annotations

from collections.abc import Sequence

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

    The result is what building it from the rows that are left would have given.

    Args:
        segments: In the order of their rows, of one analysis.
        kept: For each of them which rows stay; ``None`` for all of them.
    """
    masks = kept or [None] * len(segments)
    terms = pa.concat_arrays([segment.terms for segment in segments]).unique()
    terms = terms.take(pc.sort_indices(terms))
    codes, rows, counts, lengths, places = [], [], [], [], []
    before = 0
    for segment, mask in zip(segments, masks, strict=True):
        stays = np.ones(len(segment), bool) if mask is None else mask
        posting = np.flatnonzero(stays[segment.rows])
        numbers = pc.index_in(segment.terms, terms).to_numpy().astype(np.int64)
        codes.append(np.repeat(numbers, np.diff(segment.starts))[posting])
        rows.append((np.cumsum(stays) - 1 + before)[segment.rows[posting]])
        counts.append(segment.counts[posting].astype(np.int64))
        lengths.append(segment.lengths[stays])
        places.append(_positions(segment, posting))
        before += int(np.count_nonzero(stays))
    code, row, count = (np.concatenate(part) for part in (codes, rows, counts))
    order = np.argsort(code << 32 | row)
    return pack(
        terms,
        code[order],
        row[order],
        count[order],
        np.concatenate(lengths).astype(np.int64),
        _in_order(places, count, order),
    )


def _positions(segment: Segment, posting: NDArray[np.int64]) -> NDArray[np.int64] | None:
    if segment.positions is None:
        return None
    ends = np.cumsum(segment.counts, dtype=np.int64)
    sizes = segment.counts[posting].astype(np.int64)
    return segment.positions[ranges(ends[posting] - sizes, sizes)].astype(np.int64)


def _in_order(
    places: list[NDArray[np.int64] | None], counts: NDArray[np.int64], order: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    whole = [part for part in places if part is not None]
    if len(whole) < len(places):
        return None
    begins = np.cumsum(counts) - counts
    return np.concatenate(whole)[ranges(begins[order], counts[order])]
