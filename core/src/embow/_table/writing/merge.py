"""Merging rows into a table by key: update what is there, insert what is not.

Only rows that end up in the table are embedded, and of those only the ones whose source changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, Unpack

import numpy as np
import pyarrow as pa

from embow._table.columns import Columns
from embow._table.handle import Handle
from embow._table.incoming.conform import Conformer, check_columns
from embow._table.incoming.inputs import Reading, iter_batches, one_batch
from embow._table.incoming.mending import with_defaults
from embow._table.incoming.vectors import BadVectorPolicy, OnBadVectors
from embow._table.settings import AddOptions
from embow._table.writing.ingest import Ingest
from embow._table.writing.keys import Keys
from embow._table.writing.matching import Clauses, Match, match_rows
from embow._table.writing.rows import new_rows, rewritten, take_rows
from embow._table.writing.staging import Writer, chunks, keeping_rows, stored_rows
from embow.engines.contract import Change, Snapshot
from embow.errors import CommitConflictError, ConfigurationError, MissingColumnError
from embow.expr import Condition, sql
from embow.pipeline import AddReport
from embow.pipeline._types import SourceRows


@dataclass(frozen=True, slots=True)
class MergeResult:
    """What a merge did."""

    version: int
    num_inserted_rows: int
    num_updated_rows: int
    num_deleted_rows: int
    report: AddReport


class MergeInsert:
    """A merge being described; ``execute`` runs it. A key that holds a null matches nothing."""

    def __init__(
        self, handle: Handle, on: str | Sequence[str], remember: Callable[[AddReport], object]
    ) -> None:
        if not isinstance(on, Sequence):
            raise ConfigurationError(
                f'merge_insert takes names of key columns: merge_insert("id"), not {on!r:.60}.'
            )
        on = [on] if isinstance(on, str) else on
        schema = handle.look().visible
        check_columns(tuple(on), tuple(schema.names))
        if not on:
            raise ConfigurationError(
                'merge_insert needs at least one key column: merge_insert("id").'
            )
        for name in on:
            if pa.types.is_nested(schema.field(name).type):
                raise ConfigurationError(
                    f"Column {name!r} holds {schema.field(name).type} and cannot be a key; "
                    "merge on columns of single values."
                )
        self._handle = handle
        self._remember = remember
        self._clauses = Clauses(tuple(on))

    def when_matched_update_all(
        self, /, where: Condition | None = None, *values: Any, **named: Any
    ) -> Self:
        """Replace the columns given in the data, in rows whose key is in both.

        Args:
            where: Condition over ``target.column`` (the table) and ``source.column`` (the data).
            *values: For each ``?`` in the condition, in order.
            **named: For each ``:name`` in the condition.
        """
        condition = None if where is None else sql(where, *values, **named)
        self._clauses = replace(self._clauses, update=True, update_where=condition)
        return self

    def when_not_matched_insert_all(self) -> Self:
        """Insert rows whose key is not in the table."""
        self._clauses = replace(self._clauses, insert=True)
        return self

    def when_not_matched_by_source_delete(
        self, /, condition: Condition | None = None, *values: Any, **named: Any
    ) -> Self:
        """Delete rows of the table whose key is not in the data, all or by condition."""
        where = None if condition is None else sql(condition, *values, **named)
        self._clauses = replace(self._clauses, delete=True, delete_where=where)
        return self

    def execute(
        self,
        new_data: Any,
        on_bad_vectors: OnBadVectors = "error",
        fill_value: float = 0.0,
        **options: Unpack[AddOptions],
    ) -> MergeResult:
        """Run the merge in one commit.

        Args:
            new_data: Rows in any form that ``Table.add`` takes; held in memory.
            on_bad_vectors: As in ``Table.add``.
            fill_value: As in ``Table.add``.
            **options: As in ``Table.add``.

        Raises:
            DataError: A key appears twice in the data, or a row does not fit; nothing was changed.
        """
        if not (self._clauses.update or self._clauses.insert or self._clauses.delete):
            raise ConfigurationError(
                "A merge needs at least one of when_matched_update_all, "
                "when_not_matched_insert_all and when_not_matched_by_source_delete."
            )
        self._handle.require_latest()
        policy = BadVectorPolicy(on_bad_vectors, fill_value)
        result = _execute(self._handle, self._clauses, new_data, policy, options)
        self._remember(result.report)
        return result


def _execute(
    handle: Handle,
    clauses: Clauses,
    data: Any,
    policy: BadVectorPolicy,
    given: Mapping[str, Any],
) -> MergeResult:
    writer = Writer(handle)
    incoming: pa.RecordBatch | None = None
    match = Match()

    def plan(snapshot: Snapshot) -> Change | None:
        nonlocal incoming, match
        now = handle.columns(snapshot)
        if incoming is None:
            incoming = _incoming(now, clauses.on, data, policy)
        _require_fit(incoming, now, handle)
        match = match_rows(snapshot, now, clauses, incoming)
        gone = np.concatenate([match.targets, match.deleted])
        if not len(gone) and not len(match.inserted):
            return None
        if now.key and set(now.key) != set(clauses.on):
            _require_keys(snapshot, now, incoming, match)
        settled = keeping_rows(handle.options(now, given, policy.on_error))
        writing = Ingest(handle, now, settled, snapshot=snapshot)
        rows = _rows(snapshot, now, incoming, match)
        staged = writer.stage(snapshot, match.rows, lambda: writing.embedded(rows, writer.report))
        # Alone, so that of two merges that both find a key missing one sees the other's row.
        return Change(snapshot.base, add=[staged], remove=gone, alone=True)

    commit = writer.commit(plan)
    counts = len(match.inserted), len(match.targets), len(match.deleted)
    return MergeResult(commit.version, *counts, writer.report)


def _incoming(
    columns: Columns, on: Sequence[str], data: Any, policy: BadVectorPolicy
) -> pa.RecordBatch:
    """Return the data as one batch of the columns it has, fitted to the table."""
    schema = columns.visible
    batches = list(iter_batches(data, Reading(schema)))
    names = batches[0].schema.names if batches else schema.names
    check_columns(tuple(names), tuple(schema.names))
    missing = [name for name in on if name not in names]
    if missing:
        raise MissingColumnError(f"Key column {missing[0]!r} is missing from the rows.")
    partial = pa.schema([f for f in schema if f.name in names])
    conformer = Conformer(partial, columns.filled, policy)
    fitted = [conformer.fit(batch) for batch in batches]
    schema = fitted[0].schema if fitted else partial
    return one_batch(pa.Table.from_batches(fitted, schema=schema))


def _require_fit(incoming: pa.RecordBatch, now: Columns, handle: Handle) -> None:
    """Refuse data fitted to columns that are others by now; another function is no matter."""
    types = {field.name: field.type for field in now.visible}
    if any(types.get(field.name) != field.type for field in incoming.schema):
        raise CommitConflictError(
            f"The columns of table {handle.name!r} were changed while rows were being merged. "
            "Nothing was changed; merge the rows again."
        )


def _require_keys(
    snapshot: Snapshot, columns: Columns, incoming: pa.RecordBatch, match: Match
) -> None:
    """Refuse a merge by other columns that gives two rows one primary key."""
    names = list(columns.key)
    there = [name for name in names if name in incoming.schema.names]
    if len(there) < len(names) and (there or len(match.inserted)):
        missing = next(name for name in names if name not in there)
        raise MissingColumnError(f"Column {missing!r} of the primary key is missing from the rows.")
    if there:
        keys = Keys(columns, columns.key)
        keys.take(take_rows(incoming.select(names), np.append(match.sources, match.inserted)))
        gone = np.append(match.targets, match.deleted)
        keys.require_free(snapshot, columns, gone)


def _rows(
    snapshot: Snapshot, columns: Columns, incoming: pa.RecordBatch, match: Match
) -> Iterator[SourceRows]:
    """Yield the changed rows and then the inserted ones."""
    for old, at in zip(stored_rows(snapshot, match.targets), chunks(match.sources), strict=True):
        rows = take_rows(incoming, at)
        new = dict(zip(rows.schema.names, rows.columns, strict=True))
        for name in columns.filled:
            if name in new and new[name].null_count == rows.num_rows:
                del new[name]  # Objects of a model say None where they bring no vector.
        yield rewritten(old, new, columns)
    if len(match.inserted):
        new_ones = take_rows(incoming, match.inserted)
        whole = with_defaults(new_ones, columns.visible, columns.defaults)
        yield new_rows(Conformer(columns.visible, columns.filled).fit(whole), columns)
