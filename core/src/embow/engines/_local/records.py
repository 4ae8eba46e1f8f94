"""Rows of the catalog as plain records, and the statements that read and change them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embow.engines._local.layout import Layout
from embow.engines._local.sealed import (
    COLUMNS,
    FILE,
    FOLDER,
    check_name,
    damaged,
    insert,
    rewrite,
    select,
)
from embow.errors import TableNotFoundError


@dataclass(frozen=True, slots=True)
class TableRow:
    """State of a table; equal rows mean equal contents."""

    id: int
    folder: str
    name: str
    version: int
    epoch: int
    schema_version: int
    next_row: int
    tail_rows: int
    tail_bytes: int
    rows: int
    swept: int
    cleared: int
    indexed: int


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version that can be read."""

    version: int
    made: int
    next_row: int
    schema_version: int
    rows: int
    operation: str
    plain: bool


@dataclass(frozen=True, slots=True)
class FileRow:
    """One file: name, size, and where each of its messages ends, with its checksum."""

    name: str
    size: int
    algorithm: str | None = None
    checks: bytes | None = None


@dataclass(frozen=True, slots=True)
class FragmentRow:
    """One fragment and its files, the first written first; ``id`` is 0 until a commit names it."""

    files: tuple[FileRow, ...]
    rows: int
    first_row: int = 0
    dense: bool = True
    id: int = 0


@dataclass(frozen=True, slots=True)
class Deletion:
    """Rows that are deleted in versions from one on, up to ``until``: some, or a range."""

    version: int
    rows: NDArray[np.int64]
    range: tuple[int, int] | None = None
    until: int | None = None
    id: int = 0


def values_of(record: Any) -> list[Any]:
    """Return the values of a plain record in order; ``astuple`` would copy each of them deeply."""
    return list(map(partial(getattr, record), record.__slots__))


def now() -> int:
    return time.time_ns() // 1000


def table_rows(db: sqlite3.Connection) -> list[TableRow]:
    """Return all tables by name; no index is asked, so that none is missed."""
    found = [_table(db, row) for row in select(db, "tables", "1 ORDER BY id", id=True)]
    return sorted(found, key=lambda each: each.name)


def table_named(db: sqlite3.Connection, name: str) -> TableRow | None:
    for row in select(db, "tables", "name = ?", name, id=True):
        return _table(db, row)
    return None


def table_row(db: sqlite3.Connection, table_id: int, name: str) -> TableRow:
    """Return an open table's state.

    Raises:
        TableNotFoundError: It has been dropped.
    """
    for row in select(db, "tables", "id = ?", table_id, id=True):
        return _table(db, row)
    raise TableNotFoundError(f"Table '{name}' has been dropped; open or create it again.")


def _table(db: sqlite3.Connection, found: Sequence[object]) -> TableRow:
    row = TableRow(*found)  # type: ignore[arg-type]
    check_name(db, FOLDER, row.folder)
    # Whoever made the file made its checksums.
    if {*map(type, found[3:])} != {int} or not row.schema_version <= row.version:
        raise damaged(db, f"the row of table {row.name!r} says what embow does not write")
    return row


def insert_table(db: sqlite3.Connection, name: str, folder: str, layout: Layout) -> TableRow:
    """Add an empty table at version 0 and return its state."""
    row = TableRow(0, folder, name, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    row = replace(row, id=insert(db, "tables", *values_of(row)[1:]))
    insert_schema(db, row.id, 1, layout)
    return row


def update_table(db: sqlite3.Connection, row: TableRow) -> None:
    rewrite(db, "tables", *values_of(row))


def insert_version(
    db: sqlite3.Connection, row: TableRow, operation: str, *, plain: bool = False
) -> None:
    """Write a table's new state as a version of its own."""
    rewrite(db, "tables", *values_of(row))
    version = VersionRow(
        row.version, now(), row.next_row, row.schema_version, row.rows, operation, plain
    )
    insert(db, "versions", row.id, *values_of(version))


def version_rows(db: sqlite3.Connection, table_id: int, after: int = 0) -> list[VersionRow]:
    """Return the versions above ``after`` that can be read, the oldest first."""
    condition = "table_id = ? AND version > ? ORDER BY version"
    return [VersionRow(*row) for _, *row in select(db, "versions", condition, table_id, after)]


def tag_rows(db: sqlite3.Connection, table_id: int) -> dict[str, int]:
    found = select(db, "tags", "table_id = ? ORDER BY name", table_id)
    return {name: version for _, name, version in found}


def insert_schema(db: sqlite3.Connection, table_id: int, version: int, layout: Layout) -> None:
    """Add the schema a table has from a version on."""
    insert(db, "schemas", table_id, version, *layout.dump())


def layout_at(db: sqlite3.Connection, table_id: int, version: int) -> Layout:
    """Return the schema a table had in a version, whose schema must be known."""
    layout = find_layout(db, table_id, version)
    if layout is None:
        raise damaged(db, "the schema of a version is missing")
    return layout


def find_layout(db: sqlite3.Connection, table_id: int, version: int) -> Layout | None:
    """Return the schema a table had in a version, unless it is no longer known."""
    condition = "table_id = ? AND version <= ? ORDER BY version DESC LIMIT 1"
    for _, since, arrow, columns in select(db, "schemas", condition, table_id, version):
        return Layout.load(arrow, columns, since)
    return None


def fragment_rows(
    db: sqlite3.Connection, table_id: int, after: int = 0, staged: str | None = None
) -> list[FragmentRow]:
    """Return the fragments numbered above ``after``, by number: the table's, or of one write."""
    mine = "table_id = ? AND id > ? AND staged IS ?"
    fragments = select(db, "fragments", f"{mine} ORDER BY id", table_id, after, staged, id=True)
    if not fragments:
        return []
    files: dict[int, list[FileRow]] = {}
    within = f"fragment_id IN (SELECT id FROM fragments WHERE {mine}) ORDER BY id"
    for fragment, name, *rest in select(db, "files", within, table_id, after, staged):
        files.setdefault(fragment, []).append(FileRow(check_name(db, FILE, name), *rest))
    found = []
    for number, _, _, first_row, rows, dense, _ in fragments:
        if number not in files:
            raise damaged(db, "a file of a fragment is missing")
        found.append(FragmentRow(tuple(files[number]), rows, first_row, bool(dense), number))
    return found


def insert_fragments(
    db: sqlite3.Connection,
    row: TableRow,
    fragments: Iterable[FragmentRow],
    staged: str | None = None,
) -> None:
    """Name finished files as fragments, of the table or of a write that may yet be committed."""
    for each in fragments:
        number = insert(
            db, "fragments", row.id, row.version, each.first_row, each.rows, each.dense, staged
        )
        for file in each.files:
            insert_file(db, number, file)


def numbered(fragments: Iterable[FragmentRow], first_row: int) -> list[FragmentRow]:
    """Return fragments whose rows follow each other."""
    placed = []
    for each in fragments:
        placed.append(replace(each, first_row=first_row))
        first_row += each.rows
    return placed


def insert_file(db: sqlite3.Connection, fragment_id: int, file: FileRow) -> None:
    """Name a finished file as part of a fragment."""
    insert(db, "files", fragment_id, *values_of(file))


def delete_fragments(db: sqlite3.Connection, fragments: Sequence[FragmentRow]) -> list[str]:
    """Forget fragments; return the names of their files, which may go after the commit."""
    numbers = [(each.id,) for each in fragments]
    db.executemany("DELETE FROM files WHERE fragment_id = ?", numbers)
    db.executemany("DELETE FROM fragments WHERE id = ?", numbers)
    return [file.name for each in fragments for file in each.files]


def insert_deletion(db: sqlite3.Connection, row: TableRow, each: Deletion) -> None:
    """Record rows as deleted; a deletion that has a number takes the place of the one it was."""
    first, last = each.range or (None, None)
    data = each.rows.astype("<i8").tobytes()
    values = (row.id, each.version, data, first, last, each.until)
    if each.id:
        rewrite(db, "deletions", each.id, *values)
    else:
        insert(db, "deletions", *values)


def deletion_rows(db: sqlite3.Connection, table_id: int, after: int = 0) -> list[Deletion]:
    """Return the deletions numbered above ``after``, by number."""
    found = select(db, "deletions", "table_id = ? AND id > ? ORDER BY id", table_id, after, id=True)
    deletions = []
    for number, _, version, rows, first, last, until in found:
        row_ids = np.frombuffer(rows, "<i8").astype(np.int64)
        whole = None if first is None else (first, last)
        deletions.append(Deletion(version, row_ids, whole, until, number))
    return deletions


def delete_table(db: sqlite3.Connection, table_id: int) -> list[str]:
    """Forget a table; return the names of its files."""
    names = delete_fragments(db, fragment_rows(db, table_id))
    db.execute(
        "DELETE FROM files WHERE fragment_id IN (SELECT id FROM fragments WHERE table_id = ?)",
        (table_id,),
    )
    for table in COLUMNS.keys() - {"tables", "files"}:
        db.execute(f"DELETE FROM {table} WHERE table_id = ?", (table_id,))
    db.execute("DELETE FROM tables WHERE id = ?", (table_id,))
    return names
