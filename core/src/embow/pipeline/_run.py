"""One call that embeds batches: a bounded window of batches over the pools that fill them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field

from embow._cancel import Cancellation, stop_if_cancelled
from embow.pipeline._clock import StopWork
from embow.pipeline._embedder import Embedder, RowFailedError
from embow.pipeline._parts import Part
from embow.pipeline._progress import Progress
from embow.pipeline._requests import Queue
from embow.pipeline._sources import Source
from embow.pipeline._types import AddReport, EmbeddedBatch, EmbedJob, ProgressUpdate, SourceRows
from embow.pipeline._workers import WorkerPool

BATCH_ROWS = 4096
"""Rows after which a batch is cut, so that a window of batches stays small."""
BATCH_BYTES = 16 * 1024**2
WINDOW_BYTES = 48 * 1024**2
"""Bytes of rows and vectors that may be on their way at once."""
WINDOW_ROWS = 4096
"""Rows that may always be, so that there is something to pack."""


@dataclass(slots=True)
class _Pending:
    """A batch whose vectors are on their way."""

    rows: SourceRows
    first_row: int
    parts: dict[str, Part] = field(default_factory=dict)
    size: int = 0

    @property
    def waiting(self) -> int:
        """Rows that one of the vector columns still waits for."""
        most = 0
        for part in self.parts.values():
            most = max(most, part.waiting)
        return most

    @property
    def end(self) -> int:
        return self.first_row + int(self.rows.batch.num_rows)


@dataclass(slots=True, eq=False)
class Run:
    """Embeds the batches of one call, in order, several on their way at a time."""

    _jobs: list[EmbedJob]
    _report: AddReport
    _cancelled: Cancellation
    _progress: Progress
    _stopping: threading.Event = field(default_factory=threading.Event)
    _condition: threading.Condition = field(default_factory=threading.Condition)
    _window: deque[_Pending] = field(default_factory=deque)
    _pools: list[WorkerPool] = field(default_factory=list)
    _by_column: dict[str, WorkerPool] = field(default_factory=dict)
    _errors: list[BaseException] = field(default_factory=list)
    _rows_out: int = 0
    _size: int = 0
    _waiting: bool = False
    _ended: bool = False

    def assign(self, embedder: Embedder, jobs: list[EmbedJob]) -> None:
        """Have a pool of threads embed some of the jobs."""
        pool = WorkerPool(
            embedder, self._condition, self._stopping, self._may_send_partial, self._fail
        )
        self._pools.append(pool)
        for job in jobs:
            self._by_column[job.vector_column] = pool

    def stream(self, rows: Iterable[SourceRows]) -> Generator[EmbeddedBatch, None, None]:
        """Yield each batch with its vectors, in order.

        Raises:
            EmbowError: A call failed for good, or a row did and the policy is to stop.
            CancelledError: The call was cancelled from outside.
        """
        try:
            for first_row, part in _cut(rows, _growth(self._jobs)):
                self._admit(first_row, part)
                while self._window and (not self._window[0].waiting or self._full()):
                    yield self._pop()
            self._ended = True
            while self._window:
                yield self._pop()
        except (StopWork, RowFailedError) as error:
            self._fail(error)
            self._join()
            stop_if_cancelled()
            self._raise_first()
        finally:
            self._cancelled.set()
            self._join()
            if self._progress.shown:
                self._progress.show(self._update(done=True))

    # -- the window ---------------------------------------------------------------------

    def _admit(self, first_row: int, rows: SourceRows) -> None:
        if self._stopping.is_set() or self._cancelled.is_set():
            raise StopWork
        batch = rows.batch
        pending = _Pending(rows, first_row, size=batch.nbytes)
        sources: dict[str, Source] = {}
        for job in self._jobs:
            if job.source_column not in sources:
                sources[job.source_column] = Source(batch.column(job.source_column))
            source, needed = sources[job.source_column], rows.needed(job.vector_column)
            part = Part(job, source, needed, first_row, self._condition)
            pending.parts[job.vector_column] = part
            pending.size += part.size
        self._window.append(pending)
        self._size += pending.size
        for job in self._jobs:
            self._by_column[job.vector_column].admit(pending.parts[job.vector_column])

    def _full(self) -> bool:
        rows = self._window[-1].end - self._window[0].first_row
        if rows < WINDOW_ROWS or self._size >= WINDOW_BYTES:
            return self._size >= WINDOW_BYTES
        return all(rows >= pool.appetite for pool in self._pools)

    def _pop(self) -> EmbeddedBatch:
        head = self._window[0]
        self._await(head)
        self._window.popleft()
        self._size -= head.size
        out = self._finished(head)
        self._rows_out += head.rows.batch.num_rows
        if self._progress.shown:
            self._progress.show(self._update())
        return out

    def _await(self, head: _Pending) -> None:
        """Wait until a batch is done, and have requests go out that are not full.

        Those of one function this thread sends itself, so that few rows take no other thread.
        """
        self._waiting = True
        while head.waiting and not self._errors and not self._cancelled.from_outside:
            for pool in self._pools[1:]:
                pool.start(partial=True)
            if self._pools[0].work_once():
                continue
            with self._condition:
                if head.waiting and not self._errors:
                    self._condition.wait(self._cancelled.look_every or self._progress.interval)
            if self._progress.shown:
                self._progress.show(self._update())
        with self._condition:  # threads look at the window's first batch for as long as this is set
            self._waiting = False
        if self._errors or self._cancelled.from_outside:
            raise StopWork

    def _finished(self, pending: _Pending) -> EmbeddedBatch:
        out = EmbeddedBatch(pending.rows.batch, pending.first_row, pending.rows.needs)
        for column, part in pending.parts.items():
            part.finish()
            self._by_column[column].forget(part)
            out.vectors[column], out.valid[column] = part.vectors, part.valid
            out.hashes[column] = part.source.hashes()
            out.failed[column] = dict(sorted(part.failed.items()))
            out.embedded += part.embedded
            self._report.failed += out.failed[column].values()
        self._report.embedded += out.embedded
        return out

    # -- called by pools ----------------------------------------------------------------

    def _may_send_partial(self, queue: Queue) -> bool:
        """Whether waiting for a fuller request would hold up the batch that is next."""
        if self._ended:
            return True
        return self._waiting and queue.front_position() < self._window[0].end

    def _fail(self, error: BaseException) -> None:
        """End the call because of an error.

        After a failed row, requests on their way are still brought to their end: what they
        cost is paid, and one of them may hold an earlier row that fails as well.
        """
        with self._condition:
            if not isinstance(error, StopWork):
                self._errors.append(error)
            self._stopping.set()
            if not isinstance(error, (StopWork, RowFailedError)):
                self._cancelled.set()
            self._condition.notify_all()
        for pool in self._pools:
            pool.wake()

    # -- the end ------------------------------------------------------------------------

    def _join(self) -> None:
        self._stopping.set()
        for pool in self._pools:
            pool.join()

    def _raise_first(self) -> None:
        """Raise what ended the call: of several failed rows, the first in the data."""
        rows = [error for error in self._errors if isinstance(error, RowFailedError)]
        others = [error for error in self._errors if not isinstance(error, RowFailedError)]
        if others:
            raise others[0]
        if rows:
            first = min(rows, key=lambda error: error.row)
            raise first.error from first.cause
        raise AssertionError("the call was cancelled without a reason")  # pragma: no cover

    def _update(self, done: bool = False) -> ProgressUpdate:
        report = self._report
        behind = [pending.rows.batch.num_rows - pending.waiting for pending in self._window]
        return ProgressUpdate(
            rows=self._rows_out + sum(behind),
            total=self._progress.total,
            cached=report.cached,
            failed=len(report.failed),
            tokens=report.tokens,
            done=done,
        )


def pass_on(rows: Iterable[SourceRows], progress: Progress) -> Generator[EmbeddedBatch, None, None]:
    """Yield the rows of a call that embeds nothing."""
    count = 0
    try:
        for given in rows:
            yield EmbeddedBatch(given.batch, count, given.needs)
            count += given.batch.num_rows
            progress.show(ProgressUpdate(count, progress.total, 0, 0, 0))
    finally:
        progress.show(ProgressUpdate(count, progress.total, 0, 0, 0, done=True))


def _growth(jobs: Iterable[EmbedJob]) -> int:
    """Return how many times the size of rows they and their vectors may take, at a guess.

    One vector a row is soon forgotten beside a text; one for each token is many times its size.
    """
    growth = 1
    for job in jobs:
        if job.function.vector_form().multi:
            growth += job.ndims
    return growth


def _cut(rows: Iterable[SourceRows], growth: int) -> Iterator[tuple[int, SourceRows]]:
    """Yield rows in parts of bounded size, with the position of their first row.

    Args:
        rows: Rows of any number.
        growth: How many times their size is counted.
    """
    position = 0
    for given in rows:
        batch = given.batch
        share = BATCH_BYTES * batch.num_rows // max(1, batch.nbytes * growth)
        step = max(1, min(BATCH_ROWS, share))
        if batch.num_rows <= step:
            yield position, given
            position += batch.num_rows
            continue
        for start in range(0, batch.num_rows, step):
            part = given.slice(start, step)
            yield position, part
            position += part.batch.num_rows
