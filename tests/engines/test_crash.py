"""Killed at any step of a write, a table opens with every acknowledged row and no other."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from embow.engines.base import EngineOptions, ScanQuery
from embow.engines.local import LocalEngine
from embow.engines.local.faults import POINTS

CHILD = """
import os, signal, sys
import pyarrow as pa
from embow.engines.base import ROW_ID, EngineOptions, ScanQuery
from embow.engines.local import LocalEngine, faults
from embow.engines.predicate import parse_predicate

folder, operation, point, skip = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
sizes = {"block_rows": 4, "small_rows": 3}
if operation != "optimize":  # Which is to find that it can merge files.
    sizes["fragment_bytes"] = 1
engine = LocalEngine(folder, EngineOptions(sizes))
table = engine.open_table("t")

def rows(count):
    return [pa.RecordBatch.from_pylist([{"id": 1000 + n} for n in range(count)], table.schema())]

def add_column():
    found = table.scan(ScanQuery(with_row_id=True)).read_all()
    values = found.rename_columns(["n", ROW_ID]).combine_chunks().to_batches()
    table.add_column(pa.field("n", pa.int64()), values)

operations = {
    "small append": lambda: table.append(rows(2)),
    "large append": lambda: table.append(rows(9)),
    "delete": lambda: table.delete(parse_predicate("id < 3", table.schema())),
    "replace": lambda: table.replace([0, 1], rows(9)),
    "overwrite": lambda: table.overwrite(table.schema(), rows(9)),
    "create": lambda: engine.create_table("u", table.schema(), rows(9), overwrite=False),
    "drop": lambda: engine.drop_table("t"),
    "add column": add_column,
    "optimize": table.optimize,
}

def hook(name):
    global skip
    if name == point:
        if skip == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        skip -= 1

faults.set_hook(hook)
operations[operation]()
print("acknowledged", flush=True)
"""

BEFORE = [*range(9), 9, 10]
NEW = [*range(1000, 1009)]
AFTER = {
    "small append": [*BEFORE, 1000, 1001],
    "large append": BEFORE + NEW,
    "delete": BEFORE[3:],
    "replace": BEFORE[2:] + NEW,
    "overwrite": NEW,
    "create": BEFORE,
    "drop": None,
    "add column": BEFORE,
    "optimize": BEFORE,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a database with nine rows in files and two in the tail."""
    engine = LocalEngine(str(tmp_path), EngineOptions({"small_rows": 3}))
    schema = pa.schema({"id": pa.int64()})
    first = pa.record_batch({"id": pa.array(range(9))}, schema)
    table = engine.create_table("t", schema, [first], overwrite=False)
    table.append([pa.record_batch({"id": pa.array([9, 10])}, schema)])
    engine.close()
    return tmp_path


def run(folder: Path, operation: str, point: str, skip: int) -> subprocess.CompletedProcess[str]:
    """Do an operation in a process that is killed when it meets a point once more than ``skip``."""
    arguments = [sys.executable, "-c", CHILD, str(folder), operation, point, str(skip)]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


def contents(folder: Path) -> list[int] | None:
    """Return the ids in the table, in order; ``None`` when there is no table."""
    engine = LocalEngine(str(folder), EngineOptions())
    try:
        if "t" not in engine.table_names():
            return None
        found: list[int] = (
            engine.open_table("t").scan(ScanQuery(columns=["id"])).read_all()["id"].to_pylist()
        )
        return found
    finally:
        engine.close()


WITHOUT_FILES = ("small append", "delete", "drop")
SEVERAL_COMMITS = ("add column", "optimize")
CASES = [
    (operation, point, skip)
    for operation in AFTER
    for point in POINTS
    for skip in (0, 1)
    if not (operation in WITHOUT_FILES and (skip or point.startswith("file.")))
    if not (skip and point.startswith("transaction.") and operation not in SEVERAL_COMMITS)
    if not (
        point == "files.unlinked" and (skip or operation not in ("overwrite", "optimize", "drop"))
    )
]


@pytest.mark.parametrize(("operation", "point", "skip"), CASES)
def test_a_killed_write_is_whole_or_absent(
    folder: Path, operation: str, point: str, skip: int
) -> None:
    """Before the commit nothing of it is there; after, all of it; never a part."""
    result = run(folder, operation, point, skip)
    assert result.returncode == -signal.SIGKILL, result.stderr
    committed = point in ("transaction.committed", "files.unlinked")
    if skip or operation in SEVERAL_COMMITS:
        assert contents(folder) in (BEFORE, AFTER[operation])
    else:
        assert contents(folder) == (AFTER[operation] if committed else BEFORE)


def test_optimize_removes_what_a_killed_write_left(folder: Path) -> None:
    """Files that no commit named go; the table's own stay."""
    run(folder, "large append", "file.synced", 0)
    engine = LocalEngine(str(folder), EngineOptions())
    removed = engine.open_table("t").optimize()["files_removed"]
    engine.close()
    assert (removed, contents(folder)) == (1, BEFORE)
