"""One table in memory: staging, commits, versions."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embow.engines.contract import (
    LEASE,
    RETENTION,
    ROW_ID,
    Base,
    Change,
    Commit,
    EngineTable,
    OptimizeReport,
    RowIds,
    Snapshot,
    Staged,
    Version,
    check_columns,
    check_schema,
)
from embow.engines.memory.snapshot import MemorySnapshot
from embow.engines.memory.store import (
    CAPABILITIES,
    ROW_ID_FIELD,
    State,
    Store,
    no_rows,
    pack,
    row_ids,
    unpack,
)
from embow.errors import (
    CommitConflictError,
    MissingColumnError,
    TagError,
    VersionNotFoundError,
    near_name,
)


class MemoryTable(EngineTable):
    """One table in memory."""

    capabilities = CAPABILITIES

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def name(self) -> str:
        """Name of the table."""
        return self._store.name

    def _snapshot(self, version: int | str | None, at_least: int) -> Snapshot:
        with self._store.lock:
            latest = self._store.latest()
            if at_least > latest.version:
                raise VersionNotFoundError(
                    f"Table '{self.name}' has no version {at_least} yet; the current one is "
                    f"{latest.version}."
                )
            state = latest if version is None else self._store.at(version)
            return MemorySnapshot(self._store.identity, state)

    def write(
        self,
        batches: Iterable[pa.RecordBatch],
        *,
        base: Base,
        schema: pa.Schema | None = None,
        lease: timedelta = LEASE,
    ) -> Staged:
        """Write rows, seen by nobody."""
        with self._store.lock:
            self._store.check(base)
            wanted = self._store.at(base.version).schema if schema is None else schema
        return self._stage(*pack(batches, wanted.remove_metadata()), base, lease)

    def _write_column(
        self, field: pa.Field, batches: Iterable[pa.RecordBatch], base: Base, lease: timedelta
    ) -> Staged:
        self._store.check(base)
        schema = pa.schema([ROW_ID_FIELD, field])

        def complete() -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for name in schema.names:
                    if name not in batch.schema.names:
                        raise MissingColumnError(f"A batch of values lacks the column '{name}'.")
                yield batch

        return self._stage(*pack(complete(), schema), base, lease, column=field.name)

    def _stage(
        self, payload: bytes, rows: int, base: Base, lease: timedelta, column: str | None = None
    ) -> Staged:
        until = datetime.now(UTC) + lease
        staged = Staged(uuid.uuid4().hex, base, rows, until, payload, column)
        with self._store.lock:
            self._store.leases[staged.token] = until
        return staged

    def renew(self, staged: Staged, lease: timedelta = LEASE) -> Staged:
        """Extend a lease."""
        renewed = replace(staged, until=datetime.now(UTC) + lease)
        with self._store.lock:
            if self._store.earlier([staged]) is None:
                self._store.leases[staged.token] = renewed.until
        return renewed

    def discard(self, staged: Staged) -> None:
        """Remove what was staged and never committed."""
        with self._store.lock:
            self._store.leases.pop(staged.token, None)

    def _commit(self, change: Change) -> Commit:
        with self._store.lock:
            return self._committed(change)

    def _committed(self, change: Change) -> Commit:
        store, state = self._store, self._store.latest()
        store.check(change.base)
        if change.add and (earlier := store.earlier(change.add)) is not None:
            return earlier
        store.check(change.base, since=state.shaped)
        columns = [staged for staged in change.add if staged.column is not None]
        shaping = bool(columns) or change.metadata is not None
        if change.alone:
            store.check(change.base, since=state.version if shaping else state.disturbed)
        remove = np.unique(np.asarray(() if change.remove is None else change.remove, np.int64))
        after = store.succeed(state, _operation(change), rows=self._without(state, remove))
        if change.metadata is not None:
            merged = {**state.metadata, **change.metadata}
            after = replace(after, metadata={k: v for k, v in merged.items() if v is not None})
        for staged in columns:
            after = _with_column(after, staged)
        rows = [staged for staged in change.add if staged.column is None]
        after = replace(after, rows=store.appended(after.rows, after, rows))
        if shaping:
            after = replace(after, shaped=after.version)
        if shaping or len(remove) or change.alone:
            after = replace(after, disturbed=after.version)
        return store.publish(after, change.add, len(remove))

    def _without(self, state: State, remove: RowIds) -> pa.Table:
        held = row_ids(state.rows)
        if not np.isin(remove, held).all():
            raise CommitConflictError(
                f"Rows of table '{self.name}' that were to be removed are gone: another writer "
                "changed or removed them. Plan it again on the current version."
            )
        return state.rows.filter(pa.array(~np.isin(held, remove))) if len(remove) else state.rows

    def _overwrite(
        self, schema: pa.Schema, staged: Sequence[Staged], base: Base, metadata: Mapping[str, str]
    ) -> Commit:
        store, schema = self._store, schema.remove_metadata()
        with store.lock:
            state = store.latest()
            store.check(base)
            if staged and (earlier := store.earlier(staged)) is not None:
                return earlier
            after = store.succeed(state, "overwrite", schema=schema, metadata=dict(metadata))
            now = dict.fromkeys(schema.names, after.version)
            filled = replace(after, born=dict.fromkeys(schema.names, 0))
            rows = store.appended(no_rows(schema), filled, staged)
            kept = {f.name: state.born[f.name] for f in schema if f in list(state.schema)}
            after = replace(after, rows=rows, born=now | kept)
            after = replace(after, shaped=after.version, disturbed=after.version)
            return store.publish(after, staged, state.rows.num_rows)

    def drop_columns(self, names: Sequence[str], *, base: Base) -> Commit:
        """Remove physical columns."""
        store = self._store
        with store.lock:
            state = store.latest()
            store.check(base, since=state.shaped)
            check_columns(state.schema, names)
            schema = pa.schema([each for each in state.schema if each.name not in names])
            check_schema(schema)
            after = store.succeed(
                state, "drop columns", schema=schema, rows=state.rows.drop_columns(list(names))
            )
            return store.publish(replace(after, shaped=after.version, disturbed=after.version))

    def optimize(
        self, *, keep: timedelta = RETENTION, delete_unverified: bool = False
    ) -> OptimizeReport:
        """Join the pieces of the current version; drop old versions and staged rows."""
        store, now = self._store, datetime.now(UTC)
        with store.lock:
            latest = store.latest()
            kept = {latest.version, *store.tags.values()}
            old = [v for v, each in store.states.items() if each.timestamp <= now - keep]
            gone = [version for version in old if version not in kept]
            for version in gone:
                del store.states[version]
            store.leases = {
                token: until
                for token, until in store.leases.items()
                if until > now and not delete_unverified
            }
            joined = latest.rows.combine_chunks()
            store.states[latest.version] = replace(latest, rows=joined)
            return OptimizeReport(
                fragments_before=latest.rows[ROW_ID].num_chunks,
                fragments_after=joined[ROW_ID].num_chunks,
                versions_removed=len(gone),
                oldest_version=min(store.states),
            )

    def _versions(self) -> list[Version]:
        with self._store.lock:
            self._store.latest()
            return [
                Version(each.version, each.timestamp, each.rows.num_rows, each.operation)
                for _, each in sorted(self._store.states.items())
            ]

    def _tags(self) -> dict[str, int]:
        with self._store.lock:
            self._store.latest()
            return dict(self._store.tags)

    def _set_tag(self, name: str, version: int, *, move: bool) -> None:
        with self._store.lock:
            self._store.at(version)
            if not move and name in self._store.tags:
                raise TagError(f"Tag '{name}' exists; move=True moves it.")
            if move:
                self._require_tag(name)
            self._store.tags[name] = version

    def _delete_tag(self, name: str) -> None:
        with self._store.lock:
            self._require_tag(name)
            del self._store.tags[name]

    def _require_tag(self, name: str) -> None:
        tags = self._store.tags
        if name not in tags:
            raise TagError(
                f"Table '{self.name}' has no tag '{name}'.{near_name(name, tags)} "
                f"Tags: {', '.join(sorted(tags)) or 'none'}."
            )

    def _restore(self, version: int | str) -> Commit:
        store = self._store
        with store.lock:
            latest, wanted = store.latest(), store.at(version)
            now = latest.version + 1
            same = {n: at for n, at in wanted.born.items() if latest.born.get(n) == at}
            born = dict.fromkeys(wanted.schema.names, now) | same
            after = store.succeed(
                latest,
                "restore",
                schema=wanted.schema,
                metadata=wanted.metadata,
                rows=wanted.rows,
                born=born,
                shaped=now,
                disturbed=now,
            )
            return store.publish(after)


def _operation(change: Change) -> str:
    plain = change.remove is None and change.metadata is None
    return "add" if plain and not any(each.column for each in change.add) else "change"


def _with_column(state: State, staged: Staged) -> State:
    """Return a state with a staged column; rows it does not mention get null."""
    values = unpack(staged)
    added = values.schema.field(1)
    if added.name in state.schema.names:
        raise CommitConflictError(f"Column '{added.name}' was added meanwhile.")
    at = pc.index_in(state.rows[ROW_ID], values[ROW_ID].combine_chunks())
    column = values[added.name].combine_chunks().take(at.combine_chunks())
    return replace(
        state,
        schema=state.schema.append(added),
        rows=state.rows.add_column(len(state.schema), added, column),
        born={**state.born, added.name: state.version},
    )
