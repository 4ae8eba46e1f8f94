"""A segment: the terms of some rows, in arrays that never change."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Segment:
    """Which term is in which row, how often, and where.

    Attributes:
        letters: The terms in UTF-8, ascending, one after another.
        cuts: Where each term begins in ``letters``, and its end.
        starts: Where each term begins in ``rows`` and ``counts``, and their end.
        rows: Rows that have the term, ascending within a term.
        counts: How often each of them has it.
        lengths: Of each row of the segment, how many terms it has, counted each time.
        positions: Where the term is, by term, row and position; ``None`` without phrases.
    """

    letters: NDArray[np.uint8]
    cuts: NDArray[np.int64]
    starts: NDArray[np.int64]
    rows: NDArray[np.uint32]
    counts: NDArray[Any]
    lengths: NDArray[np.uint32]
    positions: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def documents(self) -> int:
        """Return how many rows have a term."""
        return int(np.count_nonzero(self.lengths))

    @cached_property
    def tokens(self) -> int:
        """Return how many terms all rows have."""
        return int(self.lengths.sum(dtype=np.int64))

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """Return where the positions of each term begin."""
        ends = np.cumsum(self.counts, dtype=np.int64)
        begins: NDArray[np.int64] = np.r_[0, ends][self.starts]
        return begins

    @cached_property
    def terms(self) -> pa.Array:
        """Return the terms as Arrow's binary values, without copying them."""
        buffers = [None, pa.py_buffer(self.cuts), pa.py_buffer(self.letters)]
        return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(self.cuts) - 1, buffers)

    @cached_property
    def by_length(self) -> dict[int, tuple[NDArray[np.int64], NDArray[np.uint32]]]:
        """Return for each number of characters the places of such terms, and a table of them.

        A row of the table is the first character of each term, the next row the second.
        """
        texts = self.terms.cast(pa.large_string())
        sizes = pc.utf8_length(texts).to_numpy().astype(np.int64)
        joined = self.letters.tobytes().decode().encode("utf-32-le")
        characters = np.frombuffer(joined, "<u4")
        begins = np.cumsum(sizes) - sizes
        found = {}
        for size in np.unique(sizes).tolist():
            numbers = np.flatnonzero(sizes == size)
            table = characters[begins[numbers] + np.arange(size)[:, None]]
            found[size] = numbers, table
        return found

    def at(self, term: bytes) -> int:
        """Return the place of the first term that is not before ``term``."""
        low, high = 0, len(self.cuts) - 1
        letters, cuts = self.letters.data, self.cuts
        while low < high:
            middle = (low + high) // 2
            if bytes(letters[int(cuts[middle]) : int(cuts[middle + 1])]) < term:
                low = middle + 1
            else:
                high = middle
        return low

    def find(self, term: str) -> range:
        """Return the place of a term, or nothing."""
        data = term.encode()
        at = self.at(data)
        return range(at, at + (at < len(self.cuts) - 1 and self.term(at) == data))

    def beginning(self, prefix: str) -> range:
        """Return the places of the terms that begin so."""
        data = prefix.encode()
        # No character is written with this byte, so it comes after every one.
        return range(self.at(data), self.at(data + b"\xff"))

    def term(self, at: int) -> bytes:
        """Return the term at a place."""
        return self.letters[self.cuts[at] : self.cuts[at + 1]].tobytes()


def pack(
    terms: list[bytes] | pa.Array,
    sizes: NDArray[np.int64],
    rows: NDArray[Any],
    counts: NDArray[Any],
    lengths: NDArray[Any],
    positions: NDArray[Any] | None,
) -> Segment:
    """Return a segment of what is in order of term and row, in the smallest types.

    Args:
        terms: Ascending; those without rows are left out.
        sizes: How many rows each has.
        rows: As in `Segment`.
        counts: As in `Segment`.
        lengths: As in `Segment`.
        positions: As in `Segment`.
    """
    used = np.flatnonzero(sizes)
    kept = pa.array(terms, pa.large_binary()).take(pa.array(used))
    _, offsets, data = kept.buffers()
    cuts = np.frombuffer(offsets, np.int64, len(kept) + 1) if offsets else np.zeros(1, np.int64)
    letters = np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)
    return Segment(
        letters[: cuts[-1]],
        cuts,
        np.r_[0, np.cumsum(sizes[used])].astype(np.int64),
        rows.astype(np.uint32, copy=False),
        _narrow(counts),
        lengths.astype(np.uint32, copy=False),
        None if positions is None else _narrow(positions),
    )


def _narrow(values: NDArray[Any]) -> NDArray[Any]:
    largest = int(values.max(initial=0))
    fitting = (kind for kind in (np.uint8, np.uint16) if largest <= np.iinfo(kind).max)
    return values.astype(next(fitting, np.uint32), copy=False)
