"""Killed at any step of a write, a table opens with every acknowledged row and no other."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from embow.engines._local import LocalEngine
from embow.engines._local.faults import POINTS
from embow.engines.contract import EngineOptions
from steps import add, remove, rows

CHILD = """
import os, signal, sys
from datetime import timedelta
import pyarrow as pa
from embow.engines.contract import ROW_ID, Change, EngineOptions, ScanQuery
from embow.engines._local import LocalEngine, faults

folder, operation, point, skip = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
sizes = {"block_rows": 4, "small_rows": 3}
if operation != "optimize":  # Which is to find that it can merge files.
    sizes["fragment_bytes"] = 1
engine = LocalEngine(folder, EngineOptions(sizes))
table = engine.open_table("t")
snapshot = table.snapshot()
base, schema, known = snapshot.base, snapshot.schema, snapshot.row_ids()

def rows(count):
    return [pa.RecordBatch.from_pylist([{"id": 1000 + n} for n in range(count)], schema)]

def commit(count=0, **change):
    staged = [table.write(rows(count), base=base)]
    table.commit(Change(base, add=staged, **change))

def add_column():
    found = snapshot.scan(ScanQuery(with_row_id=True)).read_all()
    values = found.rename_columns(["n", ROW_ID]).combine_chunks().to_batches()
    staged = table.write_column(pa.field("n", pa.int64()), values, base=base)
    more = table.write(rows(9), base=base)
    table.commit(Change(base, add=[staged, more], metadata={"k": "v"}))

operations = {
    "small append": lambda: commit(2),
    "large append": lambda: commit(9),
    "delete": lambda: commit(remove=known[:3]),
    "replace": lambda: commit(9, remove=known[:2]),
    "with metadata": lambda: commit(9, metadata={"k": "v"}),
    "overwrite": lambda: table.overwrite(
        schema, [table.write(rows(9), base=base, schema=schema)], base=base, metadata={"k": "v"}
    ),
    "restore": lambda: table.restore(1),
    "create": lambda: engine.create_table("u", schema, rows(9)),
    "drop": lambda: engine.drop_table("t"),
    "add column": add_column,
    "optimize": lambda: table.optimize(keep=timedelta(0)),
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

State = tuple[list[int], list[str], dict[str, str]] | None
"""Ids of the rows, names of the columns, metadata; ``None`` where there is no table."""

OLD = [*range(9), 9, 10]
NEW = [*range(1000, 1009)]
BEFORE: State = (OLD, ["id"], {})
AFTER: dict[str, State] = {
    "small append": ([*OLD, 1000, 1001], ["id"], {}),
    "large append": (OLD + NEW, ["id"], {}),
    "delete": (OLD[3:], ["id"], {}),
    "replace": (OLD[2:] + NEW, ["id"], {}),
    "with metadata": (OLD + NEW, ["id"], {"k": "v"}),
    "overwrite": (NEW, ["id"], {"k": "v"}),
    "restore": ([*range(9), 11], ["id"], {}),
    "create": BEFORE,
    "drop": None,
    "add column": (OLD + NEW, ["id", "n"], {"k": "v"}),
    "optimize": BEFORE,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a database with nine rows in files and two in the tail; one more was removed."""
    engine = LocalEngine(str(tmp_path), EngineOptions({"small_rows": 3}))
    schema = pa.schema({"id": pa.int64()})
    first = pa.record_batch({"id": pa.array([*range(9), 11])}, schema)
    table = engine.create_table("t", schema, [first])
    remove(table, "id = 11")
    add(table, [pa.record_batch({"id": pa.array([9, 10])}, schema)])
    engine.close()
    return tmp_path


def run(folder: Path, operation: str, point: str, skip: int) -> subprocess.CompletedProcess[str]:
    """Do an operation in a process that is killed when it meets a point once more than ``skip``."""
    arguments = [sys.executable, "-c", CHILD, str(folder), operation, point, str(skip)]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


def contents(folder: Path) -> State:
    """Return what a fresh reader finds; every version that there is can be read."""
    engine = LocalEngine(str(folder), EngineOptions())
    try:
        if "t" not in engine.table_names():
            return None
        table = engine.open_table("t")
        assert all(len(rows(table, each.version)) == each.rows for each in table.versions())
        with table.snapshot() as snapshot:
            found = [row["id"] for row in rows(table)]
            return found, snapshot.schema.names, dict(snapshot.metadata)
    finally:
        engine.close()


WITHOUT_FILES = ("small append", "delete", "drop", "restore")
ONE_COMMIT = (*WITHOUT_FILES, "create")
"""The others first lease their files, in a transaction of its own."""
STAGED_ALIKE = ("replace", "with metadata", "overwrite")
"""They write their files as a large append does; what follows differs."""
CASES = [
    (operation, point, skip)
    for operation in AFTER
    for point in POINTS
    for skip in (0, 1)
    if not (operation in STAGED_ALIKE and point.startswith("file.") and point != "file.synced")
    if not (operation in WITHOUT_FILES and (skip or point.startswith("file.")))
    if not (skip and point.startswith("transaction.") and operation in ONE_COMMIT)
    if not (
        point == "files.unlinked" and (skip or operation not in ("add column", "optimize", "drop"))
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
    if skip or operation not in ONE_COMMIT:
        assert contents(folder) in (BEFORE, AFTER[operation])
    else:
        assert contents(folder) == (AFTER[operation] if committed else BEFORE)


def test_optimize_removes_what_a_killed_write_left(folder: Path) -> None:
    """Files that no commit named go; the table's own stay."""
    run(folder, "large append", "file.synced", 0)
    engine = LocalEngine(str(folder), EngineOptions())
    engine.open_table("t").optimize()
    engine.close()
    assert (len(list(folder.glob("data/*/*"))), contents(folder)) == (1, BEFORE)
