"""Rows of the catalog as plain records, and the statements that read and change them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embow.engines.local.layout import Layout
from embow.errors import TableNotFoundError

_TABLE = (
    "SELECT id, folder, version, epoch, generation, schema_version, next_row, tail_rows, "
    "tail_bytes FROM tables WHERE "
)


@dataclass(frozen=True, slots=True)
class TableRow:
    """State of a table; equal rows mean equal contents."""

    id: int
    folder: str
    version: int
    epoch: int
    generation: int
    schema_version: int
    next_row: int
    tail_rows: int
    tail_bytes: int


@dataclass(frozen=True, slots=True)
class FileRow:
    """One file of a fragment."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class FragmentRow:
    """One fragment and its files, the first written first."""

    id: int
    first_row: int
    rows: int
    dense: bool
    files: tuple[FileRow, ...]


@dataclass(frozen=True, slots=True)
class NewFragment:
    """A finished file that a commit will name; ``first_row`` is ``None`` until then."""

    file: FileRow
    rows: int
    first_row: int | None = None
    dense: bool = True


def table_named(db: sqlite3.Connection, name: str) -> TableRow | None:
    """Return a table by name."""
    found = db.execute(_TABLE + "name = ?", (name,)).fetchone()
    return TableRow(*found) if found else None


def table_row(db: sqlite3.Connection, table_id: int, name: str) -> TableRow:
    """Return an open table's state.

    Raises:
        TableNotFoundError: It has been dropped.
    """
    found = db.execute(_TABLE + "id = ?", (table_id,)).fetchone()
    if not found:
        raise TableNotFoundError(f"Table '{name}' has been dropped; open or create it again.")
    return TableRow(*found)


def insert_table(db: sqlite3.Connection, name: str, folder: str, layout: Layout) -> TableRow:
    """Add an empty table at version 0 and return its state."""
    cursor = db.execute(
        "INSERT INTO tables (name, folder, version, epoch, generation, schema_version, next_row, "
        "tail_rows, tail_bytes) VALUES (?, ?, 0, 0, 0, 0, 0, 0, 0)",
        (name, folder),
    )
    row = table_row(db, cursor.lastrowid or 0, name)
    insert_schema(db, row.id, 0, layout)
    return row


def update_table(db: sqlite3.Connection, row: TableRow) -> None:
    """Write a table's new state."""
    db.execute(
        "UPDATE tables SET version = ?, epoch = ?, generation = ?, schema_version = ?, "
        "next_row = ?, tail_rows = ?, tail_bytes = ? WHERE id = ?",
        (
            row.version,
            row.epoch,
            row.generation,
            row.schema_version,
            row.next_row,
            row.tail_rows,
            row.tail_bytes,
            row.id,
        ),
    )


def insert_schema(db: sqlite3.Connection, table_id: int, version: int, layout: Layout) -> None:
    """Add the schema a table has from a version on."""
    db.execute("INSERT INTO schemas VALUES (?, ?, ?, ?)", (table_id, version, *layout.dump()))


def fragment_rows(db: sqlite3.Connection, table_id: int, after: int = 0) -> list[FragmentRow]:
    """Return the fragments numbered above ``after``, by number."""
    files: dict[int, list[FileRow]] = {}
    heads: dict[int, tuple[int, int, bool]] = {}
    for number, first, rows, dense, name, size in db.execute(
        "SELECT f.id, f.first_row, f.rows, f.dense, x.name, x.bytes FROM fragments f "
        "JOIN files x ON x.fragment_id = f.id WHERE f.table_id = ? AND f.id > ? "
        "ORDER BY f.id, x.id",
        (table_id, after),
    ):
        heads[number] = (first, rows, bool(dense))
        files.setdefault(number, []).append(FileRow(name, size))
    return [FragmentRow(number, *head, tuple(files[number])) for number, head in heads.items()]


def insert_fragments(
    db: sqlite3.Connection, table_id: int, version: int, fragments: Iterable[NewFragment]
) -> None:
    """Name finished files as fragments."""
    for each in fragments:
        cursor = db.execute(
            "INSERT INTO fragments (table_id, version, first_row, rows, dense) "
            "VALUES (?, ?, ?, ?, ?)",
            (table_id, version, each.first_row, each.rows, each.dense),
        )
        insert_file(db, cursor.lastrowid or 0, each.file)


def insert_file(db: sqlite3.Connection, fragment_id: int, file: FileRow) -> None:
    """Name a finished file as part of a fragment."""
    db.execute(
        "INSERT INTO files (fragment_id, name, bytes) VALUES (?, ?, ?)",
        (fragment_id, file.name, file.bytes),
    )


def delete_fragments(db: sqlite3.Connection, fragments: Sequence[FragmentRow]) -> list[str]:
    """Forget fragments; return the names of their files, which may go after the commit."""
    numbers = [(each.id,) for each in fragments]
    db.executemany("DELETE FROM files WHERE fragment_id = ?", numbers)
    db.executemany("DELETE FROM fragments WHERE id = ?", numbers)
    return [file.name for each in fragments for file in each.files]


def insert_deletion(
    db: sqlite3.Connection, table_id: int, version: int, row_ids: NDArray[np.int64]
) -> None:
    """Record deleted rows; ids must ascend."""
    db.execute(
        "INSERT INTO deletions (table_id, version, rows) VALUES (?, ?, ?)",
        (table_id, version, row_ids.astype("<i8").tobytes()),
    )


def clear_rows(db: sqlite3.Connection, table_id: int) -> list[str]:
    """Forget every row of a table; return the names of files that may go after the commit."""
    names = delete_fragments(db, fragment_rows(db, table_id))
    db.execute("DELETE FROM tail WHERE table_id = ?", (table_id,))
    db.execute("DELETE FROM deletions WHERE table_id = ?", (table_id,))
    return names


def delete_table(db: sqlite3.Connection, table_id: int) -> list[str]:
    """Forget a table; return the names of its files."""
    names = clear_rows(db, table_id)
    db.execute("DELETE FROM schemas WHERE table_id = ?", (table_id,))
    db.execute("DELETE FROM tables WHERE id = ?", (table_id,))
    return names


def named_files(db: sqlite3.Connection) -> set[str]:
    """Return ``folder/name`` of every file of every table."""
    found = db.execute(
        "SELECT t.folder || '/' || x.name FROM files x "
        "JOIN fragments f ON f.id = x.fragment_id JOIN tables t ON t.id = f.table_id"
    )
    return {name for (name,) in found}
