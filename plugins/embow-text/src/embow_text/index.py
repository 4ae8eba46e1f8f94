"""An index: segments that are searched as one, and the words of a query in each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow_text._fuzzy import near
from embow_text.analysis import Analysis
from embow_text.scoring import Bm25
from embow_text.segment import Segment


@dataclass(frozen=True, eq=False)
class Part:
    """A segment and the rows of a table it stands for.

    Attributes:
        segment: The terms.
        ids: Row ids, ascending; the id of the first where they follow one another.
        passing: Which rows may be found: those that are not deleted and pass the filter. ``None``
            for all of them.
        counted: Which rows say how rare a word is and how long rows are; ``None`` for all of
            them. With those that are not deleted in a version, scores are the same however the
            rows lie in segments. With all of them deleted rows count until they are merged away,
            as in Lucene.
    """

    segment: Segment
    ids: int | NDArray[np.int64] = 0
    passing: NDArray[np.bool_] | None = None
    counted: NDArray[np.bool_] | None = None

    @cached_property
    def documents(self) -> int:
        """Return how many rows that count have a word."""
        if self.counted is None:
            return self.segment.documents
        return int(np.count_nonzero(self.segment.lengths[self.counted]))

    @cached_property
    def tokens(self) -> int:
        """Return how many words they have."""
        if self.counted is None:
            return self.segment.tokens
        return int(self.segment.lengths[self.counted].sum(dtype=np.int64))

    def among(self, wanted: NDArray[np.int64]) -> Part:
        """Return the same part where only rows of these ids, ascending, may be found."""
        passing = np.zeros(len(self.segment), bool)
        if isinstance(self.ids, np.ndarray):
            low, high = np.searchsorted(wanted, [self.ids[0], self.ids[-1] + 1])
            places, there = looked_up(wanted[low:high], self.ids)
            passing[places[there]] = True
        else:
            low, high = np.searchsorted(wanted, [self.ids, self.ids + len(passing)])
            passing[wanted[low:high] - self.ids] = True
        if self.counted is not None:
            passing &= self.counted
        part = replace(self, passing=passing)
        # Statistics are of the rows that count, whichever may be found, and are kept.
        part.__dict__.update(documents=self.documents, tokens=self.tokens)
        return part

    def named(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """Return the ids of rows of the segment."""
        if isinstance(self.ids, np.ndarray):
            ids: NDArray[np.int64] = self.ids[rows]
        else:
            ids = rows.astype(np.int64) + self.ids
        return ids


@dataclass(frozen=True, eq=False)
class TextIndex:
    """The text of one column, as of one state of its table.

    Attributes:
        parts: The segments, in any order, no row in two of them.
        analysis: What made their terms.
        scoring: How rows are scored.
    """

    parts: Sequence[Part]
    analysis: Analysis
    scoring: Bm25 = field(default_factory=Bm25)

    @cached_property
    def documents(self) -> int:
        """Return how many rows have a word."""
        return sum(part.documents for part in self.parts)

    def among(self, wanted: NDArray[np.int64]) -> TextIndex:
        """Return the same index where only rows of these ids, ascending, may be found."""
        parts = [part.among(wanted) for part in self.parts if len(part.segment)]
        return replace(self, parts=parts)

    @cached_property
    def average(self) -> float:
        """Return how many words such a row has."""
        return sum(part.tokens for part in self.parts) / max(self.documents, 1)


@dataclass(frozen=True, eq=False)
class Word:
    """A word of a query, looked up.

    Attributes:
        terms: In each part the terms that stand for it, ascending.
        rows: In each part the rows that have one.
        counts: How often.
        df: How many rows of those that count have it.
    """

    terms: list[NDArray[np.int64]]
    rows: list[NDArray[Any]]
    counts: list[NDArray[Any]]
    df: int


def exact(index: TextIndex, term: str) -> Word:
    """Return the word that is one term."""
    return _word(index, [_numbers(part.segment.find(term)) for part in index.parts])


def beginning(index: TextIndex, prefix: str) -> Word:
    """Return the word that is every term with that beginning."""
    return _word(index, [_numbers(part.segment.beginning(prefix)) for part in index.parts])


def fuzzy(index: TextIndex, term: str, most: int, prefix: int, expansions: int) -> Word:
    """Return the word that is the nearest terms, and of equally near ones the commonest.

    They count as one word, so that a rare misspelling does not score above what was meant.
    """
    distances: dict[bytes, int] = {}
    common: dict[bytes, int] = {}
    places: list[dict[bytes, int]] = []
    for part in index.parts:
        segment = part.segment
        numbers, far = near(segment, term, most, prefix)
        names = segment.terms.take(pa.array(numbers)).to_pylist()
        rows = (segment.starts[numbers + 1] - segment.starts[numbers]).tolist()
        places.append(dict(zip(names, numbers.tolist(), strict=True)))
        distances |= zip(names, far.tolist(), strict=True)
        for name, df in zip(names, rows, strict=True):
            common[name] = common.get(name, 0) + df
    ranked = sorted(distances, key=lambda name: (distances[name], -common[name], name))
    best = ranked[:expansions]
    return _word(
        index,
        [np.array(sorted(at[name] for name in best if name in at), np.int64) for at in places],
    )


def _numbers(places: range) -> NDArray[np.int64]:
    return np.arange(places.start, places.stop)


def _word(index: TextIndex, terms: list[NDArray[np.int64]]) -> Word:
    rows, counts, df = [], [], 0
    for part, numbers in zip(index.parts, terms, strict=True):
        found, times = _postings(part.segment, numbers)
        rows.append(found)
        counts.append(times)
        df += len(found) if part.counted is None else int(np.count_nonzero(part.counted[found]))
    return Word(terms, rows, counts, df)


def _postings(segment: Segment, terms: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
    if len(terms) < 2:
        only = _of(segment, terms[0], terms[0] + 1) if len(terms) else slice(0)
        return segment.rows[only], segment.counts[only]
    if terms[-1] - terms[0] == len(terms) - 1:  # Neighbours, as after a prefix, lie together.
        slices = [_of(segment, terms[0], terms[-1] + 1)]
    else:
        slices = [_of(segment, at, at + 1) for at in terms.tolist()]
    rows = np.concatenate([segment.rows[each] for each in slices])
    counts = np.concatenate([segment.counts[each] for each in slices])
    return added(rows, counts, len(segment))


def _of(segment: Segment, first: int, end: int) -> slice:
    """Return where the rows of terms that follow one another are."""
    return slice(int(segment.starts[first]), int(segment.starts[end]))


def added(
    rows: NDArray[Any], values: NDArray[Any], size: int
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return each row once, ascending, with the sum of its values in their order.

    Args:
        rows: Numbers below ``size``.
        values: One for each, none of them zero.
        size: How many rows there are.
    """
    if len(rows) * 8 > size:
        totals = np.bincount(rows, values, size)
        there = np.zeros(size, bool)
        there[rows] = True
        found = np.flatnonzero(there)
        return found, totals[found]
    unique, place = np.unique(rows, return_inverse=True)
    return unique.astype(np.int64), np.bincount(place, values)


def looked_up(
    wanted: NDArray[Any], within: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return where each wanted number would be in an ascending array, and whether it is there."""
    at = np.searchsorted(within, wanted)
    there = at < len(within)
    there[there] = within[at[there]] == wanted[there]
    return at, there
