"""The SQLite file that says which data belong to which table."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embow.engines._local import faults
from embow.engines._local.failures import storing
from embow.engines._local.upgrade import FORMAT, create, upgrade
from embow.errors import StorageError

_APPLICATION = 0x656D626F  # "embo", in the file's header


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
        self._writing = threading.Lock()
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
        if self._number("application_id") != _APPLICATION:
            self._writer.execute("PRAGMA journal_mode = WAL")
            with self.write():
                if self._number("application_id") != _APPLICATION:
                    self._create()
        found = self._number("user_version")
        if found > FORMAT:
            raise StorageError(
                f"{self.path} has format {found}, this embow reads up to {FORMAT}; upgrade embow."
            )
        if found < FORMAT:
            with self.write() as db:
                upgrade(db, self._number("user_version"))

    def _number(self, pragma: str) -> int:
        return int(self._writer.execute(f"PRAGMA {pragma}").fetchone()[0])

    def _create(self) -> None:
        if self._writer.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            raise StorageError(
                f"{self.path} is an SQLite file of another program, not an embow catalog; "
                "choose another folder."
            )
        create(self._writer)
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
        """Hold the only write transaction; durable once this has been left without an error."""
        with self._writing, storing(self.path, "write"):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                faults.reach("transaction.begun")
                yield self._writer
                faults.reach("transaction.changed")
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
        faults.reach("transaction.committed")

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
