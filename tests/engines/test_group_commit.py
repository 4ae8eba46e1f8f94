"""Threads that write at once share a transaction; each is told of its own rows, and not before."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from embow.engines._local import LocalEngine, faults
from embow.engines._local.table import LocalTable
from embow.engines._local.together import Job, Queue
from embow.engines.contract import Base, Change, Commit, EngineOptions, Staged
from embow.errors import CommitConflictError, ConfigurationError, EmbowError, StorageError
from steps import base, ids, rows

SCHEMA = pa.schema({"id": pa.int64()})
WRITERS = 6
Outcome = Commit | BaseException


@pytest.fixture
def table(engine: LocalEngine) -> LocalTable:
    """An empty table of ids."""
    made = engine.create_table("t", SCHEMA)
    assert isinstance(made, LocalTable)
    return made


@pytest.fixture
def met() -> Iterator[Counter[str]]:
    """Count the points of writes that are met."""
    counted: Counter[str] = Counter()
    faults.set_hook(lambda point: counted.update([point]))
    yield counted
    faults.set_hook(None)


def staged(table: LocalTable, at: Base, value: int) -> Staged:
    """Write one row that no commit names yet."""
    return table.write([pa.record_batch({"id": pa.array([value])}, SCHEMA)], base=at)


def all_at_once(table: LocalTable, changes: list[Change]) -> list[Outcome]:
    """Commit changes from a thread each, which all wait until the last one does."""
    outcomes: list[Outcome] = [Commit(-1)] * len(changes)

    def write(at: int) -> None:
        try:
            outcomes[at] = table.commit(changes[at])
        except BaseException as exc:
            outcomes[at] = exc

    threads = [threading.Thread(target=write, args=(at,)) for at in range(len(changes))]
    with table.catalog.write():
        for thread in threads:
            thread.start()
        while len(table.catalog.queue) < len(changes):
            time.sleep(0)  # Lets the others run.
    for thread in threads:
        thread.join()
    return outcomes


def stored(table: LocalTable) -> list[int]:
    """Return the ids that are there."""
    return sorted(row["id"] for row in rows(table))


def test_threads_that_wait_share_one_transaction(table: LocalTable, met: Counter[str]) -> None:
    """Six adds are six versions, and the disk is waited for once."""
    at = base(table)
    changes = [Change(at, add=[staged(table, at, value)]) for value in range(WRITERS)]
    met.clear()
    outcomes = all_at_once(table, changes)
    assert met["transaction.changed"] == 2  # That of the test, which they waited for, and theirs.
    assert met[faults.SHARED] == WRITERS
    versions = {each.version for each in outcomes if isinstance(each, Commit)}
    assert len(versions) == WRITERS
    assert stored(table) == list(range(WRITERS))
    for version in sorted(versions):
        assert len(rows(table, version)) == version - at.version


def test_a_change_that_fails_takes_no_other_with_it(table: LocalTable, met: Counter[str]) -> None:
    """One was planned on columns that are others by now: it alone is refused and leaves nothing."""
    old = base(table)
    stale = Change(old, add=[staged(table, old, 100)])
    table.commit(Change(old, metadata={"k": "v"}))
    now = base(table)
    changes = [Change(now, add=[staged(table, now, value)]) for value in range(3)]
    met.clear()
    outcomes = all_at_once(table, [changes[0], stale, *changes[1:]])
    assert met[faults.SHARED] == 4
    assert [type(each) for each in outcomes] == [Commit, CommitConflictError, Commit, Commit]
    assert stored(table) == [0, 1, 2]


def test_work_that_fails_is_undone_by_itself() -> None:
    """What it had written goes, what the others wrote stays, and the error is its own."""

    def work(value: int, error: EmbowError | None = None) -> Callable[[sqlite3.Connection], None]:
        def insert(db: sqlite3.Connection) -> None:
            db.execute("INSERT INTO t VALUES (?)", [value])
            if error is not None:
                raise error

        return insert

    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute("CREATE TABLE t (id INTEGER)")
    db.execute("BEGIN")
    error = CommitConflictError("another was faster")
    jobs = [Job(work(1)), Job(work(2, error)), Job(work(3))]
    for job in jobs:
        job.share(db)
    db.execute("COMMIT")
    assert db.execute("SELECT id FROM t ORDER BY id").fetchall() == [(1,), (3,)]
    assert [job.error for job in jobs] == [None, error, None]
    db.close()


@pytest.mark.parametrize(
    ("point", "time"), [(faults.SHARED, 1), ("transaction.begun", 2), ("transaction.changed", 2)]
)
@pytest.mark.parametrize("failure", [RuntimeError, OSError])
def test_a_leader_that_fails_fails_nobody_else(
    table: LocalTable, point: str, time: int, failure: type[Exception]
) -> None:
    """Where the shared transaction breaks, each is committed alone: nothing is lost or doubled."""
    at = base(table)
    changes = [Change(at, add=[staged(table, at, value)]) for value in range(WRITERS)]
    seen: Counter[str] = Counter()

    def hook(name: str) -> None:
        seen[name] += 1  # First by the transaction of the test, which the writers wait for.
        if name == point and seen[name] == time:
            raise failure("the shared transaction breaks")

    faults.set_hook(hook)
    try:
        outcomes = all_at_once(table, changes)
    finally:
        faults.set_hook(None)
    assert all(isinstance(each, Commit) for each in outcomes), outcomes
    assert len({each.version for each in outcomes if isinstance(each, Commit)}) == WRITERS
    assert stored(table) == list(range(WRITERS))


def test_what_fails_for_all_is_told_to_each(table: LocalTable) -> None:
    """On a disk that takes nothing every caller has an error of its own, and nothing is stored."""
    at = base(table)
    changes = [Change(at, add=[staged(table, at, value)]) for value in range(WRITERS)]
    writers = threading.Event()

    def hook(point: str) -> None:
        if point == "transaction.committed":
            writers.set()  # The transaction of the test, which they waited for.
        elif point == "transaction.changed" and writers.is_set():
            raise OSError(28, "No space left on device")

    faults.set_hook(hook)
    try:
        outcomes = all_at_once(table, changes)
    finally:
        faults.set_hook(None)
    assert all(isinstance(each, StorageError) for each in outcomes), outcomes
    assert len(set(map(id, outcomes))) == WRITERS
    assert stored(table) == []


def test_the_same_rows_committed_by_two_threads_are_in_once(table: LocalTable) -> None:
    """A token that comes twice in one transaction gives one commit to both."""
    at = base(table)
    change = Change(at, add=[staged(table, at, 7)])
    first, second = all_at_once(table, [change, change])
    assert first == second
    assert stored(table) == [7]


def test_rows_for_a_full_tail_and_for_files_share_a_transaction(
    open_engine: Callable[..., LocalEngine],
) -> None:
    """Some fill the tail, which moves to a file on the way, some lie in files: all are there."""
    made = open_engine(small_rows=3, tail_rows=2).create_table("t", SCHEMA)
    assert isinstance(made, LocalTable)
    at = base(made)
    batches = [list(range(10 * n, 10 * n + (9 if n % 3 == 0 else 2))) for n in range(WRITERS)]
    changes = [
        Change(at, add=[made.write([pa.record_batch({"id": pa.array(each)}, SCHEMA)], base=at)])
        for each in batches
    ]
    assert all(isinstance(each, Commit) for each in all_at_once(made, changes))
    assert stored(made) == sorted(value for each in batches for value in each)
    assert len(ids(made)) == len(set(ids(made)))


def test_a_job_that_is_withdrawn_is_not_done() -> None:
    """Whoever stops waiting takes the work away, unless it has been taken already."""
    queue, first, second = Queue(), Job(lambda db: None), Job(lambda db: None)
    queue.add(first)
    queue.add(second)
    queue.withdraw(first)
    assert queue.take(second) == [second]
    queue.withdraw(second)
    assert len(queue) == 0


CHILD = """
import os, signal, sys, threading, time
import pyarrow as pa
from embow.engines.contract import Change, EngineOptions
from embow.engines._local import LocalEngine, faults

folder, point, skip, durability = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
engine = LocalEngine(folder, EngineOptions(durability=durability))
table = engine.open_table("t")
with table.snapshot() as snapshot:
    base, schema = snapshot.base, snapshot.schema
lock = threading.Lock()

def write(value):
    batch = pa.record_batch({"id": pa.array([2 * value, 2 * value + 1])}, schema)
    table.commit(Change(base, add=[table.write([batch], base=base)]))
    with lock:
        print(value, flush=True)

def hook(name):
    global skip
    if name == point and armed.is_set():
        if skip == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        skip -= 1

armed = threading.Event()
faults.set_hook(hook)
threads = [threading.Thread(target=write, args=(value,)) for value in range(6)]
with table.catalog.write():
    for thread in threads:
        thread.start()
    while len(table.catalog.queue) < len(threads):
        time.sleep(0)
armed.set()
for thread in threads:
    thread.join()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes end otherwise there")
@pytest.mark.parametrize("durability", ["full", "os"])
@pytest.mark.parametrize(
    ("point", "skip"),
    [
        (faults.SHARED, 0),
        (faults.SHARED, 4),
        ("transaction.changed", 0),
        ("transaction.committed", 0),
        ("transaction.committed", 3),
        ("never", 0),
    ],
)
def test_a_process_killed_among_writers_keeps_what_it_acknowledged(
    tmp_path: Path, durability: str, point: str, skip: int
) -> None:
    """No acknowledged row is lost, no caller's rows are there in part, none before the commit."""
    engine = LocalEngine(str(tmp_path), EngineOptions())
    engine.create_table("t", SCHEMA)
    arguments = [sys.executable, "-c", CHILD, str(tmp_path), point, str(skip), durability]
    child = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr
    acknowledged = set(map(int, child.stdout.split()))
    found = [row["id"] for row in rows(engine.open_table("t"))]
    engine.close()
    there = {value // 2 for value in found}
    assert sorted(found) == sorted(2 * value + half for value in there for half in (0, 1))
    assert acknowledged <= there
    if point in (faults.SHARED, "transaction.changed"):
        assert not there
    if point == "never":
        assert acknowledged == set(range(6))


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("os", 1)])
def test_durability_says_what_a_commit_waits_for(
    tmp_path: Path, durability: str, synchronous: int
) -> None:
    """SQLite waits for the disk at each commit, or when it moves its log into the file."""
    engine = LocalEngine(str(tmp_path), EngineOptions(durability=durability))  # type: ignore[arg-type]
    table = engine.create_table("t", SCHEMA)
    assert isinstance(table, LocalTable)
    with table.catalog.write() as db:
        assert db.execute("PRAGMA synchronous").fetchone() == (synchronous,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    engine.close()


@pytest.mark.parametrize("durability", ["", "none", None, True])
def test_an_unknown_durability_is_refused(durability: object) -> None:
    """The error says what there is."""
    with pytest.raises(ConfigurationError, match=r"'full'.*'os'"):
        EngineOptions(durability=durability)  # type: ignore[arg-type]


def test_errors_of_work_are_raised_as_they_are() -> None:
    """A job's own error is its result."""
    job = Job(lambda db: None, error=StorageError("no"))
    with pytest.raises(EmbowError, match="no"):
        job.result()
