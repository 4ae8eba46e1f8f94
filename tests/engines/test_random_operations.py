"""A table against a plain Python list of rows, under random operations."""

from __future__ import annotations

import shutil
import tempfile
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from embow.engines._local import LocalEngine
from embow.engines.contract import DISTANCE, ROW_ID, Change, EngineOptions, EngineTable, ScanQuery
from embow.engines.predicate import parse_predicate
from steps import add, base, drop_columns, matching, overwrite, put_column, remove, rows, search

SMALL = {"block_rows": 8, "fragment_bytes": 4096, "small_rows": 3, "tail_rows": 10}
"""Sizes at which a few rows already make blocks, files and a tail that overflows."""

VECTOR = pa.list_(pa.float32(), 2)
SCHEMA = pa.schema({"id": pa.int64(), "kind": pa.string(), "vector": VECTOR})
COORDINATES = st.sampled_from([0.0, 1.0, -1.0, 3.0, 0.125])
ROW = st.fixed_dictionaries(
    {
        "id": st.integers(0, 20),
        "kind": st.sampled_from(["a", "b", None]),
        "vector": st.none() | st.tuples(COORDINATES, COORDINATES).map(list),
    }
)
ROWS = st.lists(ROW, max_size=12)


class TableAgainstList(RuleBasedStateMachine):
    """Whatever is done to both, the table and the list hold the same rows in the same order."""

    @initialize(rows=ROWS)
    def create(self, rows: list[dict[str, Any]]) -> None:
        self.folder = tempfile.mkdtemp()
        self.extra: list[str] = []
        self.rows = [dict(row) for row in rows]
        self.engine = LocalEngine(self.folder, EngineOptions(SMALL))
        self.table: EngineTable = self.engine.create_table("t", SCHEMA, [self.batch(rows)])
        self.kept: dict[int, list[dict[str, Any]]] = {}

    def batch(self, rows: list[dict[str, Any]]) -> pa.RecordBatch:
        schema = self.table.snapshot().schema if hasattr(self, "table") else SCHEMA
        return pa.RecordBatch.from_pylist(rows, schema=schema)

    @rule(rows=ROWS)
    def append(self, rows: list[dict[str, Any]]) -> None:
        add(self.table, [self.batch(rows)])
        self.rows += [{**dict.fromkeys(self.extra), **row} for row in rows]

    @rule(limit=st.integers(0, 20))
    def delete(self, limit: int) -> None:
        remove(self.table, f"id >= {limit} AND kind = 'a'")
        self.rows = [row for row in self.rows if not (row["id"] >= limit and row["kind"] == "a")]

    @rule(number=st.integers(0, 20), rows=ROWS)
    def replace(self, number: int, rows: list[dict[str, Any]]) -> None:
        gone, now = matching(self.table, f"id = {number}"), base(self.table)
        staged = self.table.write([self.batch(rows)], base=now)
        self.table.commit(Change(now, add=[staged], remove=gone, alone=True))
        self.rows = [row for row in self.rows if row["id"] != number]
        self.rows += [{**dict.fromkeys(self.extra), **row} for row in rows]

    @rule(rows=ROWS)
    def overwrite(self, rows: list[dict[str, Any]]) -> None:
        overwrite(self.table, SCHEMA, [pa.RecordBatch.from_pylist(rows, schema=SCHEMA)])
        self.rows, self.extra = [dict(row) for row in rows], []

    @precondition(lambda self: len(self.extra) < 3)
    @rule(limit=st.integers(0, 20))
    def add_column(self, limit: int) -> None:
        name = f"n{len(self.extra)}"
        known = matching(self.table, f"id < {limit}")[::-1]
        put_column(self.table, name, known, list(range(len(known))))
        marked = iter(range(len(known))[::-1])
        self.rows = [
            {**row, name: next(marked) if row["id"] < limit else None} for row in self.rows
        ]
        self.extra.append(name)

    @precondition(lambda self: self.extra)
    @rule()
    def drop_column(self) -> None:
        name = self.extra.pop()
        drop_columns(self.table, name)
        self.rows = [{key: row[key] for key in row if key != name} for row in self.rows]

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted(self.kept)))
        self.table.restore(version)
        self.rows = [dict(row) for row in self.kept[version]]
        known = len(SCHEMA.names)
        self.extra = self.table.snapshot().schema.names[known:]

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def tag(self, data: st.DataObject) -> None:
        version = data.draw(st.sampled_from(sorted(self.kept)))
        self.table.set_tag("one", version, move="one" in self.table.tags())

    @rule()
    def optimize(self) -> None:
        self.table.optimize()

    @rule()
    def forget(self) -> None:
        latest, tagged = base(self.table).version, self.table.tags().values()
        self.table.optimize(keep=timedelta(0))
        self.kept = {v: rows for v, rows in self.kept.items() if v == latest or v in tagged}

    @rule()
    def reopen(self) -> None:
        self.engine.close()
        self.engine = LocalEngine(self.folder, EngineOptions(SMALL))
        self.table = self.engine.open_table("t")

    @invariant()
    def every_version_reads_as_it_did(self) -> None:
        self.kept[base(self.table).version] = [dict(row) for row in self.rows]
        for version in self.table.versions():
            assert rows(self.table, version.version) == self.kept[version.version]
            assert version.rows == len(self.kept[version.version])

    @invariant()
    def same_rows(self) -> None:
        with self.table.snapshot() as snapshot:
            names, count = snapshot.schema.names, snapshot.count_rows()
        assert rows(self.table) == [{name: row[name] for name in names} for row in self.rows]
        assert count == len(self.rows)

    @rule(
        query=st.tuples(COORDINATES, COORDINATES),
        metric=st.sampled_from(["l2", "cosine", "dot"]),
        k=st.integers(1, 30),
        where=st.none() | st.sampled_from(["id < 10", "kind = 'b'", "kind IS NULL OR id = 3"]),
    )
    def search(self, query: tuple[float, float], metric: Any, k: int, where: str | None) -> None:
        snapshot = self.table.snapshot()
        condition = parse_predicate(where, snapshot.schema) if where else None
        vectors = np.array([query], np.float32)
        found = search(
            self.table, "vector", vectors, k, metric, predicate=condition, with_row_id=True
        )[0]
        alive = snapshot.scan(ScanQuery(predicate=condition, with_row_id=True)).read_all()
        ranked = sorted(
            (float(distance(vectors[0], row["vector"], metric)), order, row[ROW_ID])
            for order, row in enumerate(alive.to_pylist())
            if row["vector"] is not None
        )[:k]
        assert found[ROW_ID].to_pylist() == [row_id for _, _, row_id in ranked]
        assert np.allclose(found[DISTANCE].to_pylist(), [each[0] for each in ranked], atol=1e-6)

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.engine.close()
            shutil.rmtree(self.folder)


def distance(query: Any, vector: list[float], metric: str) -> np.float32:
    """Return the documented distance in float64, rounded to float32."""
    one, two = np.float64(query), np.float64(np.float32(vector))
    if metric == "l2":
        return np.float32(((one - two) ** 2).sum())
    if metric == "dot":
        return np.float32(1 - (one * two).sum())
    lengths = np.sqrt((two * two).sum()) * np.sqrt((one * one).sum())
    cosine = (one * two).sum() / lengths if lengths else 0.0
    return np.float32(np.clip(1 - cosine, 0, 2))


TestTableAgainstList = TableAgainstList.TestCase
TestTableAgainstList.settings = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
