"""When pieces of an index are built and joined: the same in every engine.

A new piece takes in those before it that are not much larger, so there are few pieces, and a row
is indexed again a logarithmic number of times, however rows come in.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from embow._processes import cached_property
from embow.engines.indexes import Covered, Definition, Kept, Libraries, Library, Mask, RowIds, Step
from embow.errors import ConfigurationError, PluginError

P = TypeVar("P")

_LARGER = 4
"""Times larger than what comes behind it is a piece that is left alone."""

_DEAD = 0.3
"""Share of rows no version needs from which a piece is built anew without them."""


class Rows(Protocol):
    """The rows of one column that any kept version needs."""

    @property
    def next_row(self) -> int:
        """Id of the row that comes next."""

    def ids(self, first: int, end: int) -> RowIds:
        """Return the ids of rows from one to another (excluded), ascending."""

    def values(self, first: int, end: int) -> Iterator[tuple[RowIds, pa.Array]]:
        """Yield ids, and values without nulls, of such rows in bounded pieces."""


@dataclass(frozen=True, eq=False)
class Opened(Generic[P]):
    """A piece and the rows it stands for.

    Attributes:
        first_row: First id it covers.
        next_row: First id behind it.
        row_ids: Row id at each place, ascending.
        piece: The piece.
    """

    first_row: int
    next_row: int
    row_ids: RowIds
    piece: P


@dataclass(frozen=True, eq=False)
class Work(Generic[P]):
    """One piece to build.

    Attributes:
        old: Pieces it takes the place of, by row.
        kept: Which places of each stay; ``None`` for all.
        first_row: First id that is covered.
        fresh: Ids of rows that come in are from here to ``next_row``.
        next_row: First id behind it.
        rows: How many rows it will hold, about.
    """

    old: tuple[Opened[P], ...]
    kept: tuple[Mask | None, ...]
    first_row: int
    fresh: int
    next_row: int
    rows: int

    def build(self, library: Library[P], rows: Rows, step: Step) -> Opened[P]:
        """Return the piece."""
        ids = [
            each.row_ids if mask is None else each.row_ids[mask]
            for each, mask in zip(self.old, self.kept, strict=True)
        ]

        def values() -> Iterator[pa.Array]:
            for found, array in rows.values(self.fresh, self.next_row):
                ids.append(found)
                yield array

        onto = [
            Kept(each.piece, None if mask is None else np.flatnonzero(mask))
            for each, mask in zip(self.old, self.kept, strict=True)
        ]
        piece = library.build(values(), onto, step)
        row_ids = np.concatenate([np.empty(0, np.int64), *ids])
        return Opened(self.first_row, self.next_row, row_ids, piece)


def works(library: Library[P], opened: Sequence[Opened[P]], rows: Rows) -> list[Work[P]]:
    """Return what is worth building, given the pieces there are, by row and apart.

    Together the pieces they make, and those nobody takes in, cover each row once. Pieces of which
    no row is needed get a work of no rows: they go.
    """
    left = list(opened)
    found: list[Work[P]] = []
    end = left[-1].next_row if left else 0
    behind = _behind(library, left, rows, end) if end < rows.next_row else None
    if behind is not None:
        left = left[: len(left) - len(behind.old)]
        found.append(behind)
    bounds = [0, *(bound for each in left for bound in (each.first_row, each.next_row))]
    for first, until in zip(bounds[::2], bounds[1::2], strict=False):
        fresh = len(rows.ids(first, until)) if first < until else 0
        if fresh >= library.least:  # What was there was damaged, or of another library.
            found.append(Work((), (), first, first, until, fresh))
    for each in left:
        mask = _needed(each, rows)
        if mask is not None:
            end = each.next_row
            found.append(Work((each,), (mask,), each.first_row, end, end, int(mask.sum())))
    return found


def _behind(
    library: Library[P], opened: Sequence[Opened[P]], rows: Rows, end: int
) -> Work[P] | None:
    """Return the work that covers the newest rows, if there are enough of them."""
    total = len(rows.ids(end, rows.next_row))
    if total < library.least:
        return None
    old: list[Opened[P]] = []
    first = end
    for each in reversed(opened):
        size = len(each.row_ids)
        if each.next_row != first or size > _LARGER * total or size + total > library.most:
            break
        old.insert(0, each)
        total, first = total + size, each.first_row
    kept = tuple(_needed(each, rows) for each in old)
    return Work(tuple(old), kept, first, end, rows.next_row, total)


def _needed(each: Opened[Any], rows: Rows) -> Mask | None:
    """Return which rows of a piece are needed; ``None`` where nearly all of them are."""
    needed = rows.ids(each.first_row, each.next_row)
    mask: Mask = np.isin(each.row_ids, needed, assume_unique=True)
    if np.count_nonzero(mask) > (1 - _DEAD) * len(mask):
        return None
    return mask


def library_of(
    libraries: Libraries, definition: Definition, column: pa.DataType
) -> tuple[Library[Any] | None, str]:
    """Return the library of an index, or ``None`` and why there is none, which is said once."""
    try:
        return libraries(definition.kind)(definition.settings, column), ""
    except (PluginError, ConfigurationError) as exc:
        trouble = f"Index '{definition.name}' cannot be used, so it is as if there were none: {exc}"
    except (KeyError, TypeError, ValueError) as exc:  # Who wrote the settings may be a stranger.
        trouble = f"Index '{definition.name}' cannot be used, its settings are no good: {exc!r}."
    say_once(trouble)
    return None, trouble


def untold(rows: int) -> None:
    """Tell nobody how many rows were indexed."""


def say_once(trouble: str) -> None:
    """Warn of an index that is not used, once a process."""
    if trouble not in _SAID:
        _SAID.add(trouble)
        warnings.warn(trouble, UserWarning, stacklevel=2)


_SAID: set[str] = set()


class Ranges:
    """Ranges of row ids, ascending and apart."""

    def __init__(self, opened: Sequence[Opened[Any]]) -> None:
        self._bounds = np.array([b for o in opened for b in (o.first_row, o.next_row)], np.int64)

    @cached_property
    def dense_until(self) -> int:
        """End of the rows of which all are in a range."""
        bounds = self._bounds
        end = 0
        for first, until in zip(bounds[::2].tolist(), bounds[1::2].tolist(), strict=True):
            if first > end:
                break
            end = until
        return end

    def outside(self, row_ids: RowIds) -> RowIds:
        """Return the ids that are in no range."""
        places = np.searchsorted(self._bounds, row_ids, side="right")
        found: RowIds = row_ids[places % 2 == 0]
        return found


def covered(opened: Opened[P], live: Mask | None) -> Covered[P]:
    """Return a piece as a version has it."""
    return Covered(opened.piece, opened.row_ids, live)
