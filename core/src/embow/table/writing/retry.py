"""Trying the quarantined rows again, so that each comes into the table once, whatever dies.

A row that now embeds is staged for the table. Its place in quarantine first takes down what was
staged, then the staged rows are committed, then it goes. Whoever finds a row with such a note makes
that commit: an engine that has it already returns the earlier one. Engines remember a commit as
long as its staged rows were to live and its version is kept, so what died is to be called again
within that time.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from embow.engines.contract import (
    ROW_ID,
    Base,
    Change,
    Commit,
    EngineTable,
    ScanQuery,
    Snapshot,
    Staged,
    row_ids_of,
)
from embow.errors import CommitConflictError, StagedGoneError
from embow.pipeline import AddReport
from embow.table.handle import Handle
from embow.table.writing.ingest import Ingest
from embow.table.writing.quarantine import ATTEMPT, Quarantine, as_columns
from embow.table.writing.staging import Writer


def retry_failed(handle: Handle, given: Mapping[str, Any]) -> AddReport:
    """Try the quarantined rows again. See ``Table.retry_failed``."""
    handle.require_latest()
    writer = Writer(handle)
    with handle.snapshot() as snapshot:
        hidden = Quarantine.of(handle, snapshot).open()
    if hidden is None:
        writer.finish(Commit(snapshot.base.version))
        return writer.report
    _settle(handle, hidden)

    def plan(snapshot: Snapshot) -> Change | None:
        _settle(handle, hidden)
        columns = handle.columns(snapshot)
        options = handle.options(columns, {**given, "on_error": "quarantine"})
        writing = Ingest(handle, columns, options)
        _claim(writer, snapshot, writing, hidden)
        return Change(snapshot.base, add=[writer.staged]) if writer.staged else None

    writer.commit(plan)
    _settle(handle, hidden)
    return writer.report


def failed_rows(handle: Handle) -> pa.Table:
    """Return the quarantined rows. See ``Table.failed_rows``."""
    with handle.snapshot() as snapshot:
        return Quarantine.of(handle, snapshot).rows()


def _claim(writer: Writer, snapshot: Snapshot, writing: Ingest, hidden: EngineTable) -> None:
    """Embed the rows that wait, stage them for the table, and note in quarantine that they are.

    Rows that failed again get the new reason.
    """
    quarantine = Quarantine(writing.context.engine, snapshot.base.table, writing.columns.visible)

    def plan(kept: Snapshot) -> Change | None:
        rows = _with_attempt(kept, None)
        if not rows.num_rows:
            writer.discard()
            return None
        ids, rows = row_ids_of(rows), rows.drop_columns([ROW_ID])
        given = quarantine.as_given(rows)
        writing.rejected.clear()
        staged = writer.stage(snapshot, (ids,), lambda: writing.batches(given, writer.report))
        noted = _noted(rows, writer.report, staged, snapshot.base)
        return Change(kept.base, remove=ids, add=[hidden.write([noted], base=kept.base)])

    hidden.transact(plan)


def _noted(rows: pa.RecordBatch, report: AddReport, staged: Staged, base: Base) -> pa.RecordBatch:
    """Return quarantined rows with what they are staged in, or why they failed again."""
    failed = {failure.row: failure for failure in reversed(report.failed)}
    note = _written(staged, base)
    notes = [None if row in failed else note for row in range(rows.num_rows)]
    columns = dict(zip(rows.schema.names, rows.columns, strict=True))
    columns[ATTEMPT.name] = pa.array(notes, ATTEMPT.type)
    new = as_columns(list(failed.values())) if failed else {}
    for name, reasons in new.items():
        told = dict(zip(failed, reasons.to_pylist(), strict=True))
        was = columns[name].to_pylist()
        merged = [told.get(row, before) for row, before in enumerate(was)]
        columns[name] = pa.array(merged, reasons.type)
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _settle(handle: Handle, hidden: EngineTable) -> None:
    """End what was begun: rows that are in the table go, those that cannot come in wait again."""
    with hidden.snapshot() as kept:
        scanned = kept.scan(ScanQuery(columns=[ATTEMPT.name])).read_all()
        notes = {note for note in scanned.column(0).to_pylist() if note is not None}
    for note in notes:
        staged, base = _read(note)
        try:
            handle.stored.commit(Change(base, add=[staged]))
            done = True
        except (CommitConflictError, StagedGoneError):
            done = False  # The functions changed meanwhile, or the staged rows are gone.
        _close(hidden, note, done)


def _close(hidden: EngineTable, note: bytes, done: bool) -> None:
    """Remove the rows with a note, or the note."""

    def plan(kept: Snapshot) -> Change:
        rows = _with_attempt(kept, note)
        ids = row_ids_of(rows)
        if done or not len(ids):
            return Change(kept.base, remove=ids)
        rows = rows.drop_columns([ROW_ID, ATTEMPT.name])
        return Change(kept.base, remove=ids, add=[hidden.write([rows], base=kept.base)])

    hidden.transact(plan)


def _with_attempt(kept: Snapshot, note: bytes | None) -> pa.RecordBatch:
    """Return the quarantined rows with this note, their ids last."""
    found = kept.scan(ScanQuery(with_row_id=True)).read_all().combine_chunks()
    rows = found.to_batches()[0] if found.num_rows else _empty(found.schema)
    notes = rows.column(ATTEMPT.name).to_pylist()
    return rows.filter(pa.array([each == note for each in notes], pa.bool_()))


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in schema], schema=schema)


def _written(staged: Staged, base: Base) -> bytes:
    """Return staged rows and what they are committed on as text; nothing in it is ever executed."""
    record = {
        "token": staged.token,
        "table": base.table,
        "version": base.version,
        "written_for": staged.base.version,
        "rows": staged.rows,
        "until": staged.until.isoformat(),
        "payload": base64.b64encode(staged.payload).decode(),
    }
    return json.dumps(record).encode()


def _read(note: bytes) -> tuple[Staged, Base]:
    record = json.loads(note)
    base = Base(record["table"], record["version"])
    staged = Staged(
        token=record["token"],
        base=replace(base, version=record["written_for"]),
        rows=record["rows"],
        until=datetime.fromisoformat(record["until"]),
        payload=base64.b64decode(record["payload"]),
    )
    return staged, base
