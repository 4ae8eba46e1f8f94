"""The SQLite file that says which data belong to which table."""

from __future__ import annotations

import ctypes
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, TypeVar

from embow.engines._forks import rest_at_fork
from embow.engines._local import faults
from embow.engines._local.connection import FROZEN, connect, mode_of, number, state_of
from embow.engines._local.failures import FAILURES, explained, storing
from embow.engines._local.together import Job, Queue
from embow.engines._local.upgrade import FORMAT, create, upgrade
from embow.engines.contract import Durability
from embow.errors import EmbowError, StorageError

_WORTH = 2**20
"""Bytes that nothing fills, from which on the file is written anew."""
_APPLICATION = 0x656D626F  # "embo", in the file's header
_Use = Literal["read", "write"]
_SYNCHRONOUS = {"full": "FULL", "os": "NORMAL"}
"""How SQLite waits for the disk: at each commit, or only where its log is moved into the file."""
T = TypeVar("T")


class Catalog:
    """An open catalog: one connection that reads, one that writes.

    Both are closed while the process forks: SQLite's locks are a process's own.

    Args:
        path: The file; made when it is missing or empty. Where it cannot be written it is read.
        busy_seconds: How long to wait for another writer.
        durability: What a commit waits for, see `EngineOptions`.

    Raises:
        StorageError: It cannot be opened or belongs to another program.
    """

    def __init__(self, path: Path, busy_seconds: float, durability: Durability) -> None:
        self.path = path
        self._synchronous = _SYNCHRONOUS[durability]
        self._busy = busy_seconds
        self._connections: dict[_Use, sqlite3.Connection] = {}
        self._paused: list[threading.Lock] = []
        self._closed = False
        self._renew_locks()
        with storing(path, "open"):
            self._mode = mode_of(path)
            self._frozen = state_of(path) if self.read_only else ""
            self._place: tuple[int, int] | None = None
            try:
                self._prepare()
                found = os.stat(path)
            except BaseException:
                _close(self._connections)
                raise
            self._place = found.st_dev, found.st_ino
        # A catalog that is forgotten is closed; Python 3.13 warns of connections that are not.
        weakref.finalize(self, _close, self._connections)
        rest_at_fork(self)

    def _prepare(self) -> None:
        db = self._connection("read" if self.read_only else "write")
        if not self.read_only and number(db, "application_id") != _APPLICATION:
            self._require_empty(db)  # Another program's file keeps its mode.
            db.execute("PRAGMA journal_mode = WAL")
            with self.write():
                if number(db, "application_id") != _APPLICATION:
                    self._require_empty(db)
                    create(db)
                    db.execute(f"PRAGMA application_id = {_APPLICATION}")
        found = number(db, "user_version")
        if found > FORMAT:
            raise StorageError(
                f"{self.path} has format {found}, this embow reads up to {FORMAT}; upgrade embow."
            )
        if found < FORMAT:
            with self.write() as db:
                upgrade(db, number(db, "user_version"))

    def _require_empty(self, db: sqlite3.Connection) -> None:
        # Counted first: a catalog that another process has just made has its id with its tables.
        filled = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if filled and number(db, "application_id") != _APPLICATION:
            raise StorageError(
                f"{self.path} is an SQLite file of another program, not an embow catalog; "
                "choose another folder."
            )

    @property
    def read_only(self) -> bool:
        return self._mode.startswith("ro")

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Hold one consistent view of the catalog."""
        with self._locks["read"]:
            try:
                db = self._connection("read")
                db.execute("BEGIN")
                try:
                    yield db
                finally:
                    db.execute("ROLLBACK")
            except EmbowError:
                raise
            except FAILURES as exc:
                raise explained(exc, self.path, "read") from exc

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Hold the only write transaction; durable once this has been left without an error."""
        with self._locks["write"], self._transaction() as db:
            yield db
        faults.reach("transaction.committed")

    def together(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do work in a write transaction, perhaps one with that of other threads.

        Args:
            work: May be asked more than once, by any thread, and in a transaction in which others
                have changed something before.

        Returns:
            What it returned; durable by now.
        """
        job = Job(work)
        self.queue.add(job)
        try:
            with self._locks["write"]:
                if not job.done:
                    self._lead(job)
        except BaseException:
            self.queue.withdraw(job)
            raise
        faults.reach("transaction.committed")
        result: T = job.result()
        return result

    def _lead(self, job: Job) -> None:
        """Do a job, and those that wait."""
        jobs = self.queue.take(job)
        if len(jobs) == 1 or not self._shared(jobs):
            with self._transaction() as db:
                job.run(db)
            jobs = [job]
        for each in jobs:
            each.done = True

    def _shared(self, jobs: Sequence[Job]) -> bool:
        """Do jobs in one transaction; return whether that could be."""
        try:
            with self._transaction() as db:
                for each in jobs:
                    each.share(db)
        except Exception:
            return False  # Whose error it is shows when each is done alone.
        return True

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            db = self._connection("write")
            db.execute("BEGIN IMMEDIATE")
            try:
                faults.reach("transaction.begun")
                yield db
                faults.reach("transaction.changed")
                self.require("write")
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
        except EmbowError:
            raise
        except FAILURES as exc:
            raise explained(exc, self.path, "write") from exc

    def shrink(self) -> int:
        """Give back the room that nothing fills any more, where that is most of the file.

        Returns:
            How many bytes.
        """
        with self._locks["write"]:
            try:
                db = self._connection("write")
                before = os.stat(self.path).st_size
                free = number(db, "freelist_count") * number(db, "page_size")
                if free < _WORTH or 2 * free < before:
                    return 0
                db.execute("PRAGMA temp_store = MEMORY")
                db.execute("VACUUM")
                # Who reads an older state is not waited for: the files get shorter after that.
                db.execute("PRAGMA busy_timeout = 0")
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                db.execute(f"PRAGMA busy_timeout = {1000 * self._busy:.0f}")
                return max(0, before - os.stat(self.path).st_size)
            except FAILURES as exc:
                raise explained(exc, self.path, "shrink") from exc

    def require(self, use: _Use) -> None:
        """Raise `StorageError` where the catalog is closed, not writable, or no longer there."""
        if self._closed:
            raise StorageError(
                f"Cannot {use} {self.path}: the database has been closed; open it again with "
                "embow.connect."
            )
        if use == "write" and self._mode.startswith("ro"):
            raise StorageError(
                f"{self.path.parent} can be read but not written: the file system or its "
                "permissions forbid it. Permit writing and open it again, or write to a copy."
            )
        if self._place is None:
            return
        with suppress(FileNotFoundError, NotADirectoryError):
            found = os.stat(self.path)
            if (found.st_dev, found.st_ino) == self._place:
                return
        raise StorageError(
            f"{self.path.parent} was moved, deleted or replaced since it was opened: what is "
            "written there now would be lost, what is read would be out of date. Open it again "
            "with embow.connect, where it is now."
        )

    def _connection(self, use: _Use) -> sqlite3.Connection:
        self.require(use)
        if self._mode == FROZEN and state_of(self.path) != self._frozen:
            _close(self._connections)  # Somebody who may write has.
            self._mode, self._frozen = mode_of(self.path), state_of(self.path)
        if use not in self._connections:
            self._connections[use] = connect(self.path, self._mode, self._busy)
            self._connections[use].execute(f"PRAGMA synchronous = {self._synchronous}")
            self._mode = self._mode.replace("rwc", "rw")
        return self._connections[use]

    def close(self) -> None:
        with self._locks["write"], self._locks["read"]:
            self._closed = True
            _close(self._connections)

    def pause(self) -> None:
        """Wait until nobody reads or writes, and close the connections."""
        for lock in self._locks.values():
            if lock.acquire(timeout=self._busy):
                self._paused.append(lock)
        if len(self._paused) == len(self._locks):
            _close(self._connections)

    def resume(self, *, child: bool) -> None:
        while self._paused:
            self._paused.pop().release()
        if child:
            self._renew_locks()
            while self._connections:  # A thread was at work for too long. They are the parent's.
                _, connection = self._connections.popitem()
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))

    def _renew_locks(self) -> None:
        self._locks: dict[_Use, threading.Lock] = {
            "write": threading.Lock(),
            "read": threading.Lock(),
        }
        self.queue = Queue()


def _close(connections: dict[_Use, sqlite3.Connection]) -> None:
    while connections:
        connections.popitem()[1].close()
