"""Rows of the catalog: each with a checksum, and names in the one form that embow writes."""

from __future__ import annotations

import re
import sqlite3
import zlib
from functools import cache
from typing import Any, Final

from embow.errors import StorageError

SUFFIX = ".arrows"
"""Arrow IPC streams: unlike the file format, they allow a dictionary to change between batches."""

FOLDER = re.compile(r"[0-9a-f]{32}\Z")
FILE = re.compile(rf"[0-9a-f]{{32}}{re.escape(SUFFIX)}\Z")
PIECE_SUFFIX = ".index"
PIECE = re.compile(rf"[0-9a-f]{{32}}{re.escape(PIECE_SUFFIX)}\Z")

COLUMNS: Final = {
    "tables": "folder, name, version, epoch, schema_version, next_row, tail_rows, tail_bytes, "
    "rows, swept, cleared, indexed",
    "schemas": "table_id, version, arrow, columns",
    "versions": "table_id, version, made, next_row, schema_version, rows, operation, plain",
    "tags": "table_id, name, version",
    "fragments": "table_id, version, first_row, rows, dense, staged",
    "files": "fragment_id, name, bytes, algorithm, checks",
    "tail": "table_id, version, first_row, rows, payload",
    "deletions": "table_id, version, rows, first, last, until",
    "staged": "token, table_id, until, columns",
    "tokens": "token, table_id, version, added, removed, until",
    "indexes": "table_id, name, field, kind, settings",
    "pieces": "table_id, index_id, stored, fingerprint, first_row, next_row, rows, name, bytes, "
    "algorithm, checks",
}
"""Columns under the checksum, which is the column ``seal``; ids are numbers of their own."""


def seal(*values: bytes | str | int | None) -> int:
    """Return the checksum of a row; SQL knows it under the same name."""
    total = 0
    for value in values:
        data = value if isinstance(value, bytes) else repr(value).encode()
        total = zlib.crc32(data, zlib.crc32(b"\0", total))
    return total


def insert(db: sqlite3.Connection, table: str, *values: object, verb: str = "INSERT") -> int:
    """Add a row under its checksum; return its number."""
    marks = _marks(len(values))
    cursor = db.execute(
        f"{verb} INTO {table} ({COLUMNS[table]}, seal) VALUES ({marks}, seal({marks}))",
        values * 2,
    )
    return cursor.lastrowid or 0


def rewrite(db: sqlite3.Connection, table: str, number: int, *values: object) -> None:
    """Change a row that has a number, and its checksum."""
    marks = _marks(len(values))
    change = f"({COLUMNS[table]}, seal) = ({marks}, seal({marks}))"
    db.execute(f"UPDATE {table} SET {change} WHERE id = {number}", values * 2)


@cache
def _marks(count: int) -> str:
    return ", ".join("?" * count)


def select(
    db: sqlite3.Connection, table: str, condition: str, *values: object, id: bool = False
) -> list[list[Any]]:
    """Return the columns of rows, after their number where asked.

    Raises:
        StorageError: A row is not as it was written.
    """
    names = COLUMNS[table]
    wanted = f"id, {names}" if id else names
    rows = []
    for whole, *row in db.execute(
        f"SELECT seal IS seal({names}), {wanted} FROM {table} WHERE {condition}", values
    ):
        if not whole:
            raise damaged(db, f"a row of its table '{table}' is not as it was written")
        rows.append(row)
    return rows


def pages(db: sqlite3.Connection) -> list[str]:
    """Return what SQLite finds wrong with the file itself."""
    return [line for (line,) in db.execute("PRAGMA integrity_check") if line != "ok"]


def require_pages(db: sqlite3.Connection) -> None:
    """Raise `StorageError` where what is not found may have been lost."""
    for line in pages(db):
        raise damaged(db, line)


def require_rows(db: sqlite3.Connection, table: str) -> None:
    """Raise `StorageError` where a row of any table's may have been made another's."""
    if db.execute(f"SELECT 1 FROM {table} WHERE seal IS NOT seal({COLUMNS[table]})").fetchone():
        raise damaged(db, f"a row of its table '{table}' is not as it was written")


def check_name(db: sqlite3.Connection, form: re.Pattern[str], name: object) -> str:
    """Return a name of a file or folder; one we never write could lead out of the database.

    Raises:
        StorageError: It has another form.
    """
    if isinstance(name, str) and form.match(name):
        return name
    raise StorageError(
        f"{_path(db)} names {name!r} below its data folder, which embow does not write: the file "
        "is damaged or was changed by hand. Restore it from a backup."
    )


def damaged(db: sqlite3.Connection, what: str) -> StorageError:
    """Return the error for a catalog that is not as it was written."""
    return StorageError(f"{_path(db)} is damaged: {what}. Restore it from a backup.")


def _path(db: sqlite3.Connection) -> str:
    path: str = db.execute("PRAGMA database_list").fetchone()[2]
    return path
