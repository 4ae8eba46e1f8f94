"""The versions of one table, and what is known of rows staged for it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from embow.engines.contract import (
    ROW_ID,
    Base,
    Capability,
    Commit,
    RowIds,
    Staged,
    check_columns,
)
from embow.errors import (
    CommitConflictError,
    DataError,
    SchemaError,
    StagedGoneError,
    TableNotFoundError,
    VersionNotFoundError,
)

CAPABILITIES = frozenset(
    {
        Capability.VERSIONS,
        Capability.TAGS,
        Capability.RESTORE,
        Capability.RENAME_TABLE,
        Capability.ORDERED_SCAN,
        Capability.STABLE_ROW_IDS,
    }
)
ROW_ID_FIELD = pa.field(ROW_ID, pa.int64())


@dataclass(frozen=True, slots=True)
class State:
    """One version.

    Attributes:
        rows: The rows in order, ``_rowid`` (ascending) last.
        born: For each column the version it came with. Values staged before are of another column.
        shaped: Version that last touched schema or metadata.
        disturbed: Version that last did more than add rows.
    """

    version: int
    timestamp: datetime
    operation: str
    schema: pa.Schema
    metadata: Mapping[str, str]
    rows: pa.Table
    born: Mapping[str, int]
    shaped: int
    disturbed: int


@dataclass(slots=True)
class Store:
    """One table: its versions, and what is known of staged writes."""

    name: str
    lock: threading.RLock = field(default_factory=threading.RLock)
    identity: str = field(default_factory=lambda: uuid.uuid4().hex)
    states: dict[int, State] = field(default_factory=dict)
    tags: dict[str, int] = field(default_factory=dict)
    leases: dict[str, datetime] = field(default_factory=dict)
    committed: dict[str, Commit] = field(default_factory=dict)
    next_row: int = 0
    dropped: bool = False

    def latest(self) -> State:
        """Return the current version."""
        if self.dropped:
            raise TableNotFoundError(f"Table '{self.name}' has been dropped.")
        return self.states[max(self.states)]

    def at(self, version: int | str) -> State:
        """Return a version by number or tag."""
        self.latest()
        number = self.tags.get(version) if isinstance(version, str) else version
        if number is None or number not in self.states:
            raise VersionNotFoundError(
                f"Table '{self.name}' has no version {version!r}. Versions: "
                f"{min(self.states)} to {max(self.states)}; "
                f"tags: {', '.join(sorted(self.tags)) or 'none'}."
            )
        return self.states[number]

    def check(self, base: Base, *, since: int = 0) -> None:
        """Refuse what was planned on another table, or before version ``since``."""
        if base.table != self.identity:
            raise CommitConflictError(
                f"Table '{self.name}' was dropped and created again meanwhile. Open it anew."
            )
        if base.version < since:
            raise CommitConflictError(
                f"Table '{self.name}' was changed in version {since}; this was planned on version "
                f"{base.version}. Plan it again on the current version."
            )

    def earlier(self, staged: Sequence[Staged]) -> Commit | None:
        """Return the commit these tokens made before; refuse them where they are gone."""
        known = {self.committed.get(each.token) for each in staged}
        if len(known) == 1 and (commit := known.pop()) is not None:
            return commit
        for each in staged:
            self.check(each.base)
            if each.token not in self.leases:
                raise StagedGoneError(
                    f"Staged data of table '{self.name}' are gone: committed with another change, "
                    "discarded, or removed by optimize after their lease. Write them again."
                )
        return None

    def publish(self, state: State, staged: Sequence[Staged] = (), removed: int = 0) -> Commit:
        """Make a state the current version; its staged data are committed with it."""
        commit = Commit(
            state.version, sum(each.rows for each in staged if not each.column), removed
        )
        self.states[state.version] = state
        for each in staged:
            del self.leases[each.token]
            self.committed[each.token] = commit
        return commit

    def succeed(self, state: State, operation: str, **changes: Any) -> State:
        """Return the version after a state, with some things changed."""
        now = max(datetime.now(UTC), state.timestamp)
        return replace(
            state, version=state.version + 1, timestamp=now, operation=operation, **changes
        )

    def appended(self, rows: pa.Table, state: State, staged: Sequence[Staged]) -> pa.Table:
        """Return rows with staged ones behind, which get the next row ids."""
        for each in staged:
            new = _fitted(unpack(each), state, each.base.version)
            row_ids = pa.array(np.arange(self.next_row, self.next_row + new.num_rows), pa.int64())
            self.next_row += new.num_rows
            rows = pa.concat_tables([rows, new.append_column(ROW_ID_FIELD, row_ids)])
        return rows


def _fitted(rows: pa.Table, state: State, version: int) -> pa.Table:
    """Return rows staged on a version with the columns of a state; what they lack is null."""
    columns = []
    for each in state.schema:
        if each.name in rows.schema.names:
            if state.born[each.name] > version:
                raise CommitConflictError(
                    f"Column '{each.name}' is no longer the one the staged rows were written for. "
                    "Write them again."
                )
            columns.append(rows[each.name])
        elif each.nullable:
            columns.append(pa.nulls(rows.num_rows, each.type))
        else:
            raise SchemaError(f"The staged rows have no values for column '{each.name}'.")
    return pa.table(columns, schema=state.schema)


def pack(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> tuple[bytes, int]:
    """Return rows as bytes, and how many they are."""
    sink, rows = pa.BufferOutputStream(), 0
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(_checked(batch, schema))
            rows += batch.num_rows
    return sink.getvalue().to_pybytes(), rows


def unpack(staged: Staged) -> pa.Table:
    """Return what was staged."""
    return pa.ipc.open_stream(staged.payload).read_all()


def _checked(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch with the columns of a schema, in its order."""
    check_columns(schema, batch.schema.names)
    columns = []
    for wanted in schema:
        index = batch.schema.get_field_index(wanted.name)
        column = pa.nulls(len(batch), wanted.type) if index < 0 else batch.column(index)
        if column.type != wanted.type:
            raise SchemaError(f"Column '{wanted.name}' is {wanted.type}, not {column.type}.")
        if column.null_count and not wanted.nullable:
            raise DataError(f"Column '{wanted.name}' must have a value in each row.")
        columns.append(column)
    return pa.record_batch(columns, schema=schema)


def row_ids(rows: pa.Table) -> RowIds:
    """Return the row ids of rows, ascending."""
    return np.asarray(rows[ROW_ID])


def no_rows(schema: pa.Schema) -> pa.Table:
    """Return no rows, with the columns of a schema and the row id."""
    return schema.append(ROW_ID_FIELD).empty_table()
