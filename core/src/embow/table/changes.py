"""Writes to a table that has rows: add, update, delete, and retrying failed rows.

Called by ``Table``. Each is one commit; when another writer changed the same rows first, the work
is done again on what is there then.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from embow.engines.base import ROW_ID, Commit, ScanQuery
from embow.engines.predicate import evaluate_expression
from embow.errors import CommitConflictError, ConfigurationError
from embow.pipeline import AddReport, PipelineOptions
from embow.table.canary import keep_canaries
from embow.table.committing import again_on_conflict, committing
from embow.table.conform import Conformer, check_columns
from embow.table.inputs import BATCH_ROWS
from embow.table.rewriting import rewritten
from embow.table.vectors import BadVectorPolicy

if TYPE_CHECKING:
    from embow.table.bindings import TableSchema
    from embow.table.quarantine import Quarantine
    from embow.table.table import Table


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
    table: Table, data: Any, mode: str, policy: BadVectorPolicy, options: PipelineOptions
) -> AddReport:
    """Add rows in one commit. See ``Table.add``."""
    started = time.monotonic()
    columns = table._columns()
    report = AddReport()
    writing = columns.ingest(table._database._pipeline, options, policy, table._quarantine())
    batches = writing.batches(data, report)
    if mode == "overwrite":
        commit = _overwrite(table, columns, writing.quarantine, batches)
    else:
        commit = _append(table, columns, writing.quarantine, batches)
    keep_canaries(table._engine_table, writing.canaries, columns.bindings)
    return finish(table, report, commit, started)


def _overwrite(
    table: Table, columns: TableSchema, quarantine: Quarantine, batches: Iterable[pa.RecordBatch]
) -> Commit:
    engine = table._database._engine

    with committing(engine, batches, quarantine.start_over, quarantine.is_concerned) as rows:
        return table._engine_table.overwrite(columns.physical, rows)


def _append(
    table: Table, columns: TableSchema, quarantine: Quarantine, batches: Iterable[pa.RecordBatch]
) -> Commit:
    engine = table._database._engine
    with committing(engine, batches, quarantine.flush, quarantine.prepare) as rows:
        return append_guarded(table, columns, rows)


def append_guarded(table: Table, columns: TableSchema, batches: Iterable[pa.RecordBatch]) -> Commit:
    """Append, unless the table's functions are no longer those the rows are embedded with."""
    try:
        return table._engine_table.append(batches, guard=columns.guard())
    except CommitConflictError as exc:
        raise CommitConflictError(
            f"The embedding functions of table {table.name!r} were changed while rows were being "
            "added. Nothing was stored; add the rows again to embed them with the new function."
        ) from exc


def finish(table: Table, report: AddReport, commit: Commit, started: float) -> AddReport:
    """Complete a report after the commit."""
    report.version = commit.version
    report.seconds = time.monotonic() - started
    table.last_report = report
    return report


def delete(table: Table, where: str) -> DeleteResult:
    """Remove rows. See ``Table.delete``."""
    predicate = table._predicate(where)
    if predicate is None:
        raise ConfigurationError('delete needs a condition; delete("true") removes every row.')
    commit = table._engine_table.delete(predicate)
    return DeleteResult(commit.rows_removed, commit.version)


def update(
    table: Table,
    where: str | None,
    values: Mapping[str, Any] | None,
    values_sql: Mapping[str, str] | None,
    options: PipelineOptions,
) -> UpdateResult:
    """Change columns of some rows. See ``Table.update``."""
    if bool(values) == bool(values_sql):
        raise ConfigurationError(
            "update takes either values={...} or values_sql={...}, and at least one column."
        )
    check_columns(list(values or values_sql or ()), table.schema.names)
    return again_on_conflict(lambda: _update_once(table, where, values, values_sql, options))


def _update_once(
    table: Table,
    where: str | None,
    values: Mapping[str, Any] | None,
    values_sql: Mapping[str, str] | None,
    options: PipelineOptions,
) -> UpdateResult:
    started = time.monotonic()
    columns = table._columns()
    row_ids = matching_ids(table, where)
    report = AddReport()
    if not row_ids:
        return UpdateResult(0, table.version, finish(table, report, Commit(table.version), started))

    def changed(old: pa.RecordBatch) -> dict[str, pa.Array]:
        new = _new_columns(table.schema, old, values, values_sql)
        filled = [b.vector_column for b in columns.bindings]
        partial = pa.schema([f for f in table.schema if f.name in new])
        batch = pa.RecordBatch.from_arrays([new[f.name] for f in partial], names=partial.names)
        fitted = Conformer(partial, filled).fit(batch)
        return dict(zip(partial.names, fitted.columns, strict=True))

    writing = columns.ingest(
        table._database._pipeline, keeping_rows(options), BadVectorPolicy(), table._quarantine()
    )
    old_rows = stored_rows(table, row_ids)
    batches = writing.embedded((rewritten(old, changed(old), columns) for old in old_rows), report)
    commit = table._engine_table.replace(row_ids, batches, guard=columns.guard())
    keep_canaries(table._engine_table, writing.canaries, columns.bindings)
    return UpdateResult(len(row_ids), commit.version, finish(table, report, commit, started))


def _new_columns(
    schema: pa.Schema,
    old: pa.RecordBatch,
    values: Mapping[str, Any] | None,
    values_sql: Mapping[str, str] | None,
) -> dict[str, pa.Array]:
    if values_sql:
        return {n: evaluate_expression(sql, schema, old) for n, sql in values_sql.items()}
    from embow.table.rows import rows_to_batch

    row = rows_to_batch([dict(values or {})], schema, 0)
    indices = pa.array([0] * old.num_rows, pa.int32())
    repeated = row.take(indices)
    return dict(zip(repeated.schema.names, repeated.columns, strict=True))


def retry_failed(table: Table, options: PipelineOptions) -> AddReport:
    """Try the quarantined rows again. See ``Table.retry_failed``."""
    return again_on_conflict(lambda: _retry_once(table, options))


def _retry_once(table: Table, options: PipelineOptions) -> AddReport:
    started = time.monotonic()
    quarantine = table._quarantine()
    row_ids, rows = quarantine.take()
    report = AddReport(version=table.version)
    if not row_ids:
        return report
    columns = table._columns()
    writing = columns.ingest(table._database._pipeline, options, BadVectorPolicy(), quarantine)
    batches = writing.batches(rows, report)
    engine = table._database._engine

    def settle() -> None:
        quarantine.settle(row_ids)

    def needed() -> bool:
        quarantine.prepare()
        return True

    with committing(engine, batches, settle, needed) as retried:
        commit = append_guarded(table, columns, retried)
    keep_canaries(table._engine_table, writing.canaries, columns.bindings)
    return finish(table, report, commit, started)


def matching_ids(table: Table, where: str | None) -> list[int]:
    """Return the ids of the rows that satisfy a condition."""
    query = ScanQuery(columns=[], predicate=table._predicate(where), with_row_id=True)
    ids: list[int] = []
    for batch in table._engine_table.scan(query):
        ids.extend(batch.column(ROW_ID).to_pylist())
    return ids


def stored_rows(table: Table, row_ids: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """Yield rows by id as they are stored, hidden columns included, a bounded number at a time."""
    for start in range(0, len(row_ids), BATCH_ROWS):
        chunk = row_ids[start : start + BATCH_ROWS]
        rows = table._engine_table.scan(ScanQuery(row_ids=chunk)).read_all()
        if rows.num_rows != len(chunk):
            raise CommitConflictError("Another writer removed rows while they were being changed.")
        yield from rows.combine_chunks().to_batches()


def keeping_rows(options: PipelineOptions) -> PipelineOptions:
    """Return options under which a stored row is never left out because it cannot be embedded.

    ``skip`` and ``quarantine`` are for new rows; a changed row stays, without its vector.
    """
    return options if options.on_error == "raise" else replace(options, on_error="null")
