"""Rows that could not be embedded, kept beside their table until they can be.

A hidden table of the same database holds the rows as the user gave them, with the column, class and
message of the failure. The metadata of its table say what it is called, so that it follows every
new name. A row is kept once, whatever often it was added: its content is its key.

A retry adds rows to the table in the commit that also notes, in the table's metadata, which they
were. A row that is noted is gone from quarantine, whether or not it has been removed from there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa

from embow._table.columns import QUARANTINE, REPLACED, Columns
from embow._table.names import HIDDEN_PREFIX, physical_name
from embow._table.writing.ingest import Rejected
from embow._table.writing.rows import take_rows
from embow.engines.contract import (
    ROW_ID,
    Change,
    Engine,
    EngineTable,
    RowIds,
    ScanQuery,
    Snapshot,
    row_ids_of,
)
from embow.engines.predicate import evaluate, parse_predicate
from embow.errors import TableExistsError, TableNotFoundError
from embow.expr import Condition
from embow.pipeline import FailedRow

_RETRIED = "embow.retried"
_KEY = pa.field(f"{HIDDEN_PREFIX}_row", pa.binary(16))
_ID = pa.field(f"{HIDDEN_PREFIX}_id", pa.binary(16))
_REASONS = [
    pa.field(f"{HIDDEN_PREFIX}_failed_column", pa.string()),
    pa.field(f"{HIDDEN_PREFIX}_error_kind", pa.string()),
    pa.field(f"{HIDDEN_PREFIX}_error", pa.string()),
]
_OWN = [*_REASONS, _KEY, _ID]
_SHOWN = ["failed_column", "error_kind", "error"]


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The failed rows of one table.

    Attributes:
        engine: Where the hidden table lives.
        name: Of the hidden table.
        schema: The columns the user sees.
        done: Ids of rows that came into the table by the latest retry.
        replaced: The hidden table of rows that were meant for contents since replaced.
    """

    engine: Engine
    name: str
    schema: pa.Schema
    done: frozenset[bytes] = frozenset()
    replaced: str | None = None

    @classmethod
    def of(cls, engine: Engine, columns: Columns, table: EngineTable | None = None) -> Quarantine:
        """Return the quarantine of a table.

        Args:
            engine: The database.
            columns: The table's columns.
            table: The table, where it exists: earlier code called the quarantine after it.
        """
        called = columns.metadata.get(QUARANTINE) or (table.name if table is not None else "")
        done = json.loads(columns.metadata.get(_RETRIED, "[]"))
        name = f"{HIDDEN_PREFIX}_quarantine.{called}"
        replaced = columns.metadata.get(REPLACED)
        return cls(engine, name, columns.visible, frozenset(map(bytes.fromhex, done)), replaced)

    def store(self, rejected: Sequence[Rejected]) -> None:
        """Store rows durably, those that are there already not again."""
        if not rejected:
            return
        self.sweep()
        self.settle(dict.fromkeys(self.done))
        table = self._ready()
        with table.snapshot() as snapshot:
            kept = self._kept(snapshot.schema)
        seen: Counter[str] = Counter()
        batches = [self._as_kept(rows, reasons, seen, kept) for rows, reasons in rejected]
        rows = pa.Table.from_batches(batches).combine_chunks().to_batches()[0]

        def plan(snapshot: Snapshot) -> Change | None:
            there, _ = snapshot.locate(rows.select([_KEY.name]))
            new = np.setdiff1d(np.arange(rows.num_rows), there)
            if not len(new):
                return None
            staged = table.write([take_rows(rows, new)], base=snapshot.base)
            return Change(snapshot.base, add=[staged], alone=True)

        table.transact(plan)

    def rows(self) -> pa.Table:
        """Return the failed rows, with ``failed_column``, ``error_kind`` and ``error``."""
        table = self.open()
        if table is None:
            fields = [*self.schema, *(pa.field(name, pa.string()) for name in self._shown())]
            return pa.schema([f.with_nullable(True) for f in fields]).empty_table()
        with table.snapshot() as snapshot:
            return self._seen(snapshot).drop_columns([ROW_ID])

    def discard(self, where: Condition | None) -> int:
        """Throw failed rows away, those of a condition over what `rows` returns; say how many."""
        table, gone = self.open(), 0
        if table is None:
            return 0

        def plan(snapshot: Snapshot) -> Change:
            nonlocal gone
            found = self._seen(snapshot).combine_chunks()
            ids = np.asarray(found.column(ROW_ID), np.int64)
            if where is not None:
                predicate = parse_predicate(where, found.schema.remove(len(found.schema) - 1))
                passing = [evaluate(predicate, batch) for batch in found.to_batches()]
                ids = ids[np.concatenate([np.zeros(0, np.bool_), *passing])]
            gone = len(ids)
            return Change(snapshot.base, remove=ids)

        table.transact(plan)
        return gone

    def _seen(self, snapshot: Snapshot) -> pa.Table:
        """Return the rows that wait as the user sees them, their row ids last."""
        found = snapshot.scan(ScanQuery(with_row_id=True)).read_all()
        names = self._there(found.schema)
        names |= dict(zip(self._shown(), (f.name for f in _REASONS), strict=True))
        names[ROW_ID] = ROW_ID
        if self.done and _ID.name in found.schema.names:
            waits = [each not in self.done for each in found.column(_ID.name).to_pylist()]
            found = found.filter(pa.array(waits, pa.bool_()))
        return found.select(list(names.values())).rename_columns(list(names))

    def waiting(self) -> tuple[RowIds, list[bytes], pa.RecordBatch] | None:
        """Return the rows to try again, if there are any: row ids, lasting ids, as given."""
        if self.open() is None:
            return None
        table = self._ready()
        self.settle(dict.fromkeys(self.done))
        with table.snapshot() as snapshot:
            found = snapshot.scan(ScanQuery(with_row_id=True)).read_all().combine_chunks()
        if not found.num_rows:
            return None
        (kept,) = found.to_batches()
        there = self._there(kept.schema)
        given = kept.select(list(there.values())).rename_columns(list(there))
        return row_ids_of(kept), kept.column(_ID.name).to_pylist(), given

    def settle(self, tried: Mapping[bytes, FailedRow | None]) -> None:
        """Remove rows that came in, and keep of the others why they failed again.

        Args:
            tried: Failures by the ids of rows; those that are gone already are no error.
        """
        table = self.open() if tried else None
        if table is None:
            return
        ids = pa.record_batch({_ID.name: pa.array(list(tried), _ID.type)})
        failures = list(tried.values())

        def plan(snapshot: Snapshot) -> Change:
            at, numbers = snapshot.locate(ids)
            again = [where for where, each in enumerate(at) if failures[each] is not None]
            if not again:
                return Change(snapshot.base, remove=numbers)
            rows = snapshot.scan(ScanQuery(row_ids=numbers[again])).read_all().combine_chunks()
            new = _as_columns(failures[at[where]] for where in again)
            columns = {f.name: new.get(f.name, rows.column(f.name)) for f in rows.schema}
            staged = table.write(pa.table(columns).to_batches(), base=snapshot.base)
            return Change(snapshot.base, remove=numbers, add=[staged])

        table.transact(plan)

    def open(self) -> EngineTable | None:
        """Return the hidden table, if there is one."""
        try:
            return self.engine.open_table(self.name)
        except TableNotFoundError:
            return None

    def sweep(self) -> None:
        """Remove what an overwrite that died left of the rows before it."""
        if self.replaced is not None:
            replace(self, name=self.replaced, replaced=None).drop()

    def drop(self) -> None:
        """Remove the hidden table, if there is one."""
        if self.open() is not None:
            self.engine.drop_table(self.name)

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

    def _there(self, schema: pa.Schema) -> dict[str, str]:
        """Return the kept columns there are, by what the user calls them."""
        kept = {name: field.name for name, field in self._kept(schema).items()}
        return {name: physical for name, physical in kept.items() if physical in schema.names}

    def _ready(self) -> EngineTable:
        """Return the hidden table, with a place for every column."""
        table = self.open()
        if table is None:
            schema = pa.schema([*self._kept(pa.schema([])).values(), *_OWN])
            try:
                return self.engine.create_table(self.name, schema)
            except TableExistsError:
                table = self.engine.open_table(self.name)

        def plan(snapshot: Snapshot) -> Change | None:
            wanted = [*self._kept(snapshot.schema).values(), *_OWN]
            new = [f for f in wanted if f.name not in snapshot.schema.names]
            # Earlier code gave rows no ids.
            numbers = snapshot.row_ids().tolist() if _ID in new else []
            ids = pa.record_batch({ROW_ID: pa.array(numbers, pa.int64()), _ID.name: _ids(numbers)})
            if not new:
                return None
            added = [table.write_column(_ID, [ids], base=snapshot.base)] if _ID in new else []
            return Change(snapshot.base, add=added, columns=[f for f in new if f != _ID])

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
        columns |= _as_columns(reasons)
        columns[_KEY.name] = pa.array(_keys(rows.select(self.schema.names), seen), _KEY.type)
        columns[_ID.name] = _ids(reasons)
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def retried_entries(ids: Iterable[bytes]) -> dict[str, str | None]:
    """Return the metadata to set where these rows come into the table."""
    return {_RETRIED: json.dumps([each.hex() for each in ids])}


def _ids(rows: Sequence[Any]) -> pa.Array:
    return pa.array([uuid4().bytes for _ in rows], _ID.type)


def _as_columns(reasons: Iterable[Any]) -> dict[str, pa.Array]:
    """Return why rows failed as the columns of the hidden table."""
    told = zip(*((r.column, r.kind, r.message) for r in reasons), strict=True)
    return {f.name: pa.array(list(v), f.type) for f, v in zip(_REASONS, told, strict=True)}


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
