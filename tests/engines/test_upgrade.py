"""A database of format 1 opens, reads as it did, and takes writes."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from embow.engines._local import LocalEngine
from embow.engines._local.sealed import COLUMNS
from embow.engines.contract import Change, EngineOptions, ScanQuery

FIXTURE = Path(__file__).parent / "fixtures" / "format1"
EXPECTED: dict[str, Any] = json.loads((FIXTURE / "expected.json").read_text())
OPEN = """
import os, signal, sys
from embow.engines.contract import EngineOptions
from embow.engines._local import LocalEngine, faults

def hook(point):
    if point == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

faults.set_hook(hook)
LocalEngine(sys.argv[1], EngineOptions())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the database that the code of format 1 wrote."""
    return Path(shutil.copytree(FIXTURE / "db", tmp_path / "db"))


def contents(engine: LocalEngine) -> dict[str, Any]:
    """Return schema and rows of each table, in the form they are expected in."""
    found = {}
    for name in engine.table_names():
        with engine.open_table(name).snapshot() as snapshot:
            rows = snapshot.scan(ScanQuery(with_row_id=True)).read_all()
            found[name] = {
                "columns": {field.name: str(field.type) for field in snapshot.schema},
                "metadata": dict(snapshot.metadata),
                "rows": json.loads(json.dumps(rows.to_pylist(), default=bytes.hex)),
            }
    return found


def test_it_reads_as_before(folder: Path) -> None:
    """Files, tail, deletions, a column kept for rollback, quarantined rows, names of any kind."""
    engine = LocalEngine(str(folder), EngineOptions())
    assert contents(engine) == EXPECTED
    engine.close()


def test_each_table_begins_with_one_version(folder: Path) -> None:
    """The version it had; earlier ones were never kept."""
    engine = LocalEngine(str(folder), EngineOptions())
    for name, expected in EXPECTED.items():
        table = engine.open_table(name)
        (version,) = table.versions()
        with table.snapshot(version.version) as snapshot:
            assert version.rows == snapshot.count_rows() == len(expected["rows"])
    engine.close()


def test_it_takes_writes(folder: Path) -> None:
    """Rows are added and removed, and the files merged; the version before stays readable."""
    engine = LocalEngine(str(folder), EngineOptions({"small_rows": 2, "block_rows": 2}))
    table = engine.open_table("odd")
    with table.snapshot() as before:
        data = pa.record_batch({"größe": [7, 8, 9], "my col": ["x", None, "z"]})
        staged = table.write([data], base=before.base)
        table.commit(Change(before.base, add=[staged], remove=before.row_ids()[:1]))
    table.optimize()
    with table.snapshot() as after, table.snapshot(before.base.version) as earlier:
        assert after.scan(ScanQuery()).read_all()["größe"].to_pylist() == [3, 4, 5, 6, 7, 8, 9]
        assert earlier.scan(ScanQuery()).read_all()["größe"].to_pylist() == [1, 3, 4, 5, 6]
    assert {name: each for name, each in contents(engine).items() if name != "odd"} == {
        name: each for name, each in EXPECTED.items() if name != "odd"
    }
    engine.close()


@pytest.mark.parametrize("point", ["transaction.begun", "transaction.changed"])
def test_a_killed_upgrade_leaves_format_1(folder: Path, point: str) -> None:
    """It is tried again by the next who opens."""
    result = subprocess.run([sys.executable, "-c", OPEN, str(folder), point], check=False)
    catalog = sqlite3.connect(folder / "catalog.sqlite")
    assert catalog.execute("PRAGMA user_version").fetchone() == (1,)
    catalog.close()
    engine = LocalEngine(str(folder), EngineOptions())
    assert (result.returncode, contents(engine)) == (-signal.SIGKILL, EXPECTED)
    engine.close()


def test_two_processes_may_upgrade_at_once(folder: Path) -> None:
    """The second finds it done."""
    runs = [subprocess.Popen([sys.executable, "-c", OPEN, str(folder), ""]) for _ in range(2)]
    assert [run.wait() for run in runs] == [0, 0]
    engine = LocalEngine(str(folder), EngineOptions())
    assert contents(engine) == EXPECTED
    engine.close()


def test_format_2_opens(folder: Path) -> None:
    """It had no checksums of rows, and kept the files of staged rows as text."""
    engine = LocalEngine(str(folder), EngineOptions())
    engine.open_table("odd").set_tag("kept", engine.open_table("odd").versions()[0].version)
    engine.close()
    catalog = sqlite3.connect(folder / "catalog.sqlite")
    for table in COLUMNS:
        catalog.execute(f"ALTER TABLE {table} DROP COLUMN seal")
    catalog.executescript(
        "DROP TABLE indexes; DROP TABLE pieces; ALTER TABLE tables DROP COLUMN indexed;"
        "ALTER TABLE tail ADD COLUMN crc32 INTEGER; ALTER TABLE fragments DROP COLUMN staged;"
        "ALTER TABLE staged DROP COLUMN columns;"
        "ALTER TABLE staged ADD COLUMN files TEXT NOT NULL DEFAULT ''; PRAGMA user_version = 2;"
    )
    catalog.close()
    engine = LocalEngine(str(folder), EngineOptions())
    assert contents(engine) == EXPECTED
    assert all(engine.open_table(name).check().ok for name in EXPECTED)
    assert list(engine.open_table("odd").tags()) == ["kept"]
    engine.close()
