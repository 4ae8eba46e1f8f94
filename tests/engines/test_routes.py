"""Whatever happened to a table, a search by an index and one by reading say the same."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embow.engines._local import LocalEngine
from embow.engines._memory import MemoryEngine
from embow.engines.contract import (
    Change,
    Engine,
    EngineTable,
    Metric,
    ScanQuery,
    Snapshot,
    VectorQuery,
)
from embow.engines.predicate import parse_predicate
from flat import Flat, options

NDIMS = 3
SCHEMA = pa.schema({"id": "int64", "vector": pa.list_(pa.float32(), NDIMS)})
SMALL = {"block_rows": 4, "small_rows": 3, "fragment_bytes": 1}
_number = count()


def rows(first: int, many: int) -> pa.RecordBatch:
    """Return rows whose vectors are at random and some equal; every fifth is null."""
    rng = np.random.default_rng(first)
    vectors = rng.integers(-3, 4, (many, NDIMS)).astype(np.float32).tolist()
    numbers = list(range(first, first + many))
    column = [None if n % 5 == 4 else v for n, v in zip(numbers, vectors, strict=True)]
    return pa.RecordBatch.from_pydict({"id": numbers, "vector": column}, SCHEMA)


class World:
    """A table under change, in either engine."""

    def __init__(self, engine: Engine, metric: Metric) -> None:
        self.table: EngineTable = engine.create_table("t", SCHEMA, [rows(0, 12)])
        self.next = 12
        self.metric = metric
        self.table.create_index("vector", Flat(metric, least=3), name="i")

    def add(self, many: int) -> None:
        with self.table.snapshot() as snapshot:
            staged = self.table.write([rows(self.next, many)], base=snapshot.base)
        self.table.commit(Change(staged.base, add=[staged]))
        self.next += many

    def remove(self, every: int) -> None:
        with self.table.snapshot() as snapshot:
            self.table.commit(Change(snapshot.base, remove=snapshot.row_ids()[::every]))

    def optimize(self, whole: int) -> None:
        self.table.optimize(keep=timedelta(0) if whole % 3 == 0 else timedelta(days=1))

    def restore(self, which: int) -> None:
        versions = self.table.versions()
        self.table.restore(versions[which % len(versions)].version)

    def index(self, which: int) -> None:
        self.table.create_index("vector", Flat(self.metric, least=which), name="i", replace=True)

    def overwrite(self, many: int) -> None:
        with self.table.snapshot() as snapshot:
            staged = self.table.write([rows(self.next, many)], base=snapshot.base)
            self.table.overwrite(SCHEMA, [staged], base=snapshot.base)
        self.next += many


DEEDS = ("add", "add", "add", "remove", "optimize", "optimize", "restore", "index", "overwrite")


def agree(snapshot: Snapshot, metric: Metric, seed: int) -> None:
    """Require the same rows, distances and order of a search by the index and by reading."""
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-3, 4, (2, NDIMS)).astype(np.float32)
    some = snapshot.row_ids()[:: int(rng.integers(1, 4))]
    asked: dict[str, Any]
    for asked in (
        {},
        {"offset": 3, "k": 4},
        {"distance_range": (None, 6.0)},
        {"predicate": parse_predicate("id % 3 = 0", SCHEMA)},
        {"predicate": parse_predicate("id < 0", SCHEMA)},
        {"row_ids": some},
    ):
        given_by: Literal["auto", "never"]
        found = []
        for given_by in ("auto", "never"):
            query = VectorQuery(
                "vector",
                vectors,
                **{"k": 5, "metric": metric, "with_row_id": True, "index": given_by, **asked},
            )
            found.append(snapshot.search(query))
        assert found[0] == found[1], (asked, found)


@pytest.mark.parametrize("kind", ["local", "memory"])
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    deeds=st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(1, 9)), max_size=10),
    metric=st.sampled_from(["l2", "cosine", "dot"]),
    seed=st.integers(0, 2**31),
)
def test_an_index_and_reading_agree(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    deeds: list[tuple[str, int]],
    metric: Metric,
    seed: int,
) -> None:
    """After any changes, on every version that is kept, also once it is opened anew."""
    monkeypatch.setattr("embow.engines.contract._routes._LOOKS", 0)
    engine: Engine
    folder = str(tmp_path / f"db{next(_number)}")
    if kind == "local":
        engine = LocalEngine(folder, options(**SMALL))
    else:
        engine = MemoryEngine("memory://", options())
    world = World(engine, metric)
    for name, how in deeds:
        getattr(world, name)(how)
    if kind == "local":
        engine.close()
        engine = LocalEngine(folder, options(**SMALL))
        world.table = engine.open_table("t")
    for version in world.table.versions()[-4:]:
        with world.table.snapshot(version.version) as snapshot:
            agree(snapshot, metric, seed)
    assert world.table.check().ok
    engine.close()


@pytest.fixture
def table(tmp_path: Path) -> EngineTable:
    """Return a table of twelve rows with an index."""
    return World(LocalEngine(str(tmp_path / "db"), options(**SMALL)), "l2").table


def query(**how: Any) -> VectorQuery:
    """Return a search."""
    return VectorQuery("vector", np.zeros((1, NDIMS), np.float32), **{"k": 3, **how})


def test_a_small_table_is_read(table: EngineTable) -> None:
    """An index costs more than it saves."""
    with table.snapshot() as snapshot:
        route = snapshot.route(query())
    assert (route.index, route.why) == (None, "10 rows are read sooner")


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"metric": "dot"}, "the index is for l2"),
        ({"index": "never"}, "not asked for"),
        ({"distance_range": (1.0, None)}, "lower bound"),
        ({"predicate": parse_predicate("id < 2", SCHEMA)}, "the 2 rows that pass are read sooner"),
    ],
)
def test_a_route_says_why_it_takes_no_index(
    table: EngineTable, how: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In words for a plan."""
    monkeypatch.setattr("embow.engines.contract._routes._LOOKS", 0.02)
    with table.snapshot() as snapshot:
        route = snapshot.route(query(**how))
    assert route.index is None
    assert why in route.why


def test_only_covered_rows_are_found_where_that_is_asked(table: EngineTable) -> None:
    """The search says so, and then nothing is read."""
    with table.snapshot() as snapshot:
        staged = table.write([rows(12, 3)], base=snapshot.base)
        table.commit(Change(snapshot.base, add=[staged]))
    with table.snapshot() as snapshot:
        (found,) = snapshot.search(query(k=99, index="only", columns=["id"]))
        (every,) = snapshot.search(query(k=99, columns=["id"]))
        ids = snapshot.scan(ScanQuery(columns=["id"])).read_all()["id"].to_pylist()
    assert max(found["id"].to_pylist()) < 12
    assert sorted(every["id"].to_pylist()) == [n for n in ids if n % 5 != 4]
