"""One table in memory: its versions, and what is known of data staged for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embow.engines._indexing import untold
from embow.engines._memory.indexing import MemoryIndex, extended, need, told
from embow.engines._memory.snapshot import ROW_ID_FIELD, State
from embow.engines._memory.staging import StagingTable
from embow.engines.contract import (
    RETENTION,
    ROW_ID,
    Base,
    Change,
    Commit,
    IndexInfo,
    OptimizeReport,
    RowIds,
    Staged,
    Version,
    check_columns,
    check_index,
    check_path,
    check_schema,
    check_tag,
)
from embow.engines.indexes import Definition, Libraries, Step, no_libraries
from embow.errors import (
    CommitConflictError,
    SchemaError,
)


class MemoryTable(StagingTable):
    """One table in memory, with its first rows as version 1."""

    def __init__(
        self,
        name: str,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        metadata: Mapping[str, str],
        libraries: Libraries = no_libraries,
    ) -> None:
        super().__init__(name, libraries)
        empty = State(schema.remove_metadata().append(ROW_ID_FIELD).empty_table(), dict(metadata))
        self._states[0] = empty
        first = self.write(batches, base=Base(self._identity, 0))
        self._publish("create", [first], rows=self._appended(empty.rows, [first], {}))
        del self._states[0]

    def _publish(
        self,
        operation: str,
        staged: Sequence[Staged] = (),
        removed: int = 0,
        *,
        plain: bool = False,
        shaping: bool = True,
        born: Mapping[str, int] | None = None,
        **changes: Any,
    ) -> Commit:
        """Make a version with some things changed; its staged data are committed with it."""
        last = self._latest()
        after = replace(last, version=last.version + 1, operation=operation, **changes)
        now, known = after.version, last.born if born is None else born
        self._states[now] = replace(
            after,
            timestamp=max(datetime.now(UTC), last.timestamp),
            born={name: known.get(name, now) for name in after.schema.names},
            shaped=now if shaping else last.shaped,
            disturbed=last.disturbed if plain else now,
        )
        commit = Commit(now, sum(each.rows for each in staged if not each.column), removed)
        for each in staged:
            del self._leases[each.token]
            self._committed[each.token] = commit
        return commit

    def _commit(self, change: Change) -> Commit:
        with self._lock:
            state = self._latest()
            self._check(change.base)
            if change.add and (earlier := self._earlier(change.add)) is not None:
                return earlier
            self._check(change.base, since=state.shaped)
            columns = [staged for staged in change.add if staged.column is not None]
            if change.alone:
                self._check(change.base, since=state.version if change.shapes else state.disturbed)
            born = {**state.born} | {str(each.column): state.version + 1 for each in columns}
            born |= {field.name: state.shaped for field in change.columns}
            remove = np.unique(np.asarray(() if change.remove is None else change.remove, np.int64))
            rows = self._without(state, remove)
            for staged in columns:
                values = pa.ipc.open_stream(staged.payload).read_all()
                rows = _with_column(rows, values.schema.field(1), values)
            for field in change.columns:
                rows = _with_column(rows, field)
            added = [staged for staged in change.add if staged.column is None]
            merged = {**state.metadata, **(change.metadata or {})}
            only_adds = not change.shapes and change.remove is None
            return self._publish(
                "add" if only_adds else "change",
                change.add,
                len(remove),
                plain=not (change.shapes or len(remove) or change.alone),
                shaping=change.shapes,
                rows=self._appended(rows, added, born),
                metadata={key: value for key, value in merged.items() if value is not None},
            )

    def _without(self, state: State, remove: RowIds) -> pa.Table:
        held = state.row_ids
        if not np.isin(remove, held).all():
            raise CommitConflictError(
                f"Rows of table '{self.name}' that were to be removed are gone: another writer "
                "changed or removed them. Plan it again on the current version."
            )
        return state.rows.filter(pa.array(~np.isin(held, remove))) if len(remove) else state.rows

    def _appended(
        self, rows: pa.Table, staged: Sequence[Staged], born: Mapping[str, int]
    ) -> pa.Table:
        """Return rows with staged ones behind, which get the next row ids."""
        for each in staged:
            new = pa.ipc.open_stream(each.payload).read_all()
            row_ids = pa.array(np.arange(self._next_row, self._next_row + each.rows), pa.int64())
            new = new.append_column(ROW_ID_FIELD, row_ids)
            self._next_row += each.rows
            columns = [_fitted(new, column, born, each.base) for column in rows.schema]
            rows = pa.concat_tables([rows, pa.table(columns, schema=rows.schema)])
        return rows

    def _overwrite(
        self, schema: pa.Schema, staged: Sequence[Staged], base: Base, metadata: Mapping[str, str]
    ) -> Commit:
        schema = schema.remove_metadata()
        with self._lock:
            state = self._latest()
            self._check(base)
            if staged and (earlier := self._earlier(staged)) is not None:
                return earlier
            return self._publish(
                "overwrite",
                staged,
                state.rows.num_rows,
                born={f.name: state.born[f.name] for f in schema if f in list(state.schema)},
                rows=self._appended(schema.append(ROW_ID_FIELD).empty_table(), staged, {}),
                metadata=dict(metadata),
            )

    def drop_columns(self, names: Sequence[str], *, base: Base) -> Commit:
        with self._lock:
            state = self._latest()
            self._check(base, since=state.shaped)
            check_columns(state.schema, names)
            rows = state.rows.drop_columns(list(names))
            check_schema(rows.schema.remove(len(rows.schema) - 1))
            return self._publish("drop columns", rows=rows)

    # -- indexes ------------------------------------------------------------------------

    def indexes(self) -> list[IndexInfo]:
        with self._lock:
            state = self._latest()
        known = {each.definition.name: each for each in self._covered(state)}
        return [told(each, state, known.get(name)) for name, each in sorted(self._indexes.items())]

    def _create_index(self, wanted: Definition, anew: bool, step: Step) -> None:
        with self._lock:
            schema = self._latest().schema
            column = check_path(schema, wanted.column)
            if not anew:
                check_index(self.name, wanted.name, self._indexes, new=True)
        self._libraries(wanted.kind)(wanted.settings, column)
        self._build(MemoryIndex(wanted, {}), step, self._indexes.get(wanted.name))

    def _build(self, index: MemoryIndex, step: Step, last: MemoryIndex | None) -> int:
        """Extend an index, unless by then it is no longer the ``last`` of its name."""
        name = index.definition.name
        with self._lock:
            states = dict(self._states)
        made, built = extended(index, states, self._libraries, step)
        with self._lock:
            if self._indexes.get(name) is not last:
                return 0
            self._indexes[name] = made
        return built

    def _extend_indexes(self, step: Step, kind: str | None = None) -> int:
        every = [each for each in self._indexes.values() if kind in (None, each.definition.kind)]
        return sum(self._build(each, step, each) for each in every)

    def _drop_index(self, name: str) -> None:
        with self._lock:
            need(self.name, self._indexes, name)
            del self._indexes[name]

    def _move_index(self, name: str, column: str) -> None:
        with self._lock:
            index = need(self.name, self._indexes, name)
            moved = replace(index.definition, column=column)
            self._indexes[name] = replace(index, definition=moved)

    # -- versions -----------------------------------------------------------------------

    def optimize(
        self, *, keep: timedelta = RETENTION, delete_unverified: bool = False
    ) -> OptimizeReport:
        """Join the pieces of the current version; drop old versions and staged rows."""
        now = datetime.now(UTC)
        with self._lock:
            latest = self._latest()
            kept = {latest.version, *self._named.values()}
            old = [v for v, each in self._states.items() if each.timestamp <= now - keep]
            gone = [version for version in old if version not in kept]
            for version in gone:
                del self._states[version]
            self._leases = {
                token: until
                for token, until in self._leases.items()
                if until > now and not delete_unverified
            }
            joined = latest.rows.combine_chunks()
            self._states[latest.version] = replace(latest, rows=joined)
            done = OptimizeReport(
                fragments_before=latest.rows[ROW_ID].num_chunks,
                fragments_after=joined[ROW_ID].num_chunks,
                versions_removed=len(gone),
                oldest_version=min(self._states),
            )
        return replace(done, pieces_built=self._extend_indexes(untold))

    def _versions(self) -> list[Version]:
        with self._lock:
            self._latest()
            return [
                Version(each.version, each.timestamp, each.rows.num_rows, each.operation)
                for _, each in sorted(self._states.items())
            ]

    def _tags(self) -> dict[str, int]:
        with self._lock:
            self._latest()
            return dict(self._named)

    def _set_tag(self, name: str, version: int, *, move: bool) -> None:
        with self._lock:
            self._at(version)
            check_tag(self.name, name, self._named, new=not move)
            self._named[name] = version

    def _delete_tag(self, name: str) -> None:
        with self._lock:
            check_tag(self.name, name, self._named, new=False)
            del self._named[name]

    def _restore(self, version: int | str) -> Commit:
        with self._lock:
            born, wanted = self._latest().born, self._at(version)
            same = {name: at for name, at in wanted.born.items() if born.get(name) == at}
            return self._publish("restore", born=same, rows=wanted.rows, metadata=wanted.metadata)


def _fitted(
    rows: pa.Table, column: pa.Field, born: Mapping[str, int], base: Base
) -> pa.ChunkedArray:
    """Return one column of rows staged on a version; what they lack is null."""
    if column.name in rows.schema.names:
        if born.get(column.name, 0) > base.version:
            raise CommitConflictError(
                f"Column '{column.name}' is no longer the one the staged rows were written for. "
                "Write them again."
            )
        return rows[column.name]
    if not column.nullable:
        raise SchemaError(f"The staged rows have no values for column '{column.name}'.")
    return pa.chunked_array([pa.nulls(rows.num_rows, column.type)])


def _with_column(rows: pa.Table, field: pa.Field, values: pa.Table | None = None) -> pa.Table:
    """Return rows with one more column; those that its values do not mention get null."""
    if field.name in rows.schema.names:
        raise CommitConflictError(f"Column '{field.name}' was added meanwhile.")
    if values is None:
        column = pa.nulls(rows.num_rows, field.type)
    else:
        at = pc.index_in(rows[ROW_ID], values[ROW_ID].combine_chunks())
        column = values[field.name].combine_chunks().take(at.combine_chunks())
    return rows.add_column(rows.num_columns - 1, field, column)
