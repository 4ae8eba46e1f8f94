"""Which rows are deleted, and so which of a block are alive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from embow.engines._local.blocks import Block
from embow.engines._local.records import Deletion
from embow.engines.contract import RowIds


@dataclass(frozen=True, slots=True)
class Part:
    """A block, which of its rows are alive (``None``: all), and how many."""

    block: Block
    live: NDArray[np.bool_] | None
    rows: int


@dataclass(frozen=True, slots=True)
class Dead:
    """Which rows are deleted.

    Attributes:
        runs: Ids, ascending within each run; a run is at least twice as long as the next, so that
            one more deletion does not copy all earlier ones.
        ranges: Ranges of ids, apart from each other and ascending; the end is excluded.
    """

    runs: tuple[RowIds, ...] = ()
    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, deletions: Iterable[Deletion]) -> Dead:
        """Return what these deletions take away."""
        found = list(deletions)
        row_ids = [each.rows for each in found if len(each.rows)]
        runs = (ascending(np.concatenate(row_ids)),) if row_ids else ()
        return cls(runs, _union([each.range for each in found if each.range]))

    def __bool__(self) -> bool:
        return bool(self.runs or self.ranges)

    def with_more(self, more: Dead) -> Dead:
        """Return what is deleted with other rows too."""
        runs = [*self.runs, *more.runs]
        while len(runs) > 1 and len(runs[-2]) < 2 * len(runs[-1]):
            runs[-2:] = [np.sort(np.concatenate(runs[-2:]), kind="stable")]
        return Dead(
            tuple(runs), _union([*self.ranges, *more.ranges]) if more.ranges else self.ranges
        )

    def from_row(self, row: int) -> Dead:
        """Return what is deleted with every row from an id on too."""
        return Dead(self.runs, _union([*self.ranges, (row, _END)]))

    def all_of(self, first: int, end: int) -> bool:
        """Return whether every id from one to another (excluded) is in a deleted range."""
        return any(low <= first and end <= high for low, high in self.ranges)

    def part(self, block: Block) -> Part:
        """Return a block and which of its rows are alive."""
        return self.fewer(Part(block, None, block.rows))

    def fewer(self, part: Part) -> Part:
        """Return a part without these rows; the same one where it has none of them."""
        block = part.block
        gone: list[NDArray[np.intp] | slice] = []
        for row_ids in self.runs:
            if row_ids[-1] < block.first_row or block.last_row < row_ids[0]:
                continue
            low, high = np.searchsorted(row_ids, [block.first_row, block.last_row + 1])
            if low < high:
                gone.append(block.positions(row_ids[low:high]))
        for first, end in self.ranges:
            if first <= block.last_row and block.first_row < end:
                gone.append(slice(*np.searchsorted(block.ids, [first, end])))
        if not gone:
            return part
        live = np.ones(block.rows, np.bool_) if part.live is None else part.live.copy()
        for each in gone:
            live[each] = False
        rows = int(np.count_nonzero(live))
        return Part(block, None if rows == block.rows else live, rows)


_END = 2**62


def parts_of(
    blocks: Iterable[Block], dead: Dead, before: Sequence[Part], more: Dead | None
) -> list[Part]:
    """Return blocks with which of their rows are alive.

    Args:
        blocks: All there are.
        dead: All that is deleted.
        before: Parts of an earlier version.
        more: What was deleted since that version, if anything was.
    """
    known = {part.block: part for part in before}
    parts = []
    for block in blocks:
        part = known.get(block)
        if part is None:
            part = dead.part(block)
        elif more is not None:
            part = more.fewer(part)
        parts.append(part)
    return parts


def ascending(row_ids: ArrayLike) -> RowIds:
    """Return ids in ascending order, each once; those that are so already are not sorted."""
    ids = np.asarray(row_ids, np.int64)
    if (ids[1:] > ids[:-1]).all():
        return ids
    ordered = np.sort(ids)
    distinct: RowIds = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    return distinct


def _union(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    joined: list[tuple[int, int]] = []
    for first, end in sorted(ranges):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        elif first < end:
            joined.append((first, end))
    return tuple(joined)
