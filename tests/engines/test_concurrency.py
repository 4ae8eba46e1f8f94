"""Several processes, handles and threads on one database."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from embow.engines._local import LocalEngine
from embow.engines.contract import ROW_ID, Change, EngineOptions, ScanQuery
from steps import add, base, ids, matching, search

SCHEMA = pa.schema({"id": pa.int64(), "vector": pa.list_(pa.float32(), 2)})
WRITER = """
import sys
import pyarrow as pa
from embow.engines.contract import Change, EngineOptions
from embow.engines._local import LocalEngine

engine = LocalEngine(sys.argv[1], EngineOptions({"small_rows": 3, "tail_rows": 20}))
table = engine.open_table("t")
start = int(sys.argv[2])
base = table.snapshot().base
schema = table.snapshot().schema
for first in range(start, start + 300, 6):
    for low, high in ((0, 1), (1, 6)):
        rows = [{"id": n, "vector": [n, 1]} for n in range(first + low, first + high)]
        staged = table.write([pa.RecordBatch.from_pylist(rows, schema)], base=base)
        table.commit(Change(base, add=[staged]))
    if first % 60 == 0:
        table.optimize()
"""


def batch(*numbers: int) -> pa.RecordBatch:
    """Return rows with these ids."""
    return pa.RecordBatch.from_pylist([{"id": n, "vector": [n, 1]} for n in numbers], SCHEMA)


def test_two_processes_lose_no_row(engine: LocalEngine, tmp_path: Path) -> None:
    """Both append small and large batches and optimize; every row is there once, in its order."""
    table = engine.create_table("t", SCHEMA)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "db"), str(start)])
        for start in (0, 1000)
    ]
    seen = 0
    while any(writer.poll() is None for writer in writers):
        count = table.snapshot().count_rows()
        assert count >= seen
        seen = count
    found = ids(table)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [n for n in found if n < 1000] == list(range(300))
    assert [n for n in found if n >= 1000] == list(range(1000, 1300))


def test_threads_share_a_table(engine: LocalEngine) -> None:
    """Searches and appends from several threads keep every row and answer rightly."""
    table = engine.create_table("t", SCHEMA, [batch(0)])
    failures: list[BaseException] = []

    def work(start: int) -> None:
        try:
            for number in range(start, start + 20):
                add(table, [batch(number)])
                found = search(table, "vector", np.array([[number, 1]], np.float32), 1)[0]
                assert found["id"].to_pylist() == [number]
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(start,)) for start in (100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failures, len(ids(table))) == ([], 61)


def test_optimize_leaves_a_file_that_is_being_written(
    open_engine: Callable[..., LocalEngine],
) -> None:
    """Another writer's unfinished file is not taken for a dead one's."""
    one, two = open_engine(small_rows=1, block_rows=1), open_engine()
    table = one.create_table("t", SCHEMA, [batch(0)])

    def slow() -> Iterator[pa.RecordBatch]:
        yield batch(1, 2, 3)
        two.open_table("t").optimize()
        yield batch(4)

    add(table, slow())
    assert ids(two.open_table("t")) == [0, 1, 2, 3, 4]


def test_a_column_added_while_rows_move_is_complete(
    open_engine: Callable[..., LocalEngine],
) -> None:
    """Values are written for the files there are at the commit, and null for rows added since."""
    one, two = open_engine(small_rows=1), open_engine()
    table = one.create_table("t", SCHEMA, [batch(0, 1)])
    add(table, [batch(2, 3)])
    now = base(table)

    def values() -> Iterator[pa.RecordBatch]:
        other = two.open_table("t")
        known = pa.array(matching(other, "true"))
        other.optimize()
        add(other, [batch(4)])
        yield pa.record_batch({ROW_ID: known, "n": pa.array([10, 11, 12, 13])})

    staged = table.write_column(pa.field("n", pa.int64()), values(), base=now)
    table.commit(Change(now, add=[staged]))
    found = table.snapshot().scan(ScanQuery(columns=["n"])).read_all()["n"].to_pylist()
    assert found == [10, 11, 12, 13, None]


def test_blas_threads_are_restored(engine: LocalEngine) -> None:
    """A search leaves the process's setting as it was."""
    from threadpoolctl import ThreadpoolController

    table = engine.create_table("t", SCHEMA, [batch(1)])
    controller = ThreadpoolController().select(user_api="blas")
    with controller.limit(limits=2):
        before = [library.num_threads for library in controller.lib_controllers]
        search(table, "vector", np.ones((1, 2), np.float32), 1)
        after = [library.num_threads for library in controller.lib_controllers]
    assert before == after


def test_opening_twice_at_once_makes_one_catalog(tmp_path: Path) -> None:
    """Two processes that start on an empty folder both work."""
    code = (
        "import sys; from embow.engines._local import LocalEngine; "
        "from embow.engines.contract import EngineOptions; import pyarrow as pa; "
        "LocalEngine(sys.argv[1], EngineOptions()).create_table("
        "sys.argv[2], pa.schema({'a': pa.int8()}))"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in "ab"]
    assert [run.wait() for run in runs] == [0, 0]
    engine = LocalEngine(str(tmp_path), EngineOptions())
    names = engine.table_names()
    engine.close()
    assert names == ["a", "b"]
