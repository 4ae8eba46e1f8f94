"""Merging rows into a table by key: update what is there, insert what is not.

``Table.merge_insert`` begins one. Only rows that end up in the table are embedded, and of those
only the ones whose source changed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from embow.engines.base import ROW_ID, ScanQuery
from embow.engines.predicate import evaluate_expression
from embow.errors import (
    CommitConflictError,
    ConfigurationError,
    DataError,
    MissingColumnError,
    PredicateError,
)
from embow.pipeline import AddReport
from embow.table.canary import keep_canaries
from embow.table.changes import finish, keeping_rows, matching_ids, stored_rows
from embow.table.committing import again_on_conflict, committing
from embow.table.conform import Conformer, check_columns
from embow.table.ingest import take_rows
from embow.table.inputs import BATCH_ROWS, iter_batches
from embow.table.rewriting import rewritten
from embow.table.vectors import BadVectorPolicy, OnBadVectors

if TYPE_CHECKING:
    from embow.table.table import Table


@dataclass(frozen=True, slots=True)
class MergeResult:
    """What a merge did."""

    version: int
    num_inserted_rows: int
    num_updated_rows: int
    num_deleted_rows: int
    report: AddReport


class MergeInsert:
    """A merge being described; ``execute`` runs it.

    Args:
        table: Table to merge into.
        on: Key columns. Rows whose key holds a null match nothing.
    """

    def __init__(self, table: Table, on: Sequence[str]) -> None:
        check_columns(on, table.schema.names)
        if not on:
            raise ConfigurationError(
                'merge_insert needs at least one key column: merge_insert("id").'
            )
        for name in on:
            if pa.types.is_nested(table.schema.field(name).type):
                raise ConfigurationError(
                    f"Column {name!r} holds {table.schema.field(name).type} and cannot be a key; "
                    "merge on columns of single values."
                )
        self._table = table
        self._on = list(on)
        self._update = False
        self._update_where: str | None = None
        self._insert = False
        self._delete = False
        self._delete_where: str | None = None

    def when_matched_update_all(self, where: str | None = None) -> Self:
        """Replace the columns given in the data, in rows whose key is in both.

        Args:
            where: Condition over ``target.column`` (the table) and ``source.column`` (the data).
        """
        self._update, self._update_where = True, where
        return self

    def when_not_matched_insert_all(self) -> Self:
        """Insert rows whose key is not in the table."""
        self._insert = True
        return self

    def when_not_matched_by_source_delete(self, condition: str | None = None) -> Self:
        """Delete rows of the table whose key is not in the data, all or by condition."""
        self._delete, self._delete_where = True, condition
        return self

    def execute(
        self,
        new_data: Any,
        on_bad_vectors: OnBadVectors = "error",
        fill_value: float = 0.0,
        **options: Any,
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
        if not (self._update or self._insert or self._delete):
            raise ConfigurationError(
                "A merge needs at least one of when_matched_update_all, "
                "when_not_matched_insert_all and when_not_matched_by_source_delete."
            )
        policy = BadVectorPolicy(on_bad_vectors, fill_value)
        incoming = self._incoming(new_data, policy)
        return again_on_conflict(lambda: self._execute_once(incoming, policy, options))

    def _incoming(self, data: Any, policy: BadVectorPolicy) -> pa.RecordBatch:
        """Return the data as one batch of the columns it has, fitted to the table."""
        schema = self._table.schema
        batches = list(iter_batches(data, schema))
        names = batches[0].schema.names if batches else schema.names
        check_columns(names, schema.names)
        missing = [name for name in self._on if name not in names]
        if missing:
            raise MissingColumnError(f"Key column {missing[0]!r} is missing from the rows.")
        partial = pa.schema([f for f in schema if f.name in names])
        filled = [b.vector_column for b in self._table._columns().bindings]
        fitted = [Conformer(partial, filled, policy).fit(batch) for batch in batches]
        table = pa.Table.from_batches(fitted, schema=fitted[0].schema if fitted else partial)
        combined = table.combine_chunks().to_batches()
        return combined[0] if combined else _empty(partial)

    def _execute_once(
        self, incoming: pa.RecordBatch, policy: BadVectorPolicy, options: dict[str, Any]
    ) -> MergeResult:
        started = time.monotonic()
        table = self._table
        columns = table._columns()
        seen = table.version
        match = self._match(incoming)
        report = AddReport()
        chosen = keeping_rows(table._options(options))
        writing = columns.ingest(table._database._pipeline, chosen, policy, table._quarantine())
        fitted = self._batches(incoming, match)
        batches = writing.embedded(fitted, report)
        gone = [row_id for _, row_id in match.updated] + match.deleted

        def still_true() -> None:
            if table.version != seen and self._match(incoming) != match:
                raise CommitConflictError("Another writer changed rows of the keys to merge.")

        with committing(table._database._engine, batches, still_true) as rows:
            commit = table._engine_table.replace(gone, rows, guard=columns.guard())
        keep_canaries(table._engine_table, writing.canaries, columns.bindings)
        finish(table, report, commit, started)
        updated, deleted = len(match.updated), len(match.deleted)
        return MergeResult(commit.version, len(match.inserted), updated, deleted, report)

    def _match(self, incoming: pa.RecordBatch) -> _Match:
        """Find which rows meet, and what becomes of the others."""
        positions = _positions(incoming, self._on)
        matched: list[tuple[int, int]] = []
        unmatched: list[int] = []
        deletable = self._deletable()
        query = ScanQuery(columns=self._on, with_row_id=True)
        for batch in self._table._engine_table.scan(query):
            keys = _keys(batch, self._on)
            for key, row_id in zip(keys, batch.column(ROW_ID).to_pylist(), strict=True):
                position = positions.get(key)
                if position is not None:
                    matched.append((position, row_id))
                elif deletable is None or row_id in deletable:
                    unmatched.append(row_id)
        seen = {position for position, _ in matched}
        inserted = [p for p in range(incoming.num_rows) if p not in seen] if self._insert else []
        updated = self._updatable(incoming, matched) if self._update else []
        return _Match(updated, inserted, unmatched if self._delete else [])

    def _deletable(self) -> set[int] | None:
        """Return the rows a delete may touch, ``None`` for all."""
        if not self._delete or self._delete_where is None:
            return None
        return set(matching_ids(self._table, self._delete_where))

    def _updatable(
        self, incoming: pa.RecordBatch, matched: list[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """Return the matched rows that satisfy the condition of the update."""
        if self._update_where is None or not matched:
            return matched
        kept: list[tuple[int, int]] = []
        for chunk, old in self._old_rows(matched):
            new = take_rows(incoming, [position for position, _ in chunk])
            joined = pa.RecordBatch.from_arrays(
                [_struct(old.select(self._table.schema.names)), _struct(new)],
                names=["target", "source"],
            )
            hits = evaluate_expression(self._update_where, joined.schema, joined)
            if not (pa.types.is_boolean(hits.type) or pa.types.is_null(hits.type)):
                raise PredicateError(
                    f"The condition {self._update_where!r} gives {hits.type}, not true or false."
                )
            rows = zip(chunk, hits.to_pylist(), strict=True)
            kept.extend(pair for pair, hit in rows if hit)
        return kept

    def _old_rows(
        self, matched: list[tuple[int, int]]
    ) -> Iterator[tuple[list[tuple[int, int]], pa.RecordBatch]]:
        for start in range(0, len(matched), BATCH_ROWS):
            chunk = matched[start : start + BATCH_ROWS]
            for old in stored_rows(self._table, [row_id for _, row_id in chunk]):
                yield chunk, old

    def _batches(self, incoming: pa.RecordBatch, match: _Match) -> Iterator[pa.RecordBatch]:
        """Yield the changed rows and then the inserted ones."""
        columns = self._table._columns()
        for chunk, old in self._old_rows(match.updated):
            new = take_rows(incoming, [position for position, _ in chunk])
            yield rewritten(old, dict(zip(new.schema.names, new.columns, strict=True)), columns)
        if match.inserted:
            filled = [b.vector_column for b in columns.bindings]
            yield Conformer(columns.visible, filled).fit(take_rows(incoming, match.inserted))


@dataclass(frozen=True, slots=True)
class _Match:
    """Rows to update (position in the data, row id), to insert (position), to delete (row id)."""

    updated: list[tuple[int, int]]
    inserted: list[int]
    deleted: list[int]


def _keys(batch: pa.RecordBatch, on: Sequence[str]) -> list[tuple[Any, ...]]:
    return list(zip(*(batch.column(name).to_pylist() for name in on), strict=True))


def _positions(incoming: pa.RecordBatch, on: Sequence[str]) -> dict[tuple[Any, ...], int]:
    """Return where each key is in the data; keys with a null are left out."""
    positions: dict[tuple[Any, ...], int] = {}
    for position, key in enumerate(_keys(incoming, on)):
        if any(part is None for part in key):
            continue
        if key in positions:
            shown = key[0] if len(key) == 1 else key
            raise DataError(
                f"Rows {positions[key]} and {position} have the same key {shown!r}. Keys must be "
                "unique in the data of a merge; nothing was changed."
            )
        positions[key] = position
    return positions


def _struct(batch: pa.RecordBatch) -> pa.StructArray:
    return pa.StructArray.from_arrays(batch.columns, fields=list(batch.schema))


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in schema], names=schema.names)
