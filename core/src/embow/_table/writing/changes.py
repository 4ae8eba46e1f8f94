"""Writes to a table: create, add, update and delete, each in one commit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa

from embow._cancel import stop_if_cancelled
from embow._table.columns import QUARANTINE, REPLACED, Columns
from embow._table.handle import Handle
from embow._table.incoming.conform import Conformer, check_columns
from embow._table.incoming.inputs import Reading, iter_batches, new_fields
from embow._table.incoming.rows import rows_to_batch
from embow._table.incoming.vectors import BadVectorPolicy
from embow._table.writing.ingest import Ingest, rewritten, take_rows
from embow._table.writing.keys import Keys, rows_of_keys
from embow._table.writing.quarantine import Quarantine
from embow._table.writing.reshaping import add_columns
from embow._table.writing.staging import (
    Writer,
    keeping_rows,
    require_fit,
    stored_rows,
)
from embow.engines.contract import Base, Change, EngineTable, RowIds, Snapshot
from embow.engines.predicate import evaluate_expression
from embow.errors import ConfigurationError, SchemaError, TableNotFoundError
from embow.expr import Condition
from embow.pipeline import AddReport, Estimate

Values = Callable[[pa.RecordBatch], dict[str, pa.Array]]


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """What an update did: rows changed, table version, and what was embedded for it."""

    rows_updated: int
    version: int
    report: AddReport


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """What a delete did."""

    num_deleted_rows: int
    version: int


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
    writer = Writer(handle)
    if new_columns:
        data = _with_new_columns(handle, data, dry_run=dry_run)
    if dry_run:
        columns = handle.look()
        settled = handle.options(columns, given, policy.on_error)
        return Ingest(handle, columns, settled, policy).estimate(data)
    if mode == "overwrite":
        handle.require_latest()
        columns = handle.look()
        fresh = replace(columns, metadata={**columns.metadata, QUARANTINE: uuid4().hex})
        settled = handle.options(fresh, given, policy.on_error)
        overwrite_rows(writer, Ingest(handle, fresh, settled, policy), data)
        return writer.report
    begun: Ingest | None = None
    begun_on: Base | None = None

    def plan(snapshot: Snapshot) -> Change:
        nonlocal begun, begun_on
        columns = handle.columns(snapshot)
        if begun is None:
            begun_on = snapshot.base
            settled = handle.options(columns, given, policy.on_error)
            begun = Ingest(handle, columns, settled, policy, snapshot=snapshot)
            batches = begun.batches(data, writer.report)
            writer.staged = handle.stored.write(batches, base=snapshot.base)
        if columns is not begun.columns:
            require_fit(begun.columns, columns, handle)
        if columns.key and snapshot.base != begun_on:
            begun.keys.require_free(snapshot, columns)
        if begun.rejected:
            Quarantine.of(handle.engine, columns, handle.stored).store(begun.rejected)
        staged = [writer.staged] if writer.staged else []
        return Change(snapshot.base, add=staged, alone=bool(columns.key))

    writer.commit(plan)
    return writer.report


def _with_new_columns(handle: Handle, data: Any, *, dry_run: bool) -> Any:
    """Add the columns that the data bring, and return the data; a dry run leaves them out."""
    handle.require_latest()
    known = handle.look().visible
    fields, data = new_fields(data, known)
    if not fields:
        return data
    if dry_run:
        batches = iter_batches(data, Reading(pa.schema([*known, *fields])))
        names = {field.name for field in fields}
        return (batch.drop_columns(names & set(batch.schema.names)) for batch in batches)
    try:
        add_columns(handle, fields)
    except SchemaError:
        there = handle.look().visible.names
        if not all(field.name in there for field in fields):
            raise  # Else another writer brought the same columns at the same moment.
    return data


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


def delete(handle: Handle, where: Condition | None, keys: Any = None) -> DeleteResult:
    """Remove rows. See ``Table.delete``."""
    if where is None and keys is None:
        raise ConfigurationError('delete needs a condition; delete("true") removes every row.')
    if where is not None and keys is not None:
        raise ConfigurationError("delete takes a condition or keys=..., not both.")
    removed = 0

    def plan(snapshot: Snapshot) -> Change:
        nonlocal removed
        if keys is not None:
            ids = rows_of_keys(handle, snapshot, keys)
        else:
            ids = snapshot.row_ids(handle.columns(snapshot).predicate(where))
        removed = len(ids)
        return Change(snapshot.base, remove=ids)

    commit = Writer(handle).commit(plan)
    return DeleteResult(removed, commit.version)


def update(
    handle: Handle,
    where: Condition | None,
    values: Mapping[str, Any] | None,
    values_sql: Mapping[str, Condition] | None,
    given: Mapping[str, Any],
) -> UpdateResult:
    """Change columns of some rows. See ``Table.update``."""
    if bool(values) == bool(values_sql):
        raise ConfigurationError(
            "update takes either values={...} or values_sql={...}, and at least one column."
        )
    handle.require_latest()
    writer = Writer(handle)
    changed = 0

    def plan(snapshot: Snapshot) -> Change | None:
        nonlocal changed
        columns = handle.columns(snapshot)
        check_columns(tuple(values or values_sql or ()), tuple(columns.names))
        ids = snapshot.row_ids(columns.predicate(where))
        changed = len(ids)
        if not changed:
            return None
        new = _new_values(columns, values, values_sql)
        keyed = not set(columns.key).isdisjoint(values or values_sql or ())
        if keyed:
            _require_keys(snapshot, columns, ids, new)
        staged = writer.stage(snapshot, (ids,), lambda: _updated(writer, snapshot, ids, new, given))
        return Change(snapshot.base, add=[staged], remove=ids, alone=keyed)

    copied = handle.confined(handle.look()) if values_sql else nullcontext()
    with copied:
        commit = writer.commit(plan)
    return UpdateResult(changed, commit.version, writer.report)


def _updated(
    writer: Writer, snapshot: Snapshot, ids: RowIds, new: Values, given: Mapping[str, Any]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows with their new values, embedded where that is needed."""
    handle = writer.handle
    columns = handle.columns(snapshot)
    options = keeping_rows(handle.options(columns, given))
    writing = Ingest(handle, columns, options, snapshot=snapshot)
    rows = (rewritten(old, new(old), columns) for old in stored_rows(snapshot, ids))
    return writing.embedded(rows, writer.report)


def _require_keys(snapshot: Snapshot, columns: Columns, ids: RowIds, new: Values) -> None:
    """Refuse new values that give two rows one key."""
    keys = Keys(columns, columns.key)
    for old in stored_rows(snapshot, ids):
        seen, values = columns.to_visible(old), new(old)
        arrays = [values.get(name, seen.column(name)) for name in columns.key]
        keys.take(pa.RecordBatch.from_arrays(arrays, list(columns.key)))
    keys.require_free(snapshot, columns, ids)


def _new_values(
    columns: Columns,
    values: Mapping[str, Any] | None,
    values_sql: Mapping[str, Condition] | None,
) -> Values:
    """Return what makes the new columns of stored rows, fitted to the schema."""
    schema = columns.visible
    names = set(values or values_sql or ())
    partial = pa.schema([f for f in schema if f.name in names])
    conformer = Conformer(partial, columns.filled)
    row = rows_to_batch([dict(values)], schema, 0) if values else None

    def made(old: pa.RecordBatch) -> dict[str, pa.Array]:
        if row is not None:
            new = take_rows(row, np.zeros(old.num_rows, np.int64))
        else:
            seen = columns.to_visible(old)
            arrays = [
                evaluate_expression((values_sql or {})[n], schema, seen) for n in partial.names
            ]
            new = pa.RecordBatch.from_arrays(arrays, names=partial.names)
        fitted = conformer.fit(new)
        return dict(zip(partial.names, fitted.columns, strict=True))

    return made
