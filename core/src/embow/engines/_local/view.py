"""One version of a table: which blocks it has and which of their rows are alive."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines._local import tail as tails
from embow.engines._local.alive import Dead, Part, parts_of
from embow.engines._local.blocks import STORED_ROW_ID, Block
from embow.engines._local.files import read_file
from embow.engines._local.indexrows import IndexRow, index_rows
from embow.engines._local.layout import Layout
from embow.engines._local.records import (
    Deletion,
    FragmentRow,
    TableRow,
    VersionRow,
    deletion_rows,
    fragment_rows,
    layout_at,
)
from embow.engines._local.sealed import damaged
from embow.engines.indexes import Covering
from embow.engines.predicate import Predicate, evaluate
from embow.errors import StorageError


@dataclass(frozen=True, slots=True)
class Fragment:
    """The opened files of one fragment."""

    row: FragmentRow
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class View:
    """One version, complete: it stays readable whatever writers do afterwards.

    Attributes:
        row: The table's state in the catalog.
        version: Which version this is.
        layout: Its schema.
        fragments: Opened fragments in row order, without those that are deleted whole.
        tail: Small appends not yet in a file.
        dead: Deleted rows.
        seen: Highest numbers loaded: fragment, tail entry, deletion.
        every: All blocks, in row order.
        parts: Those with a row alive.
        indexes: The indexes there are.
        coverings: What is known of them for this version, by name; filled when first asked for.
    """

    row: TableRow
    version: int
    layout: Layout
    fragments: tuple[Fragment, ...]
    tail: tuple[Block, ...]
    dead: Dead
    seen: tuple[int, int, int]
    every: tuple[Part, ...]
    parts: tuple[Part, ...]
    indexes: tuple[IndexRow, ...] = ()
    coverings: dict[str, Covering[Any]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Number of rows alive."""
        return sum(part.rows for part in self.parts)

    def columns(self, part: Part, names: list[str]) -> list[pa.Array]:
        """Return some columns of a part's block, deleted rows included."""
        stored = map(self.layout.stored.__getitem__, names)
        return part.block.select(stored, self.layout.types)

    def passing(
        self, part: Part, predicate: Predicate | None, row_ids: NDArray[np.int64] | None = None
    ) -> NDArray[np.bool_] | None:
        """Return a mask of the rows that are alive and pass; ``None`` when every row does."""
        mask = part.live
        if row_ids is not None:
            among = np.zeros(part.block.rows, np.bool_)
            among[part.block.positions(row_ids)] = True
            mask = among if mask is None else mask & among
        if predicate is None or (mask is not None and not mask.any()):
            return mask
        names = list(predicate.columns)
        arrays = self.columns(part, names)
        if not names:  # A constant condition still needs a number of rows.
            names, arrays = [""], [pa.nulls(part.block.rows)]
        found = evaluate(predicate, pa.RecordBatch.from_arrays(arrays, names=names))
        return found if mask is None else mask & found

    def locate(self, row_ids: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Yield part number and positions of rows that are alive; ids must ascend."""
        firsts = np.array([part.block.first_row for part in self.parts], np.int64)
        lasts = np.array([part.block.last_row for part in self.parts], np.int64)
        lows = np.searchsorted(row_ids, firsts)
        highs = np.searchsorted(row_ids, lasts, side="right")
        for number in np.flatnonzero(lows < highs).tolist():
            part = self.parts[number]
            positions = part.block.positions(row_ids[lows[number] : highs[number]])
            if part.live is not None:
                positions = positions[part.live[positions]]
            if len(positions):
                yield number, positions


_ROWS = attrgetter("rows")


def load_view(
    db: sqlite3.Connection,
    row: TableRow,
    data: Path,
    previous: View | None,
    version: VersionRow | None = None,
) -> View:
    """Read the table's latest version, or an earlier one, reusing what a latest view holds.

    Raises:
        FileNotFoundError: A file was removed while reading; read again.
        StorageError: A file is damaged.
    """
    if version is None and previous is not None and previous.row == row:
        return previous
    # A thread may have held an older moment than the one that loaded what is held now.
    same = version is None and previous is not None and previous.row.epoch == row.epoch
    grown = previous if same and previous and previous.version <= row.version else None
    at = row if version is None else version
    fragment, entry, deletion = grown.seen if grown else (0, 0, 0)
    deletions = deletion_rows(db, row.id, deletion)
    dead = grown.dead if grown else Dead()
    more: Dead | None = None
    if deletions:
        more = Dead.of(each for each in deletions if holds(each, at.version))
        dead = dead.with_more(more)
    if version is not None:
        dead = dead.from_row(version.next_row)
    found = fragment_rows(db, row.id, fragment)
    fresh = open_fragments(row, visible(found, dead, row), data, previous) if found else ()
    entries, last_entry = tails.read_tail(db, row.id, entry)
    opened = [*(grown.fragments if grown else ()), *fresh]
    fragments = tuple(sorted(opened, key=attrgetter("row.first_row")))
    tail = tails.extend(grown.tail if grown else (), entries)
    seen = (
        found[-1].id if found else fragment,
        last_entry,
        deletions[-1].id if deletions else deletion,
    )
    if previous is not None and previous.row.schema_version == at.schema_version:
        layout = previous.layout
    else:
        layout = layout_at(db, row.id, at.schema_version)
    blocks = chain(*map(attrgetter("blocks"), fragments), tail)
    every = tuple(parts_of(blocks, dead, grown.every if grown else (), more))
    parts = tuple(filter(_ROWS, every))
    if sum(map(_ROWS, parts)) != at.rows:
        raise damaged(db, f"table '{row.name}' has not the rows of its version {at.version}")
    known = previous is not None and previous.row.indexed == row.indexed
    indexes = previous.indexes if previous is not None and known else index_rows(db, row)
    return View(row, at.version, layout, fragments, tail, dead, seen, every, parts, indexes)


def holds(deletion: Deletion, version: int) -> bool:
    """Return whether rows are deleted in a version."""
    return deletion.version <= version and (deletion.until is None or version < deletion.until)


def visible(found: Iterable[FragmentRow], dead: Dead, row: TableRow) -> list[FragmentRow]:
    """Return the fragments that are not deleted whole."""
    ordered = sorted(found, key=lambda each: each.first_row)
    ends = [*(each.first_row for each in ordered[1:]), row.next_row]
    return [
        each
        for each, end in zip(ordered, ends, strict=False)
        if not dead.all_of(each.first_row, each.first_row + each.rows if each.dense else end)
    ]


def open_fragments(
    row: TableRow, found: Iterable[FragmentRow], data: Path, previous: View | None
) -> list[Fragment]:
    """Map the files of fragments that an earlier view has not."""
    opened = {each.row: each for each in (previous.fragments if previous else ())}
    return [opened.get(each) or _open(data / row.folder, each, row.name) for each in found]


def _open(folder: Path, row: FragmentRow, table: str) -> Fragment:
    files = [read_file(folder / file.name, file, table)[1] for file in row.files]
    if len({tuple(batch.num_rows for batch, _ in batches) for batches in files}) > 1:
        names = ", ".join(str(folder / file.name) for file in row.files)
        raise StorageError(f"Cannot read {names}: the files of one fragment differ in rows.")
    blocks = []
    first_row = row.first_row
    for pieces in zip(*files, strict=True):
        columns = {
            name: array
            for piece, _ in pieces
            for name, array in zip(piece.schema.names, piece.columns, strict=True)
        }
        rows = pieces[0][0].num_rows
        checks = [check for _, check in pieces]
        stored = columns.get(STORED_ROW_ID)
        ids = None
        if stored is not None and rows:
            checks.pop(0)()  # It is in the first file, and about to be read.
            ids = np.frombuffer(stored.buffers()[1], np.int64)[:rows]
            first_row = int(ids[0])
        blocks.append(Block(columns, rows, first_row, ids, checks))
        first_row += rows
    return Fragment(row, tuple(blocks))
