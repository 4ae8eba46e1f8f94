"""Rows on their way into a table in memory, and the versions they are for."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from embow.engines._forks import Guard
from embow.engines._memory.indexing import MemoryIndex, coverings
from embow.engines._memory.snapshot import CAPABILITIES, ROW_ID_FIELD, MemorySnapshot, State
from embow.engines.contract import (
    LEASE,
    Base,
    Commit,
    EngineTable,
    Snapshot,
    Staged,
    conform,
    with_columns,
)
from embow.engines.indexes import Covering, Libraries
from embow.errors import (
    CommitConflictError,
    StagedGoneError,
    TableNotFoundError,
    VersionNotFoundError,
)

_KNOWN = 4
"""Versions of which it is kept how their rows are indexed."""


class StagingTable(EngineTable):
    """Versions of a table in memory, and rows that are staged for one."""

    capabilities = CAPABILITIES
    name = ""

    def __init__(self, name: str, libraries: Libraries) -> None:
        self.name = name
        self.dropped = False
        self._identity = uuid.uuid4().hex
        self._lock = Guard()
        self._libraries = libraries
        self._indexes: dict[str, MemoryIndex] = {}
        self._coverings: dict[int, tuple[dict[str, MemoryIndex], list[Covering[Any]]]] = {}
        self._named: dict[str, int] = {}
        self._leases: dict[str, datetime] = {}
        self._committed: dict[str, Commit] = {}
        self._next_row = 0
        self._states: dict[int, State] = {}

    def _latest(self) -> State:
        if self.dropped:
            raise TableNotFoundError(f"Table '{self.name}' has been dropped.")
        return self._states[max(self._states)]

    def _at(self, version: int | str) -> State:
        self._latest()
        number = self._named.get(version) if isinstance(version, str) else version
        if number is None or number not in self._states:
            raise VersionNotFoundError(
                f"Table '{self.name}' has no version {version!r}. Versions: "
                f"{min(self._states)} to {max(self._states)}; "
                f"tags: {', '.join(sorted(self._named)) or 'none'}."
            )
        return self._states[number]

    def _snapshot(self, version: int | str | None, at_least: int) -> Snapshot:
        with self._lock:
            latest = self._latest()
            if at_least > latest.version:
                raise VersionNotFoundError(
                    f"Table '{self.name}' has no version {at_least} yet; the current one is "
                    f"{latest.version}."
                )
            state = latest if version is None else self._at(version)
        return MemorySnapshot(self._identity, state, self._covered)

    def _covered(self, state: State) -> list[Covering[Any]]:
        """Return the indexes as a version has them, the same ones until one changes."""
        with self._lock:
            indexes = dict(self._indexes)
            of, known = self._coverings.get(state.version, (None, []))
            if of != indexes:
                known = coverings(indexes, state, self._libraries)
                kept = [(v, each) for v, each in self._coverings.items() if v in self._states]
                self._coverings = dict(kept[-_KNOWN:]) | {state.version: (indexes, known)}
            return known

    # -- staging ------------------------------------------------------------------------

    def write(
        self,
        batches: Iterable[pa.RecordBatch],
        *,
        base: Base,
        schema: pa.Schema | None = None,
        new: Sequence[pa.Field] = (),
        lease: timedelta = LEASE,
    ) -> Staged:
        with self._lock:
            self._check(base)
            wanted = self._at(base.version).schema if schema is None else schema
        wanted = with_columns(wanted.remove_metadata(), new)
        return self._stage(batches, wanted, base, lease)

    def _write_column(
        self, field: pa.Field, batches: Iterable[pa.RecordBatch], base: Base, lease: timedelta
    ) -> Staged:
        self._check(base)
        return self._stage(batches, pa.schema([ROW_ID_FIELD, field]), base, lease, field.name)

    def _stage(
        self,
        batches: Iterable[pa.RecordBatch],
        schema: pa.Schema,
        base: Base,
        lease: timedelta,
        column: str | None = None,
    ) -> Staged:
        sink, rows = pa.BufferOutputStream(), 0
        with pa.ipc.new_stream(sink, schema) as writer:
            for batch in batches:
                writer.write_batch(conform(batch, schema))
                rows += batch.num_rows
        until = datetime.now(UTC) + lease
        payload = sink.getvalue().to_pybytes()
        staged = Staged(uuid.uuid4().hex, base, rows, until, payload, column)
        with self._lock:
            self._leases[staged.token] = until
        return staged

    def renew(self, staged: Staged, lease: timedelta = LEASE) -> Staged:
        renewed = replace(staged, until=datetime.now(UTC) + lease)
        with self._lock:
            if self._earlier([staged]) is None:
                self._leases[staged.token] = renewed.until
        return renewed

    def discard(self, staged: Staged) -> None:
        with self._lock:
            self._leases.pop(staged.token, None)

    def _earlier(self, staged: Sequence[Staged]) -> Commit | None:
        """Return the commit these tokens made before; refuse them where they are gone."""
        known = {self._committed.get(each.token) for each in staged}
        if len(known) == 1 and (commit := known.pop()) is not None:
            return commit
        for each in staged:
            self._check(each.base)
            if each.token not in self._leases:
                raise StagedGoneError(
                    f"Staged data of table '{self.name}' are gone: committed with another change, "
                    "discarded, or removed by optimize after their lease. Write them again."
                )
        return None

    def _check(self, base: Base, *, since: int = 0) -> None:
        """Refuse what was planned on another table, or before version ``since``."""
        if base.table != self._identity:
            raise CommitConflictError(
                f"Table '{self.name}' was dropped and created again meanwhile. Open it anew."
            )
        if base.version < since:
            raise CommitConflictError(
                f"Table '{self.name}' was changed in version {since}; this was planned on version "
                f"{base.version}. Plan it again on the current version."
            )
