"""A graph finds nearly all of the nearest; whatever it says, distances and rows are the table's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

import embow
from embow.engines.indexes import Kept
from embow.errors import ConfigurationError
from embow.index import Hnsw
from embow_faiss import HnswLibrary
from embow_faiss.graph import Graph

NDIMS = 16
ROWS = 6000
Matrix = NDArray[np.float32]
VECTORS = pa.list_(pa.float32(), NDIMS)


def points(count: int, seed: int) -> Matrix:
    """Return vectors in clusters, as those of texts are."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(100, NDIMS))
    found = centres[rng.integers(0, 100, count)] + 0.5 * rng.normal(size=(count, NDIMS))
    return found.astype(np.float32)


def rows(first: int, vectors: Matrix) -> pa.Table:
    """Return rows numbered from one on."""
    column = pa.FixedSizeListArray.from_arrays(vectors.ravel(), NDIMS)
    return pa.table({"id": np.arange(first, first + len(vectors)), "vector": column})


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have tables that are small use their index, and few rows be worth a piece."""
    monkeypatch.setattr("embow.engines.contract._routes._LOOKS", 0)
    monkeypatch.setattr(HnswLibrary, "least", 500)


@pytest.fixture
def db(tmp_path: Path, quick: None) -> Iterator[embow.Database]:
    """Return an empty database."""
    database = embow.connect(tmp_path / "db")
    yield database
    database.close()


@pytest.fixture
def table(db: embow.Database) -> embow.Table:
    """Return a table of six thousand points."""
    return db.create_table("t", rows(0, points(ROWS, 1)))


def both(table: embow.Table, query: Matrix, **how: str) -> tuple[pa.Table, pa.Table]:
    """Return what the index finds, and what reading does."""

    def asked() -> embow.VectorSearch:
        search = table.search(query).with_row_id().limit(10)
        search = search.metric(how["metric"]) if "metric" in how else search  # type: ignore[arg-type]
        return search.where(how["where"]) if "where" in how else search

    return asked().to_arrow(), asked().bypass_vector_index().to_arrow()


def recall(table: embow.Table, **how: str) -> float:
    """Return the share of the ten nearest that the index finds; what it finds must be right."""
    found = wanted = 0
    for query in points(40, 2):
        by_index, exact = both(table, query, **how)
        known = dict(zip(exact["_rowid"].to_pylist(), exact["_distance"].to_pylist(), strict=True))
        ids = by_index["_rowid"].to_pylist()
        distances = by_index["_distance"].to_pylist()
        assert len(ids) == len(known)
        assert distances == sorted(distances)
        assert all(
            known.get(row_id, distance) == distance
            for row_id, distance in zip(ids, distances, strict=True)
        )
        found, wanted = found + len(known.keys() & ids), wanted + len(known)
    return found / wanted if wanted else 1


@pytest.mark.parametrize("storage", ["float16", "float32"])
@pytest.mark.parametrize("metric", ["l2", "cosine", "dot"])
def test_it_finds_what_reading_finds(table: embow.Table, metric: str, storage: str) -> None:
    """Nearly all of the nearest, with the same distances to the last bit."""
    table.create_index("vector", Hnsw(metric=metric, storage=storage))  # type: ignore[arg-type]
    assert "hnsw" in table.search(points(1, 2)[0]).metric(metric).explain_plan()  # type: ignore[arg-type]
    assert recall(table, metric=metric) > 0.97


@pytest.mark.parametrize("where", ["id % 2 = 0", "id < 300", "id = 77", "id < 0"])
def test_a_filter_goes_before_the_graph(table: embow.Table, where: str) -> None:
    """However few rows pass, as many come back as there are."""
    table.create_index("vector", Hnsw())
    assert recall(table, where=where) > 0.95


def test_what_comes_and_goes_is_seen_at_once(table: embow.Table) -> None:
    """New rows are read, deleted and changed ones are out, before and after optimize."""
    table.create_index("vector", Hnsw())
    query = points(1, 2)[0]
    nearest = both(table, query)[1]["id"].to_pylist()
    table.add(rows(ROWS, query[None]))
    assert both(table, query)[0]["id"].to_pylist() == [ROWS, *nearest[:9]]
    table.delete(f"id IN ({ROWS}, {nearest[0]})")
    table.update(f"id = {nearest[1]}", {"vector": (query + 9).tolist()})
    assert both(table, query)[0].equals(both(table, query)[1])
    table.add(rows(7000, points(1500, 3)))
    table.optimize()
    assert table.index_stats("vector_idx").num_unindexed_rows == 0
    assert recall(table) > 0.97
    table.checkout(1)
    assert both(table, query)[0]["id"].to_pylist() == nearest


def test_only_what_is_covered_when_told_so(table: embow.Table) -> None:
    """``fast_search`` leaves out rows that came in since."""
    table.create_index("vector", Hnsw())
    query = points(1, 2)[0]
    table.add(rows(ROWS, query[None]))
    assert table.search(query).fast_search().limit(1).to_list()[0]["id"] != ROWS
    assert "1 newer left out" in table.search(query).fast_search().explain_plan()


def test_more_effort_finds_more(db: embow.Database) -> None:
    """A graph of few links needs it."""
    table = db.create_table("poor", rows(0, points(ROWS, 1)))
    table.create_index("vector", Hnsw(m=4, ef_construction=8))
    queries = points(60, 4)

    def share(ef: int) -> int:
        return sum(
            len(
                {row["id"] for row in table.search(query).ef(ef).to_list()}
                & {row["id"] for row in table.search(query).bypass_vector_index().to_list()}
            )
            for query in queries
        )

    assert share(200) > share(10)


def test_vectors_that_are_no_numbers_or_missing(db: embow.Database) -> None:
    """They are found neither way, and do not lead away from others."""
    vectors = points(2000, 1)
    vectors[5] = 0
    table = db.create_table("odd", rows(0, vectors))
    table.add([{"id": -1, "vector": None}])
    table.create_index("vector", Hnsw(metric="cosine"))
    assert recall(table, metric="cosine") > 0.97


def test_large_and_small_numbers_keep_their_order(db: embow.Database) -> None:
    """Sixteen bits would hold neither; they are scaled."""
    for name, scale in (("large", 1e7), ("small", 1e-7)):
        table = db.create_table(name, rows(0, (points(3000, 1) * scale).astype(np.float32)))
        table.create_index("vector", Hnsw())
        query = (points(1, 2)[0] * scale).astype(np.float32)
        by_index, exact = both(table, query)
        assert by_index["id"].to_pylist() == exact["id"].to_pylist()


def test_what_is_no_vector_is_refused(db: embow.Database) -> None:
    """The sentence says what the column is."""
    table = db.create_table("t", [{"id": 1, "bits": [1, 2]}])
    with pytest.raises(ConfigurationError, match="the column is int64"):
        table.create_index("id", Hnsw())
    for wrong in ({"m": 1}, {"metric": "hamming"}, {"storage": "int4"}, {"ef_construction": 0}):
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            Hnsw(**wrong)  # type: ignore[arg-type]


# -- the bytes -----------------------------------------------------------------------------------


class _Sink(bytearray):
    def write(self, data: bytes | memoryview, /) -> int:
        self.extend(data)
        return len(data)


def built(library: HnswLibrary, vectors: Matrix, onto: list[Kept[Graph]]) -> Graph:
    """Return a graph of vectors, behind others."""
    array = pa.FixedSizeListArray.from_arrays(vectors.ravel(), NDIMS)
    return library.build([array], onto, lambda rows: None)


@pytest.fixture
def library() -> HnswLibrary:
    """Return the library of a small graph."""
    return HnswLibrary(Hnsw(m=8, ef_construction=40).settings(), VECTORS)


def test_a_graph_is_written_and_read(library: HnswLibrary) -> None:
    """It answers alike, can grow, and what it was read from stays as it was."""
    graph = built(library, points(900, 1), [])
    sink = _Sink()
    library.write(graph, sink)
    kept = bytes(sink)
    again = library.read(memoryview(kept), 900)
    queries = points(20, 2)
    found = [library.nearest(each, queries, 5, effort=50, passing=None) for each in (graph, again)]
    assert np.array_equal(*found)
    larger = built(library, points(100, 5), [Kept(again)])
    assert (larger.rows, again.rows, kept) == (1000, 900, bytes(sink))
    smaller = built(library, points(0, 5), [Kept(larger, np.arange(0, 1000, 2))])
    assert smaller.rows == 500


@pytest.mark.parametrize("seed", range(30))
def test_hostile_bytes_are_refused(library: HnswLibrary, seed: int) -> None:
    """Or harmless: whoever made the file made its checksum, and no search leaves the graph."""
    sink = _Sink()
    library.write(built(library, points(300, 1), []), sink)
    rng = np.random.default_rng(seed)
    for _ in range(20):
        data = bytearray(sink)
        if rng.random() < 0.2:
            data = data[: rng.integers(0, len(data))]
        for at in rng.integers(0, len(data) or 1, 3).tolist():
            if at < len(data):
                data[at] = rng.integers(0, 256)
        try:
            graph = library.read(memoryview(bytes(data)), 300)
        except ValueError:
            continue
        places = library.nearest(graph, points(3, 2), 5, effort=20, passing=None)
        assert places.max() < 300


# -- beside others, and cut off ------------------------------------------------------------------

POINTS = (
    "file.created",
    "file.half",
    "file.written",
    "file.synced",
    "transaction.begun",
    "transaction.changed",
    "transaction.committed",
    "files.unlinked",
)
CHILD = """
import os, signal, sys
import embow
from embow.engines._local import faults
from embow.index import Hnsw
from embow_faiss import HnswLibrary

HnswLibrary.least = 100
folder, doing, point, skip = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
table = embow.connect(folder).open_table("t")
met = 0

def reach(name):
    global met
    if name == point:
        met += 1
        if met > skip:
            os.kill(os.getpid(), signal.SIGKILL)

faults.set_hook(reach)
if doing == "build":
    table.create_index("vector", Hnsw(m=4, ef_construction=8), replace=True)
else:
    table.optimize()
"""


@pytest.mark.parametrize("doing", ["build", "extend"])
def test_killed_at_any_point_nothing_is_harmed(
    tmp_path: Path, doing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers stay right, and the next optimize builds what is missing and leaves no file."""
    monkeypatch.setattr("embow.engines.contract._routes._LOOKS", 0)
    monkeypatch.setattr(HnswLibrary, "least", 100)
    query = points(1, 2)[0]
    for point in POINTS:
        for skip in (0, 2) if point.startswith("transaction") else (0,):
            folder = tmp_path / f"{point} {skip}"
            db = embow.connect(folder)
            table = db.create_table("t", rows(0, points(300, 1)))
            table.create_index("vector", Hnsw(m=4, ef_construction=8))
            table.add(rows(300, points(150, 3)))
            db.close()
            given = [sys.executable, "-c", CHILD, str(folder), doing, point, str(skip)]
            done = subprocess.run(given, check=False, env={**os.environ})
            assert done.returncode in (0, -signal.SIGKILL)
            db = embow.connect(folder)
            table = db.open_table("t")
            assert len(both(table, query)[0]) == 10
            assert table.check().ok
            table.optimize(timedelta(0))
            stats = table.list_indices()
            assert [each.num_unindexed_rows for each in stats] in ([0], [])
            by_index, exact = both(table, query)
            assert len(set(by_index["id"].to_pylist()) & set(exact["id"].to_pylist())) >= 7
            named = sum(each.num_pieces for each in stats)
            assert len(list(folder.glob("data/*/*.index"))) == named
            db.close()


def test_two_writers_and_an_optimizer(table: embow.Table) -> None:
    """What each search finds has the distances of reading, and nothing is lost at the end."""
    table.create_index("vector", Hnsw(m=16, ef_construction=40))
    failed: list[BaseException] = []

    def run(work: object) -> threading.Thread:
        def guarded() -> None:
            try:
                work()  # type: ignore[operator]
            except BaseException as exc:
                failed.append(exc)

        thread = threading.Thread(target=guarded)
        thread.start()
        return thread

    def write(first: int) -> None:
        for start in range(first, first + 2000, 400):
            table.add(rows(start, points(400, start)))
            table.delete(f"id >= {start} AND id < {start + 40}")

    def optimize() -> None:
        for _ in range(4):
            table.optimize()

    works = [lambda: write(10_000), lambda: write(20_000), optimize]
    threads = [run(each) for each in works]
    for query in points(30, 2):
        found = table.search(query).to_arrow()["_distance"].to_pylist()
        assert found == sorted(found)
    for thread in threads:
        thread.join()
    assert failed == []
    table.optimize()
    assert table.count_rows() == 9600
    assert table.index_stats("vector_idx").num_unindexed_rows < HnswLibrary.least
    assert recall(table) > 0.8


def test_a_database_is_read_without_the_library(
    table: embow.Table, db: embow.Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exactly; it is said once, and the plan says it too."""
    table.create_index("vector", Hnsw())
    expected = both(table, points(1, 2)[0])[1]
    db.close()
    monkeypatch.setitem(sys.modules, "faiss", None)
    again = embow.connect(tmp_path / "db").open_table("t")
    with pytest.warns(UserWarning, match="faiss-cpu"):
        found = both(again, points(1, 2)[0])
    assert [each.equals(expected) for each in found] == [True, True]
    assert "faiss-cpu" in again.search(points(1, 2)[0]).explain_plan()
    again.optimize()
    assert again.index_stats("vector_idx").trouble
