"""A process forks while its threads write: the child finds no lock held and no file shared."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from embow._processes import cached_property
from embow.engines._local import LocalEngine
from steps import add, ids

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are spawned there")
CHILDREN = 12
FORKING = """
import os, signal, sys, threading
import numpy as np
import pyarrow as pa
from embow._processes import cached_property
from embow.engines._local import LocalEngine
from embow.engines._memory import MemoryEngine
from embow.engines.contract import Change, EngineOptions, ScanQuery, VectorQuery

engine = MemoryEngine("memory://", EngineOptions()) if sys.argv[1] == "memory://" else (
    LocalEngine(sys.argv[1], EngineOptions({"small_rows": 3})))
vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(40, np.float32)), 4)
rows = pa.record_batch({"id": pa.array(range(10)), "vector": vectors})
table = engine.create_table("t", rows.schema, [rows])

def add(count):
    def plan(snapshot):
        return Change(snapshot.base, [table.write([rows.slice(0, count)], base=snapshot.base)])
    table.transact(plan)

def read():
    with table.snapshot() as snapshot:
        query = VectorQuery("vector", np.ones((1, 4), np.float32), 3)
        assert snapshot.search(query)[0].num_rows == 3
        return snapshot.scan(ScanQuery()).read_all().num_rows

stop = threading.Event()
written = [0, 0]
def work(at):
    while not stop.is_set():
        add(2 + 4 * at)
        read()
        written[at] += 2 + 4 * at
threads = [threading.Thread(target=work, args=(at,)) for at in range(2)]
for thread in threads:
    thread.start()
states = []
for child in range(int(sys.argv[2])):
    pid = os.fork()
    if not pid:
        signal.alarm(10)
        before = read()
        add(1)
        os._exit(0 if read() >= before + 1 else 3)
    states.append(os.waitpid(pid, 0)[1])
stop.set()
for thread in threads:
    thread.join()
print(states, read() - 10 - sum(written))
engine.close()
"""


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_children_of_a_writing_process_read_and_write(tmp_path: Path, kind: str) -> None:
    """None of them hangs, and in a folder every row that was written is there."""
    uri = "memory://" if kind == "memory" else str(tmp_path / "db")
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING, uri, str(CHILDREN)],
        capture_output=True,
        text=True,
        check=False,
    )
    extra = 0 if kind == "memory" else CHILDREN
    assert done.stdout == f"{[0] * CHILDREN} {extra}\n", done.stderr
    if kind == "local":
        catalog = sqlite3.connect(tmp_path / "db" / "catalog.sqlite")
        assert catalog.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        catalog.close()


def in_child(work: Callable[[], object]) -> int:
    """Return the status of a forked child that did some work within ten seconds."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            signal.alarm(10)
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_connection_is_open_in_both(open_engine: Callable[..., LocalEngine]) -> None:
    """The child opens its own, and closing them leaves the parent's log alone."""
    engine = open_engine()
    table = engine.create_table("t", pa.schema({"id": pa.int64()}))
    rows = pa.record_batch({"id": pa.array([1], pa.int64())})
    held = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    catalog = str(engine.folder / "catalog.sqlite")
    assert catalog in held

    def look() -> None:
        for each in os.listdir("/proc/self/fd"):
            path = Path(f"/proc/self/fd/{each}")
            assert not (path.is_symlink() and str(path.readlink()).startswith(catalog))
        add(table, [rows])
        engine.close()

    assert in_child(look) == 0
    add(table, [rows])
    assert ids(table) == [1, 1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_during_a_long_write_shares_nothing(
    open_engine: Callable[..., LocalEngine], tmp_path: Path
) -> None:
    """It waits as long as one waits for another writer; then the child leaves the file alone."""
    engine = open_engine(busy_seconds=1)
    table = engine.create_table("t", pa.schema({"id": pa.int64()}))
    begun, end = threading.Event(), threading.Event()

    def hold() -> None:
        with table.catalog.write():
            begun.set()
            end.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait()
    assert in_child(lambda: ids(table)) == 0
    end.set()
    thread.join()
    assert ids(table) == []


class Slow:
    """Makes a value, perhaps when told to."""

    def __init__(self, begun: threading.Event | None = None, end: threading.Event | None = None):
        self.begun, self.end = begun, end

    @cached_property
    def value(self) -> object:
        """Return something, the same each time."""
        if self.begun and self.end:
            self.begun.set()
            self.end.wait()
        return object()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_child_waits_for_a_value_that_a_thread_was_making() -> None:
    """It makes its own; in the parent all see the one that is kept."""
    begun, end = threading.Event(), threading.Event()
    slow = Slow(begun, end)
    thread = threading.Thread(target=lambda: slow.value)
    thread.start()
    begun.wait()
    assert in_child(lambda: Slow().value) == 0
    end.set()
    thread.join()
    assert slow.value is slow.value


def test_the_core_caches_values_without_a_lock() -> None:
    """The standard one has a lock in Python 3.11, which a child may find held."""
    root = Path(cached_property.__init__.__code__.co_filename).parent
    uses = [
        path
        for path in root.rglob("*.py")
        if re.search(r"from functools import .*cached_property", path.read_text(encoding="utf-8"))
    ]
    assert uses == []
