"""Making a table with its first rows, in one commit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from embow._table.handle import Handle
from embow._table.writing.changes import overwrite as replace_rows
from embow._table.writing.ingest import Ingest
from embow._table.writing.quarantine import Quarantine
from embow._table.writing.staging import Writer
from embow.engines.contract import EngineTable
from embow.errors import TableNotFoundError
from embow.pipeline import AddReport


def create(
    name: str, writing: Ingest, data: Any, *, overwrite: bool
) -> tuple[EngineTable, AddReport]:
    """Make a table of the columns of ``writing``. See ``Database.create_table``.

    Args:
        name: Name of the table.
        writing: How its first rows become stored rows.
        data: Rows in any form that ``Table.add`` takes.
        overwrite: Put it in the place of a table of that name.
    """
    context = writing.context
    if not overwrite:
        return _created(name, writing, data)
    try:
        stored = context.engine.open_table(name)
    except TableNotFoundError:
        return _created(name, writing, data)
    writer = Writer(Handle(context.engine, context.pipeline, context.trust, stored))
    replace_rows(writer, writing, data)
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
