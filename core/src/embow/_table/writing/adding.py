"""Rows that come in: into a table, in the place of its rows, or as a new table; each one commit."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pyarrow as pa

from embow._cancel import stop_if_cancelled
from embow._table.columns import QUARANTINE, REPLACED, Columns
from embow._table.handle import Handle
from embow._table.incoming.inputs import is_read_once, new_fields
from embow._table.incoming.vectors import BadVectorPolicy
from embow._table.writing.computing import widened
from embow._table.writing.ingest import Ingest
from embow._table.writing.quarantine import Quarantine
from embow._table.writing.staging import Writer, require_fit
from embow.engines.contract import Base, Change, EngineTable, Snapshot
from embow.errors import TableNotFoundError
from embow.pipeline import AddReport, Estimate


def add(
    handle: Handle,
    data: Any,
    mode: str,
    policy: BadVectorPolicy,
    given: Mapping[str, Any],
    *,
    dry_run: bool = False,
    new_columns: bool = False,
) -> AddReport | Estimate:
    """Add rows in one commit, or tell what that would take. See ``Table.add``.

    Rows for the quarantine are stored before that commit, each content once. If the process dies
    in between they wait there although the others are not in the table; adding all of them again
    sets none aside twice.
    """
    fields: list[pa.Field] = []
    if new_columns or (mode == "overwrite" and not dry_run):
        handle.require_latest()
    if new_columns:
        fields, data = new_fields(data, handle.look().visible)
    call = _Addition(Writer(handle), data, fields, policy, given)
    if dry_run:
        columns, _ = widened(handle.look(), fields)
        return call.ingest(columns).estimate(data)
    if mode == "overwrite":
        columns, _ = widened(handle.look(), fields)
        fresh = replace(columns, metadata={**columns.metadata, QUARANTINE: uuid4().hex})
        overwrite_rows(call.writer, call.ingest(fresh), data)
    else:
        call.writer.commit(call.plan)
    return call.writer.report


@dataclass(frozen=True, slots=True)
class _Written:
    """Rows written for an addition.

    Attributes:
        ingest: How they were made.
        before: The table's columns as they were.
        new: Physical columns the rows bring.
        base: The version they were made on.
    """

    ingest: Ingest
    before: Columns
    new: list[pa.Field]
    base: Base


@dataclass(slots=True)
class _Addition:
    """One call that adds rows, planned as often as others commit first.

    Attributes:
        writer: The call's.
        data: As the user gave them.
        fields: Columns they may bring.
        policy: What to do with bad vectors.
        given: The call's options.
        written: The rows, once they are.
    """

    writer: Writer
    data: Any
    fields: list[pa.Field]
    policy: BadVectorPolicy
    given: Mapping[str, Any]
    written: _Written | None = None

    def ingest(self, columns: Columns, snapshot: Snapshot | None = None) -> Ingest:
        """Return how the data become rows of these columns."""
        handle = self.writer.handle
        settled = handle.options(columns, self.given, self.policy.on_error)
        return Ingest(handle, columns, settled, self.policy, snapshot=snapshot)

    def plan(self, snapshot: Snapshot) -> Change:
        """Return the change that brings the rows in; rejected ones are stored first.

        Raises:
            CommitConflictError: The table's columns are others by now.
        """
        handle, now = self.writer.handle, self.writer.handle.columns(snapshot)
        written = self.written
        if written is None or (self._reshaped(written, now) and not is_read_once(self.data)):
            written = self._write(snapshot, now)
        elif now is not written.before:
            require_fit(written.before, now, handle, written.new)
        if now.key and snapshot.base != written.base:
            written.ingest.keys.require_free(snapshot, now)
        columns = written.ingest.columns if written.new else now
        if written.ingest.rejected:
            Quarantine.of(handle.engine, columns, handle.stored).store(written.ingest.rejected)
        told = None
        if written.new:
            told = {k: v for k, v in columns.metadata.items() if now.metadata.get(k) != v}
        staged = [self.writer.staged] if self.writer.staged else []
        return Change(snapshot.base, staged, None, told, bool(now.key), written.new)

    @staticmethod
    def _reshaped(written: _Written, now: Columns) -> bool:
        """Return whether other columns, with the functions as they were, ask for other rows."""
        if now is written.before or now.bindings != written.before.bindings:
            return False
        return bool(written.new) or not now.takes_rows_of(written.before)

    def _write(self, snapshot: Snapshot, now: Columns) -> _Written:
        """Write the rows; those that were written for columns as they were before are removed."""
        writer = self.writer
        if self.written is not None:
            writer.restart()
        columns, new = widened(now, self.fields) if self.fields else (now, [])
        ingest = self.ingest(columns, snapshot)
        batches = ingest.batches(self.data, writer.report)
        writer.staged = writer.handle.stored.write(batches, base=snapshot.base, new=new)
        self.written = _Written(ingest, now, new, snapshot.base)
        return self.written


def overwrite_rows(writer: Writer, writing: Ingest, data: Any) -> None:
    """Put rows in the place of all there are, with the columns of ``writing``.

    Rows that are in quarantine go with the contents they were meant for: it has a new name.
    """
    handle, columns = writer.handle, writing.columns
    with handle.snapshot() as snapshot:
        base = snapshot.base
        former = Quarantine.of(handle.engine, handle.columns(snapshot), handle.stored)
    columns = replace(columns, metadata={**columns.metadata, REPLACED: former.name})
    batches = writing.batches(data, writer.report)
    writer.staged = handle.stored.write(batches, base=base, schema=columns.stored)
    quarantine = Quarantine.of(handle.engine, writing.columns)
    try:
        quarantine.store(writing.rejected)
        stop_if_cancelled()
        commit = handle.stored.overwrite(
            columns.stored, [writer.staged], base=base, metadata=columns.metadata
        )
    except BaseException:
        writer.discard()
        quarantine.drop()
        raise
    former.sweep()
    former.drop()
    writer.finish(commit)


def create(
    name: str, writing: Ingest, data: Any, *, overwrite: bool
) -> tuple[EngineTable, AddReport]:
    """Make a table of the columns of ``writing``. See ``Database.create_table``."""
    context = writing.context
    if not overwrite:
        return _created(name, writing, data)
    try:
        stored = context.engine.open_table(name)
    except TableNotFoundError:
        return _created(name, writing, data)
    writer = Writer(context.handle(stored))
    overwrite_rows(writer, writing, data)
    return stored, writer.report


def _created(name: str, writing: Ingest, data: Any) -> tuple[EngineTable, AddReport]:
    report, started, columns = AddReport(), time.monotonic(), writing.columns
    engine = writing.context.engine
    quarantine = Quarantine.of(engine, columns)

    def batches() -> Iterator[pa.RecordBatch]:
        yield from writing.batches(data, report)
        quarantine.store(writing.rejected)  # Before the table is there, as before any commit.

    metadata = columns.metadata
    try:
        stored = engine.create_table(name, columns.stored, batches(), metadata=metadata)
    except BaseException:
        if writing.rejected:
            quarantine.drop()
        raise
    with stored.snapshot() as snapshot:
        report.rows, report.version = snapshot.count_rows(), snapshot.base.version
    report.seconds = time.monotonic() - started
    return stored, report
