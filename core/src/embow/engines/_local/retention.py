"""What the versions that are kept still need: rows, columns, deletions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from sqlite3 import Connection

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines._local.alive import ascending
from embow.engines._local.blocks import Block
from embow.engines._local.leases import expire
from embow.engines._local.records import (
    Deletion,
    TableRow,
    VersionRow,
    deletion_rows,
    fragment_rows,
    insert_deletion,
    layout_at,
    now,
    tag_rows,
    version_rows,
)
from embow.engines.contract import RowIds

_MICROSECOND = timedelta(microseconds=1)


def forget(
    db: Connection, row: TableRow, keep: timedelta, *, delete_unverified: bool
) -> list[VersionRow]:
    """Forget versions and leases whose time is over; return the versions that went."""
    oldest = now() - keep // _MICROSECOND
    tagged = set(tag_rows(db, row.id).values())
    going = [
        each
        for each in version_rows(db, row.id)
        if each.made <= oldest and each.version != row.version and each.version not in tagged
    ]
    db.executemany(
        "DELETE FROM versions WHERE table_id = ? AND version = ?",
        [(row.id, each.version) for each in going],
    )
    db.execute(
        "DELETE FROM schemas WHERE table_id = ? AND version NOT IN "
        "(SELECT schema_version FROM versions WHERE table_id = ?)",
        (row.id, row.id),
    )
    expire(db, row, everything=delete_unverified)
    return going


@dataclass(frozen=True, slots=True)
class Needs:
    """What the kept versions need.

    Attributes:
        next_rows: Of each kept version, ascending.
        deletions: With the first version in which each holds, and the first it does not, both
            counted over the kept ones; by the first.
        types: Type of each stored column that one of them shows.
    """

    next_rows: NDArray[np.int64]
    deletions: list[tuple[int, int, Deletion]]
    types: dict[str, pa.DataType]

    @classmethod
    def read(cls, db: Connection, row: TableRow) -> Needs:
        """Return what the versions in the catalog need."""
        kept = version_rows(db, row.id)
        types: dict[str, pa.DataType] = {}
        for version in sorted({each.schema_version for each in kept}):
            types |= layout_at(db, row.id, version).types
        next_rows = np.array([each.next_row for each in kept], np.int64)
        return cls(next_rows, _held(kept, deletion_rows(db, row.id)), types)

    def rows(self, block: Block) -> NDArray[np.bool_]:
        """Return which rows of a block are in one of the kept versions."""
        count = len(self.next_rows)
        # The first kept version that may show the row, if all before are known not to.
        first = np.searchsorted(self.next_rows, block.ids, side="right")
        for start, end, deletion in self.deletions:
            at = _positions(block, deletion)
            hidden = at[(start <= first[at]) & (first[at] < end)]
            first[hidden] = end
        return np.asarray(first < count)


def _held(kept: list[VersionRow], deletions: Iterable[Deletion]) -> list[tuple[int, int, Deletion]]:
    numbers = np.array([each.version for each in kept], np.int64)
    held = []
    for each in deletions:
        start = int(np.searchsorted(numbers, each.version))
        end = len(kept) if each.until is None else int(np.searchsorted(numbers, each.until))
        held.append((start, end, each))
    return sorted(held, key=lambda each: each[:2])


def _positions(block: Block, deletion: Deletion) -> NDArray[np.intp]:
    if deletion.range is None:
        ids = deletion.rows
        if not len(ids) or ids[-1] < block.first_row or block.last_row < ids[0]:
            return np.empty(0, np.intp)
        return block.positions(ids)
    first, end = deletion.range
    if end <= block.first_row or block.last_row < first:
        return np.empty(0, np.intp)
    return np.arange(*np.searchsorted(block.ids, [first, end]), dtype=np.intp)


def fold_deletions(db: Connection, row: TableRow, gone: RowIds) -> None:
    """Drop deletions that no kept version needs, and of rows that are gone.

    Those that hold in every kept version become one; newer ones stay apart.
    """
    kept = version_rows(db, row.id)
    firsts = [each.first_row for each in fragment_rows(db, row.id)]
    lowest = min(firsts, default=row.next_row)
    everywhere = []
    for start, end, each in _held(kept, deletion_rows(db, row.id)):
        rows = np.setdiff1d(each.rows, gone, assume_unique=True)
        empty = not len(rows) if each.range is None else each.range[1] <= lowest
        whole = each.range is None and start == 0 and end == len(kept)
        if whole:
            everywhere.append(rows)
        if empty or whole or start == end:
            db.execute("DELETE FROM deletions WHERE id = ?", (each.id,))
        elif len(rows) < len(each.rows):
            insert_deletion(db, row, replace(each, rows=rows))
    folded = ascending(np.concatenate([np.empty(0, np.int64), *everywhere]))
    if len(folded):
        insert_deletion(db, row, Deletion(kept[0].version, folded))
