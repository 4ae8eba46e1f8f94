"""Rows that change or go: update and delete, each in one commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from embow._table.columns import Columns
from embow._table.handle import Handle
from embow._table.incoming.conform import Conformer, check_columns
from embow._table.incoming.rows import rows_to_batch
from embow._table.writing.ingest import Ingest
from embow._table.writing.keys import Keys, rows_of_keys
from embow._table.writing.rows import rewritten, take_rows
from embow._table.writing.staging import (
    Writer,
    keeping_rows,
    stored_rows,
)
from embow.engines.contract import Change, RowIds, Snapshot
from embow.engines.predicate import evaluate_expression
from embow.errors import ConfigurationError
from embow.expr import Condition
from embow.pipeline import AddReport

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
