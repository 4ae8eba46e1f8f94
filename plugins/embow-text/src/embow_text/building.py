"""Texts to a segment, a block at a time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from embow_text.analysis import Analysis
from embow_text.merging import merge
from embow_text.segment import Segment, pack
from embow_text.tokens import occurrences

_BLOCK = 2**23
"""Bytes of text analysed at once: what lies in memory beside it is about twenty times as much."""


def build(column: pa.Array | pa.ChunkedArray, analysis: Analysis) -> Segment:
    """Return a segment of a column of texts, or of lists of texts.

    Raises:
        DataError: The column holds neither.
    """
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    parts = [_build(block, analysis) for chunk in chunks for block in _blocks(chunk)] or [
        _build(pa.array([], pa.string()), analysis)
    ]
    return parts[0] if len(parts) == 1 else merge(parts)


def _blocks(column: pa.Array) -> list[pa.Array]:
    size = max(1, min(len(column), len(column) * _BLOCK // max(column.nbytes, 1)))
    return [column.slice(at, size) for at in range(0, len(column), size)]


def _build(column: pa.Array, analysis: Analysis) -> Segment:
    tokens = occurrences(column, analysis)
    names = [term.encode() for term in tokens.terms]
    order = sorted(range(len(names)), key=names.__getitem__)
    ranks = np.empty(len(names), np.int64)
    ranks[order] = np.arange(len(names))
    # Both numbers fit in one, and numbers alone are sorted several times faster than by a key.
    keys = ranks[tokens.codes] << 32 | np.arange(len(tokens.codes))
    keys.sort()
    place = keys & 0xFFFFFFFF
    codes, rows = keys >> 32, tokens.owners[place]
    first = np.flatnonzero(
        np.r_[True, (codes[1:] != codes[:-1]) | (rows[1:] != rows[:-1])][: len(codes)]
    )
    return pack(
        [names[at] for at in order],
        np.bincount(codes[first], minlength=len(names)),
        rows[first],
        np.diff(np.r_[first, len(codes)]),
        np.bincount(tokens.owners, minlength=tokens.rows),
        tokens.positions[place] if analysis.with_position else None,
    )
