"""The tables of the catalog, and how one of an earlier format becomes one of today's."""

from __future__ import annotations

import sqlite3
import time
from typing import Final

import numpy as np

from embow.engines._local.sealed import COLUMNS

FORMAT: Final = 4
"""Kept as SQLite's ``user_version``."""

_FORMAT_1 = (
    # folder: below data/. epoch grows when pieces are exchanged for others holding the same
    # rows, generation when all rows are exchanged for others.
    """CREATE TABLE tables (
        id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, folder TEXT NOT NULL,
        version INTEGER NOT NULL, epoch INTEGER NOT NULL, generation INTEGER NOT NULL,
        schema_version INTEGER NOT NULL, next_row INTEGER NOT NULL,
        tail_rows INTEGER NOT NULL, tail_bytes INTEGER NOT NULL)""",
    # columns: JSON list of physical names, beside the fields of the Arrow schema.
    """CREATE TABLE schemas (
        table_id INTEGER NOT NULL, version INTEGER NOT NULL, arrow BLOB NOT NULL,
        columns TEXT NOT NULL, PRIMARY KEY (table_id, version)) WITHOUT ROWID""",
    # dense: row ids are first_row, first_row + 1, ...; otherwise the files hold them.
    """CREATE TABLE fragments (
        id INTEGER PRIMARY KEY AUTOINCREMENT, table_id INTEGER NOT NULL, version INTEGER NOT NULL,
        first_row INTEGER NOT NULL, rows INTEGER NOT NULL, dense INTEGER NOT NULL)""",
    "CREATE INDEX fragments_of ON fragments (table_id, id)",
    """CREATE TABLE files (
        id INTEGER PRIMARY KEY AUTOINCREMENT, fragment_id INTEGER NOT NULL,
        name TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL)""",
    "CREATE INDEX files_of ON files (fragment_id, id)",
    # rows: row ids, int64 little-endian, ascending.
    """CREATE TABLE deletions (
        id INTEGER PRIMARY KEY AUTOINCREMENT, table_id INTEGER NOT NULL, version INTEGER NOT NULL,
        rows BLOB NOT NULL)""",
    "CREATE INDEX deletions_of ON deletions (table_id, id)",
    # payload: an Arrow IPC stream of one batch, with physical column names.
    """CREATE TABLE tail (
        id INTEGER PRIMARY KEY AUTOINCREMENT, table_id INTEGER NOT NULL, version INTEGER NOT NULL,
        first_row INTEGER NOT NULL, rows INTEGER NOT NULL, payload BLOB NOT NULL)""",
    "CREATE INDEX tail_of ON tail (table_id, id)",
)

# Times are microseconds since 1970, UTC.
_FORMAT_2 = (
    # rows: alive in the latest version. swept, cleared: staged rows whose lease ended by the one,
    # or that were written by the other, are gone.
    "ALTER TABLE tables DROP COLUMN generation",
    "ALTER TABLE tables ADD COLUMN rows INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE tables ADD COLUMN swept INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE tables ADD COLUMN cleared INTEGER NOT NULL DEFAULT 0",
    # The versions that can be read. A row is in one if its id is below next_row and no deletion
    # that holds in it has the id. plain: it only added rows.
    """CREATE TABLE versions (
        table_id INTEGER NOT NULL, version INTEGER NOT NULL, made INTEGER NOT NULL,
        next_row INTEGER NOT NULL, schema_version INTEGER NOT NULL, rows INTEGER NOT NULL,
        operation TEXT NOT NULL, plain INTEGER NOT NULL,
        PRIMARY KEY (table_id, version)) WITHOUT ROWID""",
    """CREATE TABLE tags (
        table_id INTEGER NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
        PRIMARY KEY (table_id, name)) WITHOUT ROWID""",
    # A deletion holds in versions from version on, up to until (excluded). Of a range of ids,
    # which ends before last, rows is empty.
    "ALTER TABLE deletions ADD COLUMN first INTEGER",
    "ALTER TABLE deletions ADD COLUMN last INTEGER",
    "ALTER TABLE deletions ADD COLUMN until INTEGER",
    # checks: where each message of the file ends, and its checksum. Null in files of format 1.
    "ALTER TABLE files ADD COLUMN algorithm TEXT",
    "ALTER TABLE files ADD COLUMN checks BLOB",
    "ALTER TABLE tail ADD COLUMN crc32 INTEGER",
    # Files that are written and that no commit has named. files: a JSON list.
    """CREATE TABLE staged (
        token TEXT PRIMARY KEY, table_id INTEGER NOT NULL, until INTEGER NOT NULL,
        files TEXT NOT NULL) WITHOUT ROWID""",
    # What has been committed, so that it is not again; version 0: it was given up.
    """CREATE TABLE tokens (
        token TEXT PRIMARY KEY, table_id INTEGER NOT NULL, version INTEGER NOT NULL,
        added INTEGER NOT NULL, removed INTEGER NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID""",
)

_SEALED_3 = {table: names for table, names in COLUMNS.items() if table not in ("indexes", "pieces")}
_SEALED_3["tables"] = COLUMNS["tables"].removesuffix(", indexed")
"""Columns that were under the checksum in format 3."""

# seal: checksum of the row, see `COLUMNS`. fragments.staged: the token of the write, until a commit
# makes them the table's. staged.columns: a JSON list of the stored columns in its files.
_FORMAT_3 = (
    *(f"ALTER TABLE {table} ADD COLUMN seal INTEGER" for table in _SEALED_3),
    "ALTER TABLE tail DROP COLUMN crc32",
    "ALTER TABLE fragments ADD COLUMN staged TEXT",
    "DELETE FROM staged",
    "ALTER TABLE staged DROP COLUMN files",
    "ALTER TABLE staged ADD COLUMN columns TEXT NOT NULL DEFAULT ''",
    *(f"UPDATE {table} SET seal = seal({names})" for table, names in _SEALED_3.items()),
)

_FORMAT_4 = (
    # indexed: grows when indexes or their pieces are exchanged.
    "ALTER TABLE tables ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0",
    # A row that was damaged stays one that is.
    f"UPDATE tables SET seal = seal({COLUMNS['tables']}) WHERE seal IS seal({_SEALED_3['tables']})",
    # field: physical column. settings: JSON of the library.
    """CREATE TABLE indexes (
        id INTEGER PRIMARY KEY AUTOINCREMENT, table_id INTEGER NOT NULL, name TEXT NOT NULL,
        field TEXT NOT NULL, kind TEXT NOT NULL, settings TEXT NOT NULL, seal INTEGER,
        UNIQUE (table_id, name))""",
    # A piece covers the rows from first_row to next_row (excluded) of one stored column. rows: how
    # many it holds; where these are not all, the file ends with their ids.
    """CREATE TABLE pieces (
        id INTEGER PRIMARY KEY AUTOINCREMENT, table_id INTEGER NOT NULL, index_id INTEGER NOT NULL,
        stored TEXT NOT NULL, fingerprint TEXT NOT NULL, first_row INTEGER NOT NULL,
        next_row INTEGER NOT NULL, rows INTEGER NOT NULL, name TEXT NOT NULL UNIQUE,
        bytes INTEGER NOT NULL, algorithm TEXT, checks BLOB, seal INTEGER)""",
    "CREATE INDEX pieces_of ON pieces (table_id, id)",
)


def create(db: sqlite3.Connection) -> None:
    """Make the tables of an empty catalog within a transaction."""
    for statement in _FORMAT_1:
        db.execute(statement)
    upgrade(db, 1)


def upgrade(db: sqlite3.Connection, found: int) -> None:
    """Bring a catalog to today's format within a transaction; another process may have before."""
    if found < 2:
        for statement in _FORMAT_2:
            db.execute(statement)
        for (table_id,) in db.execute("SELECT id FROM tables").fetchall():
            _first_version(db, table_id)
    if found < 3:
        for statement in _FORMAT_3:
            db.execute(statement)
    if found < FORMAT:
        for statement in _FORMAT_4:
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {FORMAT}")


def _first_version(db: sqlite3.Connection, table_id: int) -> None:
    stored = db.execute(
        "SELECT (SELECT coalesce(sum(rows), 0) FROM fragments WHERE table_id = t.id) + "
        "(SELECT coalesce(sum(rows), 0) FROM tail WHERE table_id = t.id) "
        "FROM tables t WHERE id = ?",
        (table_id,),
    ).fetchone()[0]
    blobs = db.execute("SELECT rows FROM deletions WHERE table_id = ?", (table_id,))
    deleted = [np.empty(0, "<i8"), *(np.frombuffer(blob, "<i8") for (blob,) in blobs)]
    rows = stored - len(np.unique(np.concatenate(deleted)))
    db.execute("UPDATE tables SET rows = ? WHERE id = ?", (rows, table_id))
    db.execute(
        "INSERT INTO versions SELECT id, version, ?, next_row, schema_version, rows, 'upgrade', 0 "
        "FROM tables WHERE id = ?",
        (time.time_ns() // 1000, table_id),
    )
