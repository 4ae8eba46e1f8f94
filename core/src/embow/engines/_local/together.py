"""Commits of several threads in one transaction, so that they wait for the disk once.

Whoever may write does the work of all who wait to write by then. Each learns of its own alone, and
not before the transaction is on disk. Work that fails is undone by itself; where the transaction
fails, everyone's work is done again, one by one, so that each finds its own error.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from sqlite3 import Connection
from typing import Any

from embow.engines._local import faults
from embow.errors import EmbowError


@dataclass(slots=True, eq=False, repr=False)  # Errors that show it would show all its rows.
class Job:
    """Work that one thread wants to have committed.

    Attributes:
        work: Changes the catalog, in a transaction that it may share; it may be asked again.
        context: Of the thread, where its cancellation is found.
        done: Whether it needs to be done no more: it is committed, or has failed.
        value: What it returned.
        error: Why it failed.
    """

    work: Callable[[Connection], Any]
    context: Context = field(default_factory=copy_context)
    done: bool = False
    value: Any = None
    error: EmbowError | None = None

    def run(self, db: Connection) -> None:
        """Do the work in a transaction."""
        self.error = None
        self.value = self.context.run(self.work, db)

    def share(self, db: Connection) -> None:
        """Do the work in a transaction with others, and undo it where it fails."""
        db.execute("SAVEPOINT job")
        try:
            self.run(db)
        except EmbowError as exc:
            db.execute("ROLLBACK TO job")
            self.error = exc
        db.execute("RELEASE job")
        faults.reach(faults.SHARED)

    def result(self) -> Any:
        """Return what the work returned, or raise why it failed."""
        if self.error is not None:
            raise self.error
        return self.value


@dataclass(slots=True)
class Queue:
    """The jobs of threads that wait to write."""

    _waiting: deque[Job] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, job: Job) -> None:
        """Let others do it."""
        self._waiting.append(job)

    def withdraw(self, job: Job) -> None:
        """Keep others from doing it, where none has begun to."""
        with suppress(ValueError):  # It was taken.
            self._waiting.remove(job)

    def take(self, job: Job) -> list[Job]:
        """Return a job and all that wait, in their order; none of them waits any more."""
        taken = []
        while self._waiting:
            try:
                taken.append(self._waiting.popleft())
            except IndexError:
                break  # The last one was withdrawn at this moment.
        return taken if job in taken else [job, *taken]
