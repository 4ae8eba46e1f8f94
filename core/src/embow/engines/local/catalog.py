"""The SQLite file that says which data belong to which table."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embow.engines.local import faults
from embow.engines.local.failures import storing
from embow.errors import StorageError

_APPLICATION = 0x656D626F  # "embo", in the file's header
_FORMAT = 1
_TABLES = (
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


class Catalog:
    """An open catalog: one connection that reads, one that writes.

    Args:
        path: The file; made when it is missing or empty.
        busy_seconds: How long to wait for another writer.

    Raises:
        StorageError: It cannot be opened or belongs to another program.
    """

    def __init__(self, path: Path, busy_seconds: float) -> None:
        self.path = path
        self._reading = threading.Lock()
        self._writing = threading.RLock()
        with storing(path, "open"):
            self._writer = _connect(path, busy_seconds)
            try:
                self._prepare()
                self._reader = _connect(path, busy_seconds)
            except BaseException:
                self._writer.close()
                raise
        # A catalog that is forgotten is closed; Python 3.13 warns of connections that are not.
        forgotten = weakref.finalize(self, _close, self._reader, self._writer)
        forgotten.atexit = False

    def _prepare(self) -> None:
        if self._owner() != _APPLICATION:
            self._writer.execute("PRAGMA journal_mode = WAL")
            with self._transaction("BEGIN IMMEDIATE"):
                if self._owner() != _APPLICATION:
                    self._create()
        found = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if found > _FORMAT:
            raise StorageError(
                f"{self.path} has format {found}, this embow reads up to {_FORMAT}; upgrade embow."
            )

    def _owner(self) -> int:
        return int(self._writer.execute("PRAGMA application_id").fetchone()[0])

    def _create(self) -> None:
        if self._writer.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            raise StorageError(
                f"{self.path} is an SQLite file of another program, not an embow catalog; "
                "choose another folder."
            )
        for statement in _TABLES:
            self._writer.execute(statement)
        self._writer.execute(f"PRAGMA user_version = {_FORMAT}")
        self._writer.execute(f"PRAGMA application_id = {_APPLICATION}")

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Hold one consistent view of the catalog."""
        with self._reading, storing(self.path, "read"):
            self._reader.execute("BEGIN")
            try:
                yield self._reader
            finally:
                self._reader.execute("ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Hold the only write transaction; durable once this has been left without an error.

        Within another one of the same thread, its changes take effect with the outer one's.
        """
        with self._writing:
            with storing(self.path, "write"):
                nested = self._writer.in_transaction
            if nested:
                yield self._writer
                return
            with storing(self.path, "write"), self._transaction("BEGIN IMMEDIATE"):
                faults.reach("transaction.begun")
                yield self._writer
                faults.reach("transaction.changed")
        faults.reach("transaction.committed")

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self._writer.execute(begin)
        try:
            yield
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close both connections."""
        with self._writing, self._reading:
            _close(self._reader, self._writer)


def _close(*connections: sqlite3.Connection) -> None:
    for connection in connections:
        connection.close()


def _connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=busy_seconds, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection
