"""What the parts of the engine suite share: a schema, rows, and the shortest way to each verb."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from embow.engines.contract import (
    ROW_ID,
    Base,
    Capability,
    Change,
    Commit,
    Engine,
    EngineOptions,
    EngineTable,
    Metric,
    RowIds,
    ScanQuery,
    Snapshot,
    Staged,
    VectorQuery,
)
from embow.engines.predicate import parse_predicate
from embow.errors import CommitConflictError

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("text", pa.string()),
        pa.field("vector", pa.list_(pa.float32(), 3)),
    ]
)

Row = dict[str, Any]
Reopen = Callable[[], Engine]


def rows(*numbers: int) -> list[Row]:
    """Return rows of `SCHEMA` with distinct vectors."""
    return [{"id": n, "text": f"t{n}", "vector": [float(n), 1.0, 0.0]} for n in numbers]


def batch(data: Sequence[Row], schema: pa.Schema = SCHEMA) -> pa.RecordBatch:
    """Return rows as one record batch."""
    return pa.RecordBatch.from_pylist(list(data), schema=schema)


def read(snapshot: Snapshot, name: str = "id", where: str | None = None) -> list[Any]:
    """Return one column of the rows that satisfy a condition, in the order of a scan."""
    predicate = None if where is None else parse_predicate(where, snapshot.schema)
    query = ScanQuery(columns=[name], predicate=predicate)
    found: list[Any] = snapshot.scan(query).read_all()[name].to_pylist()
    return found


def ids(table: EngineTable, where: str | None = None) -> list[int]:
    """Return the ``id`` of the rows of the current version, sorted."""
    with table.snapshot() as snapshot:
        return sorted(read(snapshot, where=where))


def values(table: EngineTable, name: str) -> dict[int, Any]:
    """Return a column of the current version by ``id``."""
    with table.snapshot() as snapshot:
        found = snapshot.scan(ScanQuery(columns=["id", name])).read_all()
    return dict(zip(found["id"].to_pylist(), found[name].to_pylist(), strict=True))


def row_ids(snapshot: Snapshot, where: str) -> RowIds:
    """Return the row ids of the rows that satisfy a condition."""
    return snapshot.row_ids(parse_predicate(where, snapshot.schema))


def now(table: EngineTable) -> Base:
    """Return table and version as they are now."""
    with table.snapshot() as snapshot:
        return snapshot.base


def metadata_of(table: EngineTable) -> dict[str, str]:
    """Return the metadata of the current version."""
    with table.snapshot() as snapshot:
        return dict(snapshot.metadata)


def matching(table: EngineTable, where: str) -> RowIds:
    """Return the row ids of the current version that satisfy a condition."""
    with table.snapshot() as snapshot:
        return row_ids(snapshot, where)


def stage(table: EngineTable, *numbers: int) -> Staged:
    """Write rows for the current version."""
    return table.write([batch(rows(*numbers))], base=now(table))


def put(table: EngineTable, data: pa.RecordBatch) -> Commit:
    """Add a batch in one commit."""
    staged = table.write([data], base=now(table))
    return table.commit(Change(staged.base, add=[staged]))


def conflict(table: EngineTable, change: Change) -> None:
    """Require that a change is refused because something else happened."""
    with pytest.raises(CommitConflictError):
        table.commit(change)


def add(table: EngineTable, *numbers: int) -> Commit:
    """Add rows in one commit."""
    return put(table, batch(rows(*numbers)))


def remove(table: EngineTable, where: str) -> Commit:
    """Remove rows in one commit."""
    return table.commit(Change(now(table), remove=matching(table, where)))


def set_metadata(table: EngineTable, entries: Mapping[str, str | None]) -> Commit:
    """Change metadata in one commit."""
    return table.commit(Change(now(table), metadata=entries))


def stage_column(
    table: EngineTable, field: pa.Field, given: Mapping[int, Any], snapshot: Snapshot
) -> Staged:
    """Write the values of a column, given by ``id``, in descending order of the row ids."""
    located = {n: int(row_ids(snapshot, f"id = {n}")[0]) for n in given}
    order = sorted(given, key=lambda n: -located[n])
    arrays = [
        pa.array([located[n] for n in order], pa.int64()),
        pa.array([given[n] for n in order], field.type),
    ]
    data = pa.record_batch(arrays, names=[ROW_ID, field.name])
    return table.write_column(field, [data], base=snapshot.base)


def put_column(table: EngineTable, field: pa.Field, given: Mapping[int, Any]) -> Commit:
    """Add a column in one commit."""
    with table.snapshot() as snapshot:
        staged = stage_column(table, field, given, snapshot)
        return table.commit(Change(snapshot.base, add=[staged]))


def merge(table: EngineTable, *numbers: int, text: str = "merged") -> Commit | None:
    """Put rows by ``id``: those there are replaced, the others added."""
    fresh = batch([{**row, "text": text} for row in rows(*numbers)])
    staged = table.write([fresh], base=now(table))

    def plan(snapshot: Snapshot) -> Change:
        _, found = snapshot.locate(fresh.select(["id"]))
        return Change(snapshot.base, add=[staged], remove=found, alone=True)

    return table.transact(plan)


def nearest(
    snapshot: Snapshot, vector: Sequence[float], k: int, metric: Metric = "l2", **options: Any
) -> pa.Table:
    """Return the result of one search."""
    query = np.array([vector], np.float32)
    return snapshot.search(VectorQuery("vector", query, k, metric, **options))[0]


class EngineTests:
    """What the author of an engine states and provides.

    Attributes:
        claims: The capabilities that the engine is meant to have. One test compares them with what
            the engine declares and does, so that none is lost unnoticed.
        many: Rows of one write that the engine does not store as it stores few.
    """

    claims: ClassVar[frozenset[Capability]]
    many: ClassVar[int] = 2000

    @pytest.fixture
    def reopen(self, engine: Engine) -> Iterator[Reopen]:
        """Return a function that opens the database a second time, as another process would."""
        opened: list[Engine] = []

        def again() -> Engine:
            uri, options = engine.spec()
            opened.append(type(engine)(uri, EngineOptions(storage_options=options)))
            return opened[-1]

        yield again
        for each in opened:
            each.close()

    @pytest.fixture
    def table(self, engine: Engine) -> EngineTable:
        """Return a table of five rows, ids 0 to 4."""
        data = [batch(rows(0, 1, 2, 3, 4))]
        return engine.create_table("t", SCHEMA, data, metadata={"owner": "suite"})

    def needs(self, *capabilities: Capability) -> None:
        """Skip where the engine does not claim a capability."""
        for each in capabilities:
            if each not in self.claims:
                pytest.skip(f"the engine has no {each}")
