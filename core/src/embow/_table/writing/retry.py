"""Trying the quarantined rows again, so that each comes into the table once, whatever dies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from embow._table.columns import QUARANTINE
from embow._table.handle import Handle
from embow._table.writing.ingest import Ingest
from embow._table.writing.keys import Keys
from embow._table.writing.quarantine import Quarantine, retried_entries
from embow._table.writing.staging import Writer
from embow.engines.contract import Change, Snapshot
from embow.expr import Condition
from embow.pipeline import AddReport, FailedRow


def retry_failed(handle: Handle, given: Mapping[str, Any]) -> AddReport:
    """Try the quarantined rows again. See ``Table.retry_failed``."""
    handle.require_latest()
    writer = Writer(handle)
    tried: dict[bytes, FailedRow | None] = {}

    def plan(snapshot: Snapshot) -> Change | None:
        columns = handle.columns(snapshot)
        found = Quarantine.of(handle.engine, columns, handle.stored).waiting()
        tried.clear()
        if found is None:
            writer.discard()
            return None
        numbers, ids, rows = found
        options = handle.options(columns, {**given, "on_error": "quarantine"})
        if columns.key:
            keys = Keys(columns, columns.key)
            keys.take(rows.select(list(columns.key)))
            keys.require_free(snapshot, columns)
        writing = Ingest(handle, columns, options, snapshot=snapshot)
        staged = writer.stage(snapshot, (numbers,), lambda: writing.batches(rows, writer.report))
        failed = {failure.row: failure for failure in reversed(writer.report.failed)}
        tried.update((each, failed.get(row)) for row, each in enumerate(ids))
        if not staged.rows:
            return None
        came = [each for each, failure in tried.items() if failure is None]
        entries = retried_entries(came)
        return Change(snapshot.base, add=[staged], metadata=entries, alone=bool(columns.key))

    with handle.confined(handle.look()):
        writer.commit(plan)
    _quarantine(handle).settle(tried)
    return writer.report


def failed_rows(handle: Handle) -> pa.Table:
    """Return the quarantined rows. See ``Table.failed_rows``."""
    return _quarantine(handle).rows()


def discard_failed(handle: Handle, where: Condition | None) -> int:
    """Throw quarantined rows away. See ``Table.discard_failed``."""
    handle.require_latest()
    return _quarantine(handle).discard(where)


def name_quarantine(handle: Handle, name: str) -> None:
    """Have the quarantine keep its name where the table, made by earlier code, gets another."""

    def plan(snapshot: Snapshot) -> Change | None:
        if QUARANTINE in handle.columns(snapshot).metadata:
            return None
        return Change(snapshot.base, metadata={QUARANTINE: name})

    handle.transact(plan)


def _quarantine(handle: Handle) -> Quarantine:
    with handle.stored.snapshot() as snapshot:  # The latest knows which rows wait no more.
        return Quarantine.of(handle.engine, handle.columns(snapshot), handle.stored)
