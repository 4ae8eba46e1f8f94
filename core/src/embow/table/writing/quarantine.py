"""Rows that could not be embedded, kept beside their table until they can be.

A hidden table of the same database holds the rows as the user gave them, with the column, class and
message of the failure. It is named after the identity of its table, so that it follows every new
name. A row is kept once, whatever often it was added: its content is its key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa

from embow.engines.contract import (
    Change,
    Engine,
    EngineTable,
    RowIds,
    ScanQuery,
    Snapshot,
)
from embow.errors import TableExistsError, TableNotFoundError
from embow.pipeline import FailedRow
from embow.table.handle import Handle
from embow.table.names import HIDDEN_PREFIX, physical_name
from embow.table.writing.ingest import Rejected, take_rows

_KEY = pa.field(f"{HIDDEN_PREFIX}_row", pa.binary(16))
ATTEMPT = pa.field(f"{HIDDEN_PREFIX}_attempt", pa.binary())
"""The staged rows a row has gone into, from just before their commit until it is settled."""
REASONS = [
    pa.field(f"{HIDDEN_PREFIX}_failed_column", pa.string()),
    pa.field(f"{HIDDEN_PREFIX}_error_kind", pa.string()),
    pa.field(f"{HIDDEN_PREFIX}_error", pa.string()),
]
_SHOWN = ["failed_column", "error_kind", "error"]


def quarantine_name(table: str) -> str:
    """Return the name of the hidden table of a table, by its identity."""
    return f"{HIDDEN_PREFIX}_quarantine.{table}"


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The failed rows of one table.

    Attributes:
        engine: Where the hidden table lives.
        table: Identity of the table the rows were meant for.
        schema: The columns the user sees.
    """

    engine: Engine
    table: str
    schema: pa.Schema

    @classmethod
    def of(cls, handle: Handle, snapshot: Snapshot) -> Quarantine:
        """Return the quarantine of an open table."""
        return cls(handle.engine, snapshot.base.table, handle.columns(snapshot).visible)

    def store(self, rejected: Sequence[Rejected]) -> pa.Array:
        """Store rows durably, those that are there already not again; return their keys."""
        if not rejected:
            return pa.array([], _KEY.type)
        table = self._ready()
        with table.snapshot() as snapshot:
            kept = self._kept(snapshot.schema)
        seen: Counter[str] = Counter()
        batches = [self._as_kept(rows, reasons, seen, kept) for rows, reasons in rejected]
        rows = pa.Table.from_batches(batches).combine_chunks().to_batches()[0]

        def plan(snapshot: Snapshot) -> Change | None:
            keys = rows.select([_KEY.name])
            there, _ = snapshot.locate(keys)
            new = np.setdiff1d(np.arange(rows.num_rows), there)
            if not len(new):
                return None
            staged = table.write([take_rows(rows, new)], base=snapshot.base)
            return Change(snapshot.base, add=[staged], alone=True)

        table.transact(plan)
        return rows.column(_KEY.name)

    def others(self, keys: pa.Array) -> RowIds:
        """Return the ids of the rows that have none of these keys."""
        table = self.open()
        if table is None:
            return np.empty(0, np.int64)
        with table.snapshot() as snapshot:
            _, kept = snapshot.locate(pa.record_batch({_KEY.name: keys}))
            return np.setdiff1d(snapshot.row_ids(), kept)

    def remove(self, row_ids: RowIds) -> None:
        """Remove rows; those that are gone already are no error."""
        table = self.open()
        if table is None or not len(row_ids):
            return
        table.transact(lambda s: Change(s.base, remove=np.intersect1d(s.row_ids(), row_ids)))

    def rows(self) -> pa.Table:
        """Return the failed rows, with ``failed_column``, ``error_kind`` and ``error``."""
        shown = self._shown()
        table = self.open()
        if table is None:
            fields = [*self.schema, *(pa.field(name, pa.string()) for name in shown)]
            return pa.schema([f.with_nullable(True) for f in fields]).empty_table()
        with table.snapshot() as snapshot:
            kept = self._kept(snapshot.schema)
            names = {f.name: name for name, f in kept.items() if f.name in snapshot.schema.names}
            names |= dict(zip((f.name for f in REASONS), shown, strict=True))
            found = snapshot.scan(ScanQuery(columns=list(names))).read_all()
        return found.rename_columns(list(names.values()))

    def as_given(self, kept: pa.RecordBatch) -> pa.RecordBatch:
        """Return rows of the hidden table as the user gave them."""
        there = {name: f.name for name, f in self._kept(kept.schema).items()}
        there = {
            name: physical for name, physical in there.items() if physical in kept.schema.names
        }
        columns = [kept.column(physical) for physical in there.values()]
        return pa.RecordBatch.from_arrays(columns, names=list(there))

    def open(self) -> EngineTable | None:
        """Return the hidden table, if there is one."""
        try:
            return self.engine.open_table(quarantine_name(self.table))
        except TableNotFoundError:
            return None

    def drop(self) -> None:
        """Remove the hidden table, if there is one."""
        if self.open() is not None:
            self.engine.drop_table(quarantine_name(self.table))

    def _shown(self) -> list[str]:
        """Return the names of the reasons, with ``_`` before one that is the user's already."""
        taken = self.schema.names
        return [f"_{name}" if name in taken else name for name in _SHOWN]

    def _kept(self, there: pa.Schema) -> dict[str, pa.Field]:
        """Return the column each visible one is kept in: another one since its type changed."""
        kept: dict[str, pa.Field] = {}
        for field in self.schema:
            name = physical_name(field.name)
            if name in there.names and there.field(name).type != field.type:
                name = physical_name(f"{field.name}:{field.type}")
            kept[field.name] = pa.field(name, field.type)
        return kept

    def _ready(self) -> EngineTable:
        """Return the hidden table, with a place for every column."""
        name = quarantine_name(self.table)
        own = [*REASONS, _KEY, ATTEMPT]
        table = self.open()
        if table is None:
            schema = pa.schema([*self._kept(pa.schema([])).values(), *own])
            try:
                return self.engine.create_table(name, schema)
            except TableExistsError:
                table = self.engine.open_table(name)

        def plan(snapshot: Snapshot) -> Change | None:
            wanted = [*self._kept(snapshot.schema).values(), *own]
            new = [f for f in wanted if f.name not in snapshot.schema.names]
            added = [table.write_column(f, [], base=snapshot.base) for f in new]
            return Change(snapshot.base, add=added) if added else None

        table.transact(plan)
        return table

    def _as_kept(
        self,
        rows: pa.RecordBatch,
        reasons: Sequence[FailedRow],
        seen: Counter[str],
        kept: Mapping[str, pa.Field],
    ) -> pa.RecordBatch:
        columns = {kept[f.name].name: rows.column(f.name) for f in self.schema}
        columns |= as_columns(reasons)
        columns[_KEY.name] = pa.array(_keys(rows.select(self.schema.names), seen), _KEY.type)
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def as_columns(reasons: Sequence[FailedRow]) -> dict[str, pa.Array]:
    """Return why rows failed as the columns of the hidden table."""
    told = zip(*((r.column, r.kind, r.message) for r in reasons), strict=True)
    return {f.name: pa.array(list(v), f.type) for f, v in zip(REASONS, told, strict=True)}


def _keys(rows: pa.RecordBatch, seen: Counter[str]) -> Iterator[bytes]:
    """Yield a key for the content of each row; of equal rows of one call each has its own."""
    names = rows.schema.names
    for values in zip(*map(_values, rows.columns), strict=True):
        content = repr([pair for pair in zip(names, values, strict=True) if pair[1] is not None])
        text = f"{seen[content]}:{content}".encode("utf-8", "surrogatepass")
        seen[content] += 1
        yield blake2b(text, digest_size=16).digest()


def _values(column: pa.Array) -> list[Any]:
    """Return values whose text is the same everywhere: times as numbers, needing no pandas."""
    timed = (pa.types.is_timestamp, pa.types.is_duration, pa.types.is_time64)
    if any(is_one(column.type) for is_one in timed):
        column = column.cast(pa.int64())
    return list(column.to_pylist())
