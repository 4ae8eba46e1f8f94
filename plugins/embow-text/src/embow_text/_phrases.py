"""Which rows have words in their order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from embow_text.index import looked_up
from embow_text.segment import Segment
from embow_text.slices import ranges


def in_order(
    segment: Segment,
    words: list[tuple[NDArray[np.int64], int]],
    rows: NDArray[Any],
    slop: int,
) -> NDArray[np.bool_]:
    """Return which rows have the words in order, with at most ``slop`` others between them.

    A position less the word's place in the phrase never falls along the phrase, and by how much
    it rises is how many other words lie between. So from each first word the nearest next one
    is the best.

    Args:
        segment: With positions.
        words: The terms of each word, and its place in the phrase.
        rows: Rows that have all of them, ascending.
        slop: How many words may lie between.
    """
    last = max(place for _, place in words)
    keys = [_keys(segment, terms, rows, last - place) for terms, place in words]
    if not slop:
        keys.sort(key=len)
    begin = at = keys[0]
    for each in keys[1:]:
        place = np.searchsorted(each, at)
        there = place < len(each)
        begin, at = begin[there], each[place[there]]
        near = (at >> 32 == begin >> 32) & (at - begin <= slop)
        begin, at = begin[near], at[near]
    found = np.zeros(len(rows), bool)
    found[begin >> 32] = True
    return found


def _keys(
    segment: Segment, terms: NDArray[np.int64], rows: NDArray[Any], shift: int
) -> NDArray[np.int64]:
    """Return where terms are in rows: the row's place above 32 bits, the shifted position below."""
    assert segment.positions is not None
    found = []
    for term in terms.tolist():
        postings = slice(segment.starts[term], segment.starts[term + 1])
        at, there = looked_up(rows, segment.rows[postings])
        counts = segment.counts[postings].astype(np.int64)
        begins = np.cumsum(counts) - counts + segment.places[term]
        at = at[there]
        positions = segment.positions[ranges(begins[at], counts[at])].astype(np.int64)
        owners = np.repeat(np.flatnonzero(there), counts[at])
        found.append(owners << 32 | positions + shift)
    keys = np.concatenate(found) if found else np.zeros(0, np.int64)
    if len(found) > 1:
        keys.sort()
    return keys
