"""What one call writes: rows staged for a plan, then one commit, and the report of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow._table.columns import Columns
from embow._table.handle import Handle
from embow._table.incoming.inputs import BATCH_ROWS
from embow.engines.contract import Change, Commit, RowIds, ScanQuery, Snapshot, Staged
from embow.errors import CommitConflictError
from embow.pipeline import AddReport, PipelineOptions

_DROP_TRIES = 5


@dataclass(slots=True)
class Writer:
    """One call that writes to a table.

    Rows staged for a plan are used again when the plan is made anew and is the same.
    """

    handle: Handle
    report: AddReport = field(default_factory=AddReport)
    started: float = field(default_factory=time.monotonic)
    staged: Staged | None = None
    _columns: Columns | None = None
    _rows: tuple[NDArray[np.int64], ...] = ()

    def stage(
        self,
        snapshot: Snapshot,
        rows: tuple[NDArray[np.int64], ...],
        batches: Callable[[], Iterable[pa.RecordBatch]],
    ) -> Staged:
        """Write batches, unless they were written for the same plan before.

        ``rows`` is what they are made of: ids of stored rows, positions in the data. A row that was
        changed has another id, so equal numbers make equal batches.
        """
        columns = self.handle.columns(snapshot)
        same = self._columns is not None and same_target(columns, self._columns)
        if self.staged is not None and same and _equal(rows, self._rows):
            return self.staged
        self.discard()
        self.report.failed.clear()
        self.staged = self.handle.stored.write(batches(), base=snapshot.base)
        self._columns, self._rows = columns, rows
        return self.staged

    def restart(self) -> None:
        """Begin anew, as if nothing had been made."""
        self.discard()
        self.report = AddReport()

    def discard(self) -> None:
        """Remove what is staged."""
        if self.staged is not None:
            self.handle.stored.discard(self.staged)
            self.staged = None

    def commit(self, plan: Callable[[Snapshot], Change | None]) -> Commit:
        """Commit what a plan makes, and complete the report.

        Returns:
            The commit; where the plan found nothing to do, the version it saw.
        """
        try:
            commit = self.handle.transact(plan)
        except BaseException:
            self.discard()
            raise
        if not commit.rows_added:
            self.discard()
        self.finish(commit)
        return commit

    def finish(self, commit: Commit) -> None:
        """Complete the report."""
        self.report.version = commit.version
        self.report.rows = self.staged.rows if self.staged is not None else 0
        self.report.seconds = time.monotonic() - self.started


def same_target(one: Columns, other: Columns) -> bool:
    """Return whether rows written for the columns of one version fit another."""
    return one.same_functions(other) and one.stored.equals(other.stored)


def require_fit(used: Columns, now: Columns, handle: Handle, new: Sequence[pa.Field] = ()) -> None:
    """Refuse to commit rows that were made for columns or functions the table no longer has.

    Columns that came in since, and allow null, are null in them. Rows that bring columns fit no
    others.

    Raises:
        CommitConflictError: The call is to be made again.
    """
    if new or not now.takes_rows_of(used):
        raise CommitConflictError(
            f"The columns or embedding functions of table {handle.name!r} were changed while rows "
            "were being added. Nothing was stored; add the rows again as the table is now."
        )


def drop_stored(
    handle: Handle, choose: Callable[[Columns], Sequence[str]], at_least: int = 0
) -> Commit | None:
    """Drop physical columns that nothing names, chosen anew where the schema changed meanwhile.

    Where others keep changing the schema they are left, for the next such call to drop.
    """
    for _ in range(_DROP_TRIES):
        with handle.snapshot(at_least=at_least) as snapshot:
            names = choose(handle.columns(snapshot))
        if not names:
            return None
        with contextlib.suppress(CommitConflictError):
            return handle.stored.drop_columns(names, base=snapshot.base)
    return None


def stored_rows(snapshot: Snapshot, row_ids: RowIds) -> Iterator[pa.RecordBatch]:
    """Yield rows by id as they are stored, at most ``BATCH_ROWS`` at a time."""
    for chunk in chunks(row_ids):
        rows = snapshot.scan(ScanQuery(row_ids=chunk)).read_all()
        yield from rows.combine_chunks().to_batches()


def chunks(row_ids: RowIds) -> Iterator[RowIds]:
    """Yield at most ``BATCH_ROWS`` ids at a time."""
    for start in range(0, len(row_ids), BATCH_ROWS):
        yield row_ids[start : start + BATCH_ROWS]


def keeping_rows(options: PipelineOptions) -> PipelineOptions:
    """Return options under which a stored row is never left out because it cannot be embedded.

    ``skip`` and ``quarantine`` are for new rows; a changed row stays, without its vector.
    """
    return options if options.on_error == "raise" else replace(options, on_error="null")


def _equal(one: tuple[NDArray[np.int64], ...], other: tuple[NDArray[np.int64], ...]) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))
