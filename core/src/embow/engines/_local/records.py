"""Rows of the catalog as plain records, and the statements that read and change them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from embow.engines._local.layout import Layout
from embow.engines._local.names import FILE, FOLDER, check_name
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

    id: int
    version: int
    rows: NDArray[np.int64]
    range: tuple[int, int] | None
    until: int | None


_NAMES = ", ".join(each.name for each in fields(TableRow))
_VERSION_NAMES = ", ".join(each.name for each in fields(VersionRow))


def now() -> int:
    """Return the time in microseconds."""
    return time.time_ns() // 1000


def table_named(db: sqlite3.Connection, name: str) -> TableRow | None:
    """Return a table by name."""
    found = db.execute(f"SELECT {_NAMES} FROM tables WHERE name = ?", (name,)).fetchone()
    return _table(db, found) if found else None


def table_row(db: sqlite3.Connection, table_id: int, name: str) -> TableRow:
    """Return an open table's state.

    Raises:
        TableNotFoundError: It has been dropped.
    """
    found = db.execute(f"SELECT {_NAMES} FROM tables WHERE id = ?", (table_id,)).fetchone()
    if not found:
        raise TableNotFoundError(f"Table '{name}' has been dropped; open or create it again.")
    return _table(db, found)


def _table(db: sqlite3.Connection, found: Sequence[object]) -> TableRow:
    row = TableRow(*found)  # type: ignore[arg-type]
    check_name(db, FOLDER, row.folder)
    return row


def insert_table(db: sqlite3.Connection, name: str, folder: str, layout: Layout) -> TableRow:
    """Add an empty table at version 0 and return its state."""
    cursor = db.execute(
        "INSERT INTO tables (name, folder, version, epoch, schema_version, next_row, "
        "tail_rows, tail_bytes) VALUES (?, ?, 0, 0, 1, 0, 0, 0)",
        (name, folder),
    )
    row = table_row(db, cursor.lastrowid or 0, name)
    insert_schema(db, row.id, 1, layout)
    return row


def update_table(db: sqlite3.Connection, row: TableRow) -> None:
    """Write a table's new state."""
    db.execute(
        "UPDATE tables SET version = ?, epoch = ?, schema_version = ?, next_row = ?, "
        "tail_rows = ?, tail_bytes = ?, rows = ?, swept = ?, cleared = ? WHERE id = ?",
        (*astuple(row)[3:], row.id),
    )


def insert_version(
    db: sqlite3.Connection, row: TableRow, operation: str, *, plain: bool = False
) -> None:
    """Write a table's new state as a version of its own."""
    update_table(db, row)
    db.execute(
        "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (row.id, row.version, now(), row.next_row, row.schema_version, row.rows, operation, plain),
    )


def version_rows(db: sqlite3.Connection, table_id: int, after: int = 0) -> list[VersionRow]:
    """Return the versions above ``after`` that can be read, the oldest first."""
    found = db.execute(
        f"SELECT {_VERSION_NAMES} FROM versions WHERE table_id = ? AND version > ? "
        "ORDER BY version",
        (table_id, after),
    )
    return [VersionRow(*each) for each in found]


def tag_rows(db: sqlite3.Connection, table_id: int) -> dict[str, int]:
    """Return the version each tag names."""
    found = db.execute(
        "SELECT name, version FROM tags WHERE table_id = ? ORDER BY name", (table_id,)
    )
    return dict(found.fetchall())


def insert_schema(db: sqlite3.Connection, table_id: int, version: int, layout: Layout) -> None:
    """Add the schema a table has from a version on."""
    db.execute("INSERT INTO schemas VALUES (?, ?, ?, ?)", (table_id, version, *layout.dump()))


def layout_at(db: sqlite3.Connection, table_id: int, version: int) -> Layout:
    """Return the schema a table had in a version, whose schema must be known."""
    layout = find_layout(db, table_id, version)
    assert layout is not None, "each version that is kept has its schema kept"
    return layout


def find_layout(db: sqlite3.Connection, table_id: int, version: int) -> Layout | None:
    """Return the schema a table had in a version, unless it is no longer known."""
    found = db.execute(
        "SELECT arrow, columns FROM schemas WHERE table_id = ? AND version <= ? "
        "ORDER BY version DESC LIMIT 1",
        (table_id, version),
    ).fetchone()
    return Layout.load(*found) if found else None


def fragment_rows(db: sqlite3.Connection, table_id: int, after: int = 0) -> list[FragmentRow]:
    """Return the fragments numbered above ``after``, by number."""
    files: dict[tuple[int, int, bool, int], list[FileRow]] = {}
    for rows, first, dense, number, *file in db.execute(
        "SELECT f.rows, f.first_row, f.dense, f.id, x.name, x.bytes, x.algorithm, x.checks "
        "FROM fragments f JOIN files x ON x.fragment_id = f.id "
        "WHERE f.table_id = ? AND f.id > ? ORDER BY f.id, x.id",
        (table_id, after),
    ):
        check_name(db, FILE, file[0])
        files.setdefault((rows, first, bool(dense), number), []).append(FileRow(*file))
    return [FragmentRow(tuple(each), *head) for head, each in files.items()]


def insert_fragments(
    db: sqlite3.Connection, row: TableRow, fragments: Iterable[FragmentRow]
) -> None:
    """Name finished files as fragments."""
    for each in fragments:
        cursor = db.execute(
            "INSERT INTO fragments (table_id, version, first_row, rows, dense) "
            "VALUES (?, ?, ?, ?, ?)",
            (row.id, row.version, each.first_row, each.rows, each.dense),
        )
        for file in each.files:
            insert_file(db, cursor.lastrowid or 0, file)


def numbered(fragments: Iterable[FragmentRow], first_row: int) -> list[FragmentRow]:
    """Return fragments whose rows follow each other."""
    placed = []
    for each in fragments:
        placed.append(replace(each, first_row=first_row))
        first_row += each.rows
    return placed


def insert_file(db: sqlite3.Connection, fragment_id: int, file: FileRow) -> None:
    """Name a finished file as part of a fragment."""
    db.execute(
        "INSERT INTO files (fragment_id, name, bytes, algorithm, checks) VALUES (?, ?, ?, ?, ?)",
        (fragment_id, *astuple(file)),
    )


def delete_fragments(db: sqlite3.Connection, fragments: Sequence[FragmentRow]) -> list[str]:
    """Forget fragments; return the names of their files, which may go after the commit."""
    numbers = [(each.id,) for each in fragments]
    db.executemany("DELETE FROM files WHERE fragment_id = ?", numbers)
    db.executemany("DELETE FROM fragments WHERE id = ?", numbers)
    return [file.name for each in fragments for file in each.files]


def insert_deletion(
    db: sqlite3.Connection,
    row: TableRow,
    row_ids: NDArray[np.int64],
    range: tuple[int, int] | None = None,
) -> None:
    """Record rows as deleted from the table's version on: ids that ascend, or a range."""
    db.execute(
        "INSERT INTO deletions (table_id, version, rows, first, last) VALUES (?, ?, ?, ?, ?)",
        (row.id, row.version, row_ids.astype("<i8").tobytes(), *(range or (None, None))),
    )


def deletion_rows(db: sqlite3.Connection, table_id: int, after: int = 0) -> list[Deletion]:
    """Return the deletions numbered above ``after``, by number."""
    found = db.execute(
        "SELECT id, version, rows, first, last, until FROM deletions "
        "WHERE table_id = ? AND id > ? ORDER BY id",
        (table_id, after),
    )
    deletions = []
    for number, version, rows, first, last, until in found:
        row_ids = np.frombuffer(rows, "<i8").astype(np.int64)
        whole = None if first is None else (first, last)
        deletions.append(Deletion(number, version, row_ids, whole, until))
    return deletions


def delete_table(db: sqlite3.Connection, table_id: int) -> list[str]:
    """Forget a table; return the names of its files."""
    names = delete_fragments(db, fragment_rows(db, table_id))
    for table in ("tail", "deletions", "schemas", "versions", "tags", "staged", "tokens"):
        db.execute(f"DELETE FROM {table} WHERE table_id = ?", (table_id,))
    db.execute("DELETE FROM tables WHERE id = ?", (table_id,))
    return names
