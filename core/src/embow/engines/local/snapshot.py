"""One version of a table: which blocks it has and which of their rows are alive."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines.local import tail as tails
from embow.engines.local.blocks import STORED_ROW_ID, Block
from embow.engines.local.files import read_file
from embow.engines.local.layout import Layout
from embow.engines.local.records import FragmentRow, TableRow, fragment_rows
from embow.engines.local.vectors import Vectors
from embow.errors import StorageError


@dataclass(frozen=True, slots=True)
class Fragment:
    """The opened files of one fragment."""

    row: FragmentRow
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A block, and which of its rows are alive (``None``: all)."""

    block: Block
    live: NDArray[np.bool_] | None

    @property
    def rows(self) -> int:
        """Number of rows alive."""
        return self.block.rows if self.live is None else int(np.count_nonzero(self.live))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version, complete: it stays readable whatever writers do afterwards.

    Attributes:
        row: The table's state in the catalog.
        layout: Its schema.
        fragments: Opened fragments in row order.
        tail: Small appends not yet in a file.
        deleted: Ids of deleted rows, ascending.
        seen: Highest numbers loaded: fragment, tail entry, deletion.
        parts: All blocks in row order.
    """

    row: TableRow
    layout: Layout
    fragments: tuple[Fragment, ...]
    tail: tuple[Block, ...]
    deleted: NDArray[np.int64]
    seen: tuple[int, int, int]
    parts: tuple[Part, ...]

    @property
    def rows(self) -> int:
        """Number of rows alive."""
        return sum(part.rows for part in self.parts)

    def columns(self, part: Part, names: list[str]) -> list[pa.Array]:
        """Return some columns of a part's block, deleted rows included."""
        schema = self.layout.schema
        return [
            part.block.column(self.layout.physical(name), schema.field(name).type) for name in names
        ]

    def vectors(self, part: Part, name: str) -> Vectors | None:
        """Return the vectors of a part's block; ``None`` where it was written without them."""
        return part.block.vectors(self.layout.physical(name))

    def locate(self, row_ids: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Yield part number and positions of rows that are alive; ids must ascend."""
        for number, part in enumerate(self.parts):
            positions = part.block.positions(row_ids)
            if part.live is not None:
                positions = positions[part.live[positions]]
            if len(positions):
                yield number, positions


def load_snapshot(
    db: sqlite3.Connection, row: TableRow, data: Path, previous: Snapshot | None
) -> Snapshot:
    """Read the table's current state, reusing what an earlier snapshot holds.

    Raises:
        FileNotFoundError: A file was removed while reading; read again.
        StorageError: A file is damaged.
    """
    if previous is not None and previous.row == row:
        return previous
    grown = previous if previous is not None and previous.row.epoch == row.epoch else None
    fragment, entry, deletion = grown.seen if grown else (0, 0, 0)
    opened = {each.row: each for each in (previous.fragments if previous else ())}
    fresh = [
        opened.get(each) or _open(data, row.folder, each)
        for each in fragment_rows(db, row.id, fragment)
    ]
    entries, last_entry = tails.read_tail(db, row.id, entry)
    removed, last_deletion = _read_deletions(db, row.id, deletion)
    fragments = tuple(
        sorted([*(grown.fragments if grown else ()), *fresh], key=lambda each: each.row.first_row)
    )
    tail = tails.extend(grown.tail if grown else (), entries)
    deleted = _merge(grown.deleted if grown else np.empty(0, np.int64), removed)
    blocks = [block for each in fragments for block in each.blocks] + list(tail)
    return Snapshot(
        row,
        _layout(db, row, previous),
        fragments,
        tail,
        deleted,
        (max([fragment, *(each.row.id for each in fresh)]), last_entry, last_deletion),
        tuple(Part(block, _live(block, deleted)) for block in blocks),
    )


def _layout(db: sqlite3.Connection, row: TableRow, previous: Snapshot | None) -> Layout:
    if previous is not None and previous.row.schema_version == row.schema_version:
        return previous.layout
    found = db.execute(
        "SELECT arrow, columns FROM schemas WHERE table_id = ? AND version = ?",
        (row.id, row.schema_version),
    ).fetchone()
    return Layout.load(*found)


def _open(data: Path, folder: str, row: FragmentRow) -> Fragment:
    files = [read_file(data / folder / file.name, file.bytes) for file in row.files]
    if len({tuple(batch.num_rows for batch in batches) for batches in files}) > 1:
        names = ", ".join(str(data / folder / file.name) for file in row.files)
        raise StorageError(f"Cannot read {names}: the files of one fragment differ in rows.")
    blocks = []
    first_row = row.first_row
    for pieces in zip(*files, strict=True):
        columns = {
            name: array
            for piece in pieces
            for name, array in zip(piece.schema.names, piece.columns, strict=True)
        }
        stored = columns.get(STORED_ROW_ID)
        ids = None
        if stored is not None:
            ids = np.frombuffer(stored.buffers()[1], np.int64)[: len(stored)]
            first_row = int(ids[0])
        blocks.append(Block(columns, pieces[0].num_rows, first_row, ids))
        first_row += pieces[0].num_rows
    return Fragment(row, tuple(blocks))


def _read_deletions(
    db: sqlite3.Connection, table_id: int, after: int
) -> tuple[list[NDArray[np.int64]], int]:
    found = db.execute(
        "SELECT id, rows FROM deletions WHERE table_id = ? AND id > ? ORDER BY id",
        (table_id, after),
    ).fetchall()
    last = found[-1][0] if found else after
    return [np.frombuffer(rows, "<i8").astype(np.int64) for _, rows in found], last


def _merge(known: NDArray[np.int64], more: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.unique(np.concatenate([known, *more])) if more else known


def _live(block: Block, deleted: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    low, high = np.searchsorted(deleted, [block.first_row, block.last_row + 1])
    dead = block.positions(deleted[low:high])
    if not len(dead):
        return None
    live = np.ones(block.rows, np.bool_)
    live[dead] = False
    return live
