"""Merging rows into a table by key: update what is there, insert what is not.

Only rows that end up in the table are embedded, and of those only the ones whose source changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines.contract import Change, RowIds, Snapshot
from embow.engines.predicate import evaluate_expression
from embow.errors import ConfigurationError, DataError, MissingColumnError, PredicateError
from embow.pipeline import AddReport
from embow.pipeline.types import SourceRows
from embow.table.columns import Columns
from embow.table.handle import Handle
from embow.table.incoming.conform import Conformer, check_columns
from embow.table.incoming.inputs import iter_batches
from embow.table.incoming.vectors import BadVectorPolicy, OnBadVectors, flags, validity
from embow.table.settings import AddOptions
from embow.table.writing.ingest import Ingest, new_rows, rewritten, take_rows
from embow.table.writing.staging import (
    Writer,
    chunks,
    keeping_rows,
    require_same_functions,
    stored_rows,
)


@dataclass(frozen=True, slots=True)
class MergeResult:
    """What a merge did."""

    version: int
    num_inserted_rows: int
    num_updated_rows: int
    num_deleted_rows: int
    report: AddReport


@dataclass(frozen=True, slots=True)
class _Clauses:
    """What a merge does with each kind of row."""

    on: tuple[str, ...]
    update: bool = False
    update_where: str | None = None
    insert: bool = False
    delete: bool = False
    delete_where: str | None = None


@dataclass(frozen=True, slots=True)
class _Match:
    """Which rows meet.

    Attributes:
        sources: Positions in the data of the rows that change stored ones.
        targets: Ids of the stored rows they change.
        inserted: Positions in the data of the rows that come in.
        deleted: Ids of the stored rows that go.
    """

    sources: NDArray[np.int64]
    targets: RowIds
    inserted: NDArray[np.int64]
    deleted: RowIds

    @property
    def rows(self) -> tuple[NDArray[np.int64], ...]:
        """What the written rows are made of."""
        return self.sources, self.targets, self.inserted


class MergeInsert:
    """A merge being described; ``execute`` runs it.

    Args:
        handle: Table to merge into.
        on: Key columns. Rows whose key holds a null match nothing.
        remember: Called with the report of what was embedded.
    """

    def __init__(
        self, handle: Handle, on: Sequence[str], remember: Callable[[AddReport], object]
    ) -> None:
        schema = handle.look().visible
        check_columns(on, schema.names)
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
        self._clauses = _Clauses(tuple(on))

    def when_matched_update_all(self, where: str | None = None) -> Self:
        """Replace the columns given in the data, in rows whose key is in both.

        Args:
            where: Condition over ``target.column`` (the table) and ``source.column`` (the data).
        """
        self._clauses = replace(self._clauses, update=True, update_where=where)
        return self

    def when_not_matched_insert_all(self) -> Self:
        """Insert rows whose key is not in the table."""
        self._clauses = replace(self._clauses, insert=True)
        return self

    def when_not_matched_by_source_delete(self, condition: str | None = None) -> Self:
        """Delete rows of the table whose key is not in the data, all or by condition."""
        self._clauses = replace(self._clauses, delete=True, delete_where=condition)
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
    clauses: _Clauses,
    data: Any,
    policy: BadVectorPolicy,
    given: Mapping[str, Any],
) -> MergeResult:
    columns = handle.look()
    incoming = _incoming(columns, clauses.on, data, policy)
    keyed = _keyed(incoming, clauses.on)
    writer = Writer(handle)
    match = _match_nothing()

    def plan(snapshot: Snapshot) -> Change | None:
        nonlocal match
        now = handle.columns(snapshot)
        require_same_functions(columns, now, handle.name)
        match = _match(snapshot, now, clauses, incoming, keyed)
        gone = np.concatenate([match.targets, match.deleted])
        if not len(gone) and not len(match.inserted):
            return None
        writing = Ingest(handle, now, keeping_rows(handle.options(now, given)))
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
    batches = list(iter_batches(data, schema))
    names = batches[0].schema.names if batches else schema.names
    check_columns(names, schema.names)
    missing = [name for name in on if name not in names]
    if missing:
        raise MissingColumnError(f"Key column {missing[0]!r} is missing from the rows.")
    partial = pa.schema([f for f in schema if f.name in names])
    filled = [binding.vector_column for binding in columns.bindings]
    fitted = [Conformer(partial, filled, policy).fit(batch) for batch in batches]
    table = pa.Table.from_batches(fitted, schema=fitted[0].schema if fitted else partial)
    combined = table.combine_chunks().to_batches()
    return combined[0] if combined else _empty(partial)


def _keyed(incoming: pa.RecordBatch, on: Sequence[str]) -> NDArray[np.int64]:
    """Return the positions of the rows whose key holds no null.

    Raises:
        DataError: A key comes twice.
    """
    complete = np.ones(incoming.num_rows, np.bool_)
    for name in on:
        complete &= validity(incoming.column(name))
    positions = np.flatnonzero(complete)
    keys = zip(*(incoming.column(name).to_pylist() for name in on), strict=True)
    seen: dict[tuple[Any, ...], int] = {}
    for position, key in enumerate(keys):
        if complete[position] and seen.setdefault(key, position) != position:
            shown = key[0] if len(key) == 1 else key
            raise DataError(
                f"Rows {seen[key]} and {position} have the same key {shown!r}. Keys must be "
                "unique in the data of a merge; nothing was changed."
            )
    return positions


def _match(
    snapshot: Snapshot,
    columns: Columns,
    clauses: _Clauses,
    incoming: pa.RecordBatch,
    keyed: NDArray[np.int64],
) -> _Match:
    """Find which rows meet, and what becomes of the others."""
    keys = take_rows(incoming.select(list(clauses.on)), keyed)
    keys = keys.rename_columns([columns.physical(name) for name in clauses.on])
    at, targets = snapshot.locate(keys)
    sources = keyed[at]
    nothing = _match_nothing()
    deleted, inserted = nothing.deleted, nothing.inserted
    if clauses.delete:
        candidates = snapshot.row_ids(columns.predicate(clauses.delete_where))
        deleted = np.setdiff1d(candidates, targets)
    if clauses.insert:
        inserted = np.setdiff1d(np.arange(incoming.num_rows), sources)
    if not clauses.update:
        return _Match(nothing.sources, nothing.targets, inserted, deleted)
    if clauses.update_where is not None:
        hits = _hits(snapshot, columns, clauses.update_where, incoming, sources, targets)
        sources, targets = sources[hits], targets[hits]
    return _Match(sources, targets, inserted, deleted)


def _hits(
    snapshot: Snapshot,
    columns: Columns,
    where: str,
    incoming: pa.RecordBatch,
    sources: NDArray[np.int64],
    targets: RowIds,
) -> NDArray[np.bool_]:
    """Return which matched rows satisfy the condition of the update."""
    found = [np.empty(0, np.bool_)]
    for old, at in zip(stored_rows(snapshot, targets), chunks(sources), strict=True):
        joined = pa.RecordBatch.from_arrays(
            [_struct(columns.to_visible(old)), _struct(take_rows(incoming, at))],
            names=["target", "source"],
        )
        hits = evaluate_expression(where, joined.schema, joined)
        if not (pa.types.is_boolean(hits.type) or pa.types.is_null(hits.type)):
            raise PredicateError(f"The condition {where!r} gives {hits.type}, not true or false.")
        hits = hits.cast(pa.bool_())
        found.append(flags(hits) & validity(hits))
    return np.concatenate(found)


def _rows(
    snapshot: Snapshot, columns: Columns, incoming: pa.RecordBatch, match: _Match
) -> Iterator[SourceRows]:
    """Yield the changed rows and then the inserted ones."""
    for old, at in zip(stored_rows(snapshot, match.targets), chunks(match.sources), strict=True):
        new = take_rows(incoming, at)
        yield rewritten(old, dict(zip(new.schema.names, new.columns, strict=True)), columns)
    if len(match.inserted):
        filled = [binding.vector_column for binding in columns.bindings]
        fitted = Conformer(columns.visible, filled).fit(take_rows(incoming, match.inserted))
        yield new_rows(fitted, columns)


def _match_nothing() -> _Match:
    none = np.empty(0, np.int64)
    return _Match(none, none, none, none)


def _struct(batch: pa.RecordBatch) -> pa.StructArray:
    return pa.StructArray.from_arrays(batch.columns, fields=list(batch.schema))


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in schema], names=schema.names)
