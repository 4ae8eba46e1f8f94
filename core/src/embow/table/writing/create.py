"""Making a table with its first rows, in one commit."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from embow.engines.contract import EngineTable
from embow.errors import TableNotFoundError
from embow.pipeline import AddReport
from embow.table.columns import Columns
from embow.table.handle import Context, Handle
from embow.table.incoming.vectors import BadVectorPolicy
from embow.table.writing.changes import overwrite as replace_rows
from embow.table.writing.ingest import Ingest
from embow.table.writing.quarantine import Quarantine
from embow.table.writing.staging import Writer


def create(
    context: Context,
    name: str,
    columns: Columns,
    data: Any,
    policy: BadVectorPolicy,
    given: Mapping[str, Any],
    *,
    overwrite: bool,
) -> tuple[EngineTable, AddReport]:
    """Make a table of these columns. See ``Database.create_table``.

    Args:
        context: The database.
        name: Name of the table.
        columns: Its columns, with the metadata to keep.
        data: Rows in any form that ``Table.add`` takes.
        policy: What to do with bad vectors in them.
        given: Options of the call.
        overwrite: Put it in the place of a table of that name.
    """
    writing = Ingest(context, columns, context.options(columns, given), policy)
    if overwrite:
        try:
            stored = context.engine.open_table(name)
        except TableNotFoundError:
            pass
        else:
            writer = Writer(Handle(context.engine, context.pipeline, context.trust, stored))
            replace_rows(writer, writing, data)
            return stored, writer.report
    report, started = AddReport(), time.monotonic()
    batches = writing.batches(data, report)
    stored = context.engine.create_table(name, columns.stored, batches, metadata=columns.metadata)
    handle = Handle(context.engine, context.pipeline, context.trust, stored)
    with handle.snapshot() as snapshot:
        quarantine = Quarantine.of(handle, snapshot)
        report.rows, report.version = snapshot.count_rows(), snapshot.base.version
    report.seconds = time.monotonic() - started
    try:
        quarantine.store(writing.rejected)
    except BaseException:
        context.engine.drop_table(name)
        raise
    return stored, report
