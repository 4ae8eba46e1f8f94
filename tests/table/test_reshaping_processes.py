"""Columns and keys changed by several processes at once, and by ones that are killed on the way."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

import embow
from embow.engines._local.faults import POINTS

CHILD = """
import os, signal, sys
import pyarrow as pa
import embow
from embow.engines._local import faults
from embow.errors import CommitConflictError, DuplicateKeyError, SchemaError

table = embow.connect(sys.argv[1], storage_options={"small_rows": 3}).open_table("t")
me, point, skip = int(sys.argv[2]), sys.argv[3], int(sys.argv[4])

def hook(name):
    global skip
    if name == point:
        if skip == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        skip -= 1

faults.set_hook(hook)
"""

CALLS = {
    "add": 'table.add_columns({"m": "n * 2", "k": lambda rows: rows["n"]})',
    "alter": (
        'table.alter_columns({"path": "n", "rename": "N", "data_type": pa.string()}, '
        '{"path": "id", "rename": "ID"})'
    ),
    "drop": 'table.drop_columns(["n"])',
    "upsert": 'table.upsert([{"id": i, "n": -i} for i in range(5, 15)])',
}
OLD = [{"id": i, "n": i * 10} for i in range(10)]
AFTER = {
    "add": [{**row, "m": row["n"] * 2, "k": row["n"]} for row in OLD],
    "alter": [{"ID": row["id"], "N": str(row["n"])} for row in OLD],
    "drop": [{"id": row["id"]} for row in OLD],
    "upsert": [*OLD[:5], *({"id": i, "n": -i} for i in range(5, 15))],
}
COLUMNS_WRITTEN = ("add", "alter", "upsert")
CASES = [
    (call, point, skip)
    for call in CALLS
    for point in POINTS
    for skip in (0, 1)
    if call in COLUMNS_WRITTEN or (point.startswith("transaction") and not skip)
]


@pytest.fixture
def table(tmp_path: Path) -> embow.Table:
    """Ten rows with a key, in files."""
    db = embow.connect(tmp_path / "db", storage_options={"small_rows": 3})
    return db.create_table("t", OLD, primary_key="id")


def child(
    tmp_path: Path, code: str, me: int = 0, point: str = "", skip: int = 0
) -> subprocess.Popen[str]:
    """Start a process that is killed when it meets a point once more than ``skip``."""
    arguments = [sys.executable, "-c", CHILD + code, str(tmp_path / "db"), str(me), point]
    return subprocess.Popen(
        [*arguments, str(skip)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def by_id(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return rows in the order of their first column."""
    return sorted(rows, key=lambda row: next(iter(row.values())))  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(("call", "point", "skip"), CASES)
def test_killed_at_any_step_a_change_is_there_whole_or_not_at_all(
    tmp_path: Path, table: embow.Table, call: str, point: str, skip: int
) -> None:
    """What was acknowledged is there; it can be made again, and versions are whole."""
    process = child(tmp_path, CALLS[call] + "\nprint('done', flush=True)", 0, point, skip)
    out, errors = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGKILL), errors
    fresh = embow.connect(tmp_path / "db").open_table("t")
    found = by_id(fresh.to_arrow().to_pylist())
    assert found in (OLD, AFTER[call])
    if "done" in out:
        assert found == AFTER[call]
    if found == OLD:
        exec(CALLS[call], {"table": fresh, "pa": pa})
    assert by_id(fresh.to_arrow().to_pylist()) == AFTER[call]
    assert fresh.check().ok
    fresh.checkout(1)
    assert fresh.to_arrow().to_pylist() == OLD


RESHAPE = """
for i in range(6):
    name = f"c{me}_{i}"
    table.add_columns({name: "n + 1"})
    table.alter_columns({"path": name, "rename": name + "_", "data_type": pa.string()})
    table.drop_columns([name + "_"])
table.add_columns({f"last{me}": "n"})
"""

ADD = """
done = refused = 0
for i in range(12):
    try:
        table.add([{"id": 100 + i, "n": me}])
        done += 1
    except DuplicateKeyError:
        refused += 1
    table.upsert([{"id": 200 + i, "n": me}])
print(done, flush=True)
"""


def test_processes_change_columns_and_add_rows_at_once(tmp_path: Path, table: embow.Table) -> None:
    """Each key comes in once, acknowledged to one of them; the columns are those of the end."""
    writers = [child(tmp_path, ADD, me) for me in range(2)]
    reshapers = [child(tmp_path, RESHAPE, me) for me in range(2, 4)]
    said = []
    for process in [*writers, *reshapers]:
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        said += [int(line) for line in out.split()]
    assert sum(said) == 12
    rows = table.to_arrow()
    assert sorted(rows["id"].to_pylist()) == [*range(10), *range(100, 112), *range(200, 212)]
    assert set(rows.schema.names) == {"id", "n", "last2", "last3"}
    pairs = zip(rows["n"].to_pylist(), rows["last2"].to_pylist(), strict=True)
    assert all(last in (None, n) or n in (0, 1) for n, last in pairs)
    table.optimize()
    assert table.check().ok
