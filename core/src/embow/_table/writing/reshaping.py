"""Changes of a table's columns: each one commit, of metadata and of the columns that come in.

A column that goes, or is exchanged for one of another type, stays in the files until ``optimize``;
nothing names it any more. A change is planned again where anything was committed meanwhile, so that
no row is missed. Writers that began before it find out when they commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from embow._table.columns import Columns, function_entries
from embow._table.entries import DROPPED, KEY, Shown, column_entries, name_entries
from embow._table.handle import Handle
from embow._table.incoming.conform import check_columns
from embow._table.incoming.mending import renamed_defaults
from embow._table.names import begun_columns, free_name, hash_column
from embow._table.truth.backfill import has_null
from embow._table.writing.altering import Alteration
from embow._table.writing.computing import NewColumn, called_values, cast_values
from embow._table.writing.indexing import follow_columns
from embow._table.writing.keys import Keys, checked_key
from embow._table.writing.quarantine import Quarantine
from embow.embeddings import Binding
from embow.embeddings._trust import SIGNATURE_KEY
from embow.engines.contract import Change, ScanQuery, Snapshot, Staged
from embow.errors import DataError, SchemaError
from embow.schema._columns import check_column_names


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """What a change of columns did."""

    version: int


@dataclass(slots=True)
class _Reshaping:
    """One call that changes columns.

    Attributes:
        handle: The table.
        staged: Columns written for the plan made last.
    """

    handle: Handle
    staged: list[Staged] = field(default_factory=list)

    def run(self, plan: Callable[[Snapshot], Change | None]) -> SchemaChange:
        """Commit what a plan makes; what was staged for a plan that failed is removed."""

        def afresh(snapshot: Snapshot) -> Change | None:
            self.discard()
            return plan(snapshot)

        try:
            return SchemaChange(self.handle.transact(afresh).version)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove what is staged."""
        while self.staged:
            self.handle.stored.discard(self.staged.pop())

    def write(self, column: pa.Field, batches: Iterator[pa.RecordBatch], on: Snapshot) -> None:
        """Stage the values of a column."""
        stored = column.with_nullable(True)
        self.staged.append(self.handle.stored.write_column(stored, batches, base=on.base))

    def change(
        self,
        snapshot: Snapshot,
        columns: Columns,
        after: Mapping[str, Shown],
        new: Sequence[pa.Field] = (),
    ) -> Change:
        """Return the change to columns that are listed by what they are called until now."""
        names = [each.field.name for each in after.values()]
        check_column_names(names, f"Table {self.handle.name!r}")
        entries = _entries(columns, after)
        staged = list(self.staged)
        return Change(snapshot.base, add=staged, metadata=entries, alone=True, columns=new)


def add_columns(handle: Handle, new: Any) -> SchemaChange:
    """Add columns. See ``Table.add_columns``."""
    added = NewColumn.read(new)
    call = _Reshaping(handle)

    def plan(snapshot: Snapshot) -> Change:
        columns = handle.columns(snapshot)
        names = [*columns.names, *(each.name for each in added)]
        check_column_names(names, f"Table {handle.name!r}")
        after = {each.field.name: each for each in columns.shown}
        taken, new = set(columns.taken), []
        for each in added:
            shown, values = each.on(snapshot, columns)
            physical = free_name(each.name, taken)
            taken.add(physical)
            if values is None:
                new.append(shown.with_name(physical).with_nullable(True))
            else:
                call.write(shown.with_name(physical), called_values(values, physical), snapshot)
            after[each.name] = Shown(shown, physical)
        return call.change(snapshot, columns, after, new)

    return call.run(plan)


def alter_columns(handle: Handle, alterations: Sequence[Mapping[str, Any]]) -> SchemaChange:
    """Change names, types, nullability and metadata. See ``Table.alter_columns``."""
    wanted = Alteration.read(alterations)
    call = _Reshaping(handle)

    def plan(snapshot: Snapshot) -> Change | None:
        columns = handle.columns(snapshot)
        after = {each.field.name: each for each in columns.shown}
        for each in wanted:
            each.check(columns)
            after[each.path] = _altered(call, snapshot, columns, each)
        pairs = list(zip(columns.shown, after.values(), strict=True))
        if all(a == b and a.field.equals(b.field, check_metadata=True) for a, b in pairs):
            return None
        if any(old.field.name != each.field.name for old, each in pairs):
            _require_no_failed_rows(handle, columns)
        return call.change(snapshot, columns, after)

    before = handle.look()
    done = call.run(plan)
    follow_columns(handle, before)
    return done


def drop_columns(handle: Handle, names: Sequence[str]) -> SchemaChange:
    """Take columns away. See ``Table.drop_columns``."""
    gone = [names] if isinstance(names, str) else list(names)
    call = _Reshaping(handle)

    def plan(snapshot: Snapshot) -> Change | None:
        columns = handle.columns(snapshot)
        check_columns(tuple(gone), tuple(columns.names))
        if not gone:
            return None
        _require_not_needed(columns, gone)
        _require_no_failed_rows(handle, columns)
        after = {each.field.name: each for each in columns.shown if each.field.name not in gone}
        if not after:
            raise SchemaError(
                f"Table {handle.name!r} would be left without a column. Drop the table instead: "
                f"db.drop_table({handle.name!r})."
            )
        return call.change(snapshot, columns, after)

    return call.run(plan)


def set_primary_key(handle: Handle, key: str | Sequence[str] | None) -> SchemaChange:
    """Declare which columns tell rows apart. See ``Table.set_primary_key``."""

    def plan(snapshot: Snapshot) -> Change | None:
        columns = handle.columns(snapshot)
        names = checked_key(handle.name, columns.visible, key)
        if names == columns.key:
            return None
        shown = [_told(snapshot, each, each.field.name in names) for each in columns.shown]
        physical = [columns.names[name] for name in names]
        keys = Keys(columns, names)
        for batch in snapshot.scan(ScanQuery(columns=physical)) if names else ():
            keys.take(batch.select(physical).rename_columns(list(names)))
        keys.require_distinct()
        entries = column_entries(shown, columns.stored) | name_entries(KEY, physical)
        return Change(snapshot.base, metadata=entries, alone=True)

    return SchemaChange(handle.transact(plan).version)


def _told(snapshot: Snapshot, shown: Shown, never: bool) -> Shown:
    """Return a column told that it is never null, sure that it is not."""
    if not never or not shown.field.nullable:
        return shown
    if has_null(snapshot, shown.physical):
        name = shown.field.name
        raise DataError(
            f"Column {name!r} holds nulls, and may not be told that it does not. Give these rows a "
            f'value first: update(where="{name} IS NULL", values=...).'
        )
    return replace(shown, field=shown.field.with_nullable(False))


def dropped_columns(columns: Columns) -> list[str]:
    """Return the physical columns that were dropped and are still stored."""
    used = {*columns.names.values(), *(each.physical for each in columns.previous.values())}
    kept = used | {hash_column(name) for name in used}
    there = set(columns.stored.names) - kept
    return [name for name in columns.dropped if name in there]


def _altered(call: _Reshaping, snapshot: Snapshot, columns: Columns, wanted: Alteration) -> Shown:
    """Return what a column becomes, staging its values where they are to be of another type."""
    shown = Shown(columns.visible.field(wanted.path), columns.physical(wanted.path))
    new = wanted.of(shown.field)
    rewritten = new.type != shown.field.type
    if not rewritten:
        _told(snapshot, shown, not new.nullable)
    if new.nullable and not snapshot.schema.field(shown.physical).nullable:
        rewritten = True  # Another program stored it as one that is never null.
    if not rewritten:
        return Shown(new, shown.physical)
    physical = free_name(wanted.path, columns.taken)
    values = cast_values(snapshot, shown, new.with_name(wanted.path), physical)
    call.write(new.with_name(physical), values, snapshot)
    return Shown(new, physical)


def _entries(columns: Columns, after: Mapping[str, Shown]) -> dict[str, str | None]:
    """Return the metadata to set so that columns become others, which all entries then name."""
    fields = {name: each.field for name, each in after.items()}
    moved = {columns.names[name]: after[name].physical for name in after if name in columns.names}
    previous = {vector: each for vector, each in columns.previous.items() if vector in after}
    bindings = [each for each in columns.bindings if each.vector_column in after]

    def called(binding: Binding) -> Binding:
        source, vector = fields[binding.source_column], fields[binding.vector_column]
        return replace(binding, source_column=source.name, vector_column=vector.name)

    entries: dict[str, str | None] = dict(column_entries(after.values(), columns.stored))
    if columns.bindings:
        former = [each.binding for each in previous.values()]
        before = columns.metadata.get(SIGNATURE_KEY)
        entries |= function_entries(bindings, former, before, called)
    if columns.previous:
        entries |= columns.previous_entries(
            {
                fields[vector].name: replace(each, binding=called(each.binding))
                for vector, each in previous.items()
            }
        )
    entries |= renamed_defaults(columns.metadata, fields)
    entries |= name_entries(KEY, (moved[columns.names[name]] for name in columns.key))
    entries |= name_entries(DROPPED, [*columns.dropped, *_hidden(columns, after)])
    return entries


def _hidden(columns: Columns, after: Mapping[str, Shown]) -> list[str]:
    """Return the physical columns that nothing names afterwards."""
    shown = {each.physical for each in after.values()}
    gone = [physical for physical in columns.names.values() if physical not in shown]
    gone += [each.physical for name, each in columns.previous.items() if name not in after]
    for physical in gone:
        field = columns.stored.field(physical) if physical in columns.stored.names else None
        if field is not None and not field.nullable:
            raise SchemaError(
                f"Column {physical!r} was stored by another program, or by earlier code, as one "
                "that is never null: it cannot be changed so or dropped where it is. Copy the "
                "table: db.create_table('copy', table.to_batches())."
            )
    kept = shown | {each.physical for each in columns.previous.values()}
    for name in columns.names:  # A change of model that is under way finds that it is too late.
        if name not in after or after[name].field.name != name:
            gone += sorted(begun_columns(name, columns.stored.names) - kept - set(gone))
    hashes = [hash_column(physical) for physical in gone]
    return [*gone, *(name for name in hashes if name in columns.stored.names)]


def _require_not_needed(columns: Columns, gone: Sequence[str]) -> None:
    for name in gone:
        if name in columns.key:
            raise SchemaError(
                f"Column {name!r} is in the primary key and cannot be dropped: rows are told apart "
                "by it."
            )
    for binding in columns.bindings:
        source, vector = binding.source_column, binding.vector_column
        if source in gone and vector not in gone:
            raise SchemaError(
                f"Column {source!r} is what {vector!r} is embedded from, and cannot be dropped "
                f"alone. Drop both, and the function goes with them: "
                f"drop_columns([{source!r}, {vector!r}])."
            )


def _require_no_failed_rows(handle: Handle, columns: Columns) -> None:
    waiting = Quarantine.of(handle.engine, columns, handle.stored).rows().num_rows
    if waiting:
        raise SchemaError(
            f"{waiting} rows of table {handle.name!r} wait in quarantine under the columns as they "
            "are. Bring them in first, or throw them away: retry_failed(), discard_failed()."
        )
