"""Rows that are written and not committed yet: leases, tokens, and what is durable when."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from embow.engines._local import LocalEngine
from embow.engines.contract import ROW_ID, Base, Change, EngineTable, Staged
from embow.errors import CommitConflictError, StagedGoneError, StorageError
from steps import add, base, ids, matching, rows

SCHEMA = pa.schema({"id": pa.int64()})
Open = Callable[..., LocalEngine]
SIZES = {"small_rows": 3, "block_rows": 4}
OTHER = """
import sys
from datetime import timedelta
from embow.engines.contract import EngineOptions
from embow.engines._local import LocalEngine

engine = LocalEngine(sys.argv[1], EngineOptions())
engine.open_table("t").optimize(keep=timedelta(0), delete_unverified=sys.argv[2] == "all")
"""
STAGE = """
import pickle, sys
import pyarrow as pa
from embow.engines.contract import EngineOptions
from embow.engines._local import LocalEngine

engine = LocalEngine(sys.argv[1], EngineOptions({"small_rows": 3}))
table = engine.open_table("t")
data = pa.record_batch({"id": pa.array(range(100, 100 + int(sys.argv[2])))})
staged = table.write([data], base=table.snapshot().base)
sys.stdout.buffer.write(pickle.dumps(staged))
"""
RACE = """
import sys
import pyarrow as pa
from embow.engines.contract import Change, EngineOptions
from embow.engines._local import LocalEngine
from embow.errors import CommitConflictError

engine = LocalEngine(sys.argv[1], EngineOptions())
table = engine.open_table("t")
for number in range(20):
    base = table.snapshot().base
    staged = table.write([pa.record_batch({"id": pa.array([number])})], base=base)
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        table.commit(Change(base, add=[staged], alone=True))
        print("won", flush=True)
    except CommitConflictError:
        print("lost", flush=True)
    sys.stdin.readline()
"""


def batch(*numbers: int) -> pa.RecordBatch:
    """Return rows with these ids."""
    return pa.record_batch({"id": pa.array(numbers, pa.int64())})


def stage(table: EngineTable, count: int, **options: Any) -> Staged:
    """Write rows for the latest version."""
    return table.write([batch(*range(100, 100 + count))], base=base(table), **options)


def files(folder: Path) -> list[Path]:
    """Return the data files there are."""
    return sorted(folder.glob("db/data/*/*"))


def optimize_elsewhere(folder: Path, what: str = "") -> None:
    """Optimize in another process."""
    subprocess.run([sys.executable, "-c", OTHER, str(folder / "db"), what], check=True)


@pytest.fixture
def table(open_engine: Open) -> EngineTable:
    """Return a table of five rows."""
    return open_engine(**SIZES).create_table("t", SCHEMA, [batch(*range(5))])


@pytest.mark.parametrize("count", [2, 9])
def test_rows_staged_elsewhere_survive_an_optimize(
    table: EngineTable, tmp_path: Path, count: int
) -> None:
    """Another process wrote them and is gone, a third one sweeps, and this one commits."""
    arguments = [sys.executable, "-c", STAGE, str(tmp_path / "db"), str(count)]
    made = subprocess.run(arguments, capture_output=True, check=True)
    staged = pickle.loads(made.stdout)
    optimize_elsewhere(tmp_path)
    assert table.commit(Change(staged.base, add=[staged])).rows_added == count
    assert ids(table) == [*range(5), *range(100, 100 + count)]


def test_a_staged_column_survives_an_optimize(table: EngineTable, tmp_path: Path) -> None:
    """Its files are exchanged meanwhile, and values go by row id."""
    add(table, [batch(*range(5, 12))])
    now, known = base(table), matching(table, "id > 3")
    data = pa.record_batch({ROW_ID: known, "n": pa.array(range(len(known)))})
    staged = table.write_column(pa.field("n", pa.int64()), [data], base=now)
    optimize_elsewhere(tmp_path)
    table.commit(Change(now, add=[pickle.loads(pickle.dumps(staged))]))
    assert [row["n"] for row in rows(table)] == [None] * 4 + list(range(8))
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("count", [2, 9])
@pytest.mark.parametrize("way", ["expired", "cleared", "discarded"])
def test_rows_that_are_gone_are_not_committed(
    table: EngineTable, tmp_path: Path, way: str, count: int
) -> None:
    """The error says what to do, and nothing of them stays on the disk."""
    staged = stage(table, count, **({"lease": timedelta(0)} if way == "expired" else {}))
    if way == "discarded":
        table.discard(staged)
        table.discard(staged)
    else:
        optimize_elsewhere(tmp_path, "all" if way == "cleared" else "")
    with pytest.raises(StagedGoneError, match="Write them again"):
        table.commit(Change(staged.base, add=[staged]))
    assert (ids(table), len(files(tmp_path))) == (list(range(5)), 1)


def test_rows_partly_committed_before_are_refused(table: EngineTable) -> None:
    """A change is whole or not at all."""
    one, two = stage(table, 1), stage(table, 2)
    table.commit(Change(one.base, add=[one]))
    with pytest.raises(CommitConflictError, match="committed before"):
        table.commit(Change(one.base, add=[one, two]))
    assert len(ids(table)) == 6


def test_rows_of_another_type_are_refused_after_an_overwrite(table: EngineTable) -> None:
    """They would be read as null."""
    staged = stage(table, 2)
    table.overwrite(pa.schema({"id": pa.string()}), base=staged.base)
    with pytest.raises(CommitConflictError, match="write the rows again"):
        table.commit(Change(base(table), add=[staged]))


def test_damaged_rows_are_not_committed(table: EngineTable) -> None:
    """A payload that was changed on its way is told from a good one."""
    staged = stage(table, 2)
    bad = bytearray(staged.payload)
    bad[-9] ^= 1
    broken = Staged(staged.token, staged.base, 2, staged.until, bytes(bad))
    with pytest.raises(StorageError, match="damaged"):
        table.commit(Change(staged.base, add=[broken]))


def test_of_two_that_want_to_be_alone_one_wins(table: EngineTable, tmp_path: Path) -> None:
    """Two processes commit at the same instant, again and again; never do both get in."""
    arguments = [sys.executable, "-c", RACE, str(tmp_path / "db")]
    racers = [
        subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]

    def say() -> None:
        for each in racers:
            assert each.stdin is not None
            each.stdin.write("\n")
            each.stdin.flush()

    def hear() -> list[str]:
        return sorted(each.stdout.readline().strip() for each in racers if each.stdout)

    for _ in range(20):
        assert hear() == ["ready", "ready"]
        say()
        assert hear() == ["lost", "won"]
        say()
    for each in racers:
        each.communicate()
    assert [each.returncode for each in racers] == [0, 0]
    assert ids(table) == [*range(5), *range(20)]


def test_additions_of_others_pass_one_that_wants_to_be_alone(table: EngineTable) -> None:
    """Not if it was alone itself, and not where columns or metadata change."""
    now: Base = base(table)
    add(table, [batch(10)])
    staged = table.write([batch(11)], base=now)
    table.commit(Change(now, add=[staged], alone=True))
    with pytest.raises(CommitConflictError, match="changed by another writer"):
        table.commit(Change(now, add=[stage(table, 1)], alone=True))
    now = base(table)
    add(table, [batch(12)])
    with pytest.raises(CommitConflictError, match="changed by another writer"):
        table.commit(Change(now, metadata={"k": "v"}, alone=True))
