"""What is not as it was written is found, whatever it is, and named."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from embow._cli import main
from embow.engines._local import LocalEngine
from embow.engines.contract import EngineOptions
from embow.errors import StorageError
from steps import add, ids, remove

SIZES = {"small_rows": 40, "block_rows": 64, "fragment_bytes": 4096}
FLIPS = 240
READ = """
import json, sys
from pathlib import Path
import numpy as np
from embow.engines._local import LocalEngine
from embow.engines.contract import EngineOptions, ScanQuery, VectorQuery
from embow.errors import EmbowError

def read(folder):
    engine = LocalEngine(folder, EngineOptions())
    try:
        answers = [engine.table_names()]
        table = engine.open_table("t")
        answers += [[(v.version, v.rows) for v in table.versions()], table.tags()]
        query = VectorQuery("vector", np.ones((1, 4), np.float32), 5, columns=["text"])
        for version in (None, "named"):
            with table.snapshot(version) as snapshot:
                rows = snapshot.scan(ScanQuery(with_row_id=True)).read_all()
                answers += [str(snapshot.schema), dict(snapshot.metadata), snapshot.count_rows()]
                answers += [rows.to_pylist(), snapshot.search(query)[0].to_pylist()]
        return json.dumps(answers)
    finally:
        engine.close()

expected = read(sys.argv[1])
for line in sys.stdin:
    folder, path, at, bit = json.loads(line)
    data = bytearray(Path(path).read_bytes())
    data[at] ^= 1 << bit
    whole = bytes(data)
    original = Path(path).read_bytes()
    Path(path).write_bytes(whole)
    try:
        outcome = "same" if read(folder) == expected else "SILENT"
    except EmbowError as exc:
        outcome = str(exc)
    except Exception as exc:
        outcome = f"BARE {exc!r}"
    Path(path).write_bytes(original)
    for log in Path(folder).glob("catalog.sqlite-*"):
        log.unlink()
    print(json.dumps(outcome), flush=True)
"""


def rows(start: int, stop: int) -> pa.RecordBatch:
    """Return rows with a number, a text and a vector."""
    numbers = range(start, stop)
    vectors = [[float(n), 1.0, n % 7 / 7, 0.5] for n in numbers]
    return pa.record_batch(
        {
            "id": pa.array(numbers, pa.int64()),
            "text": [f"text {n}" for n in numbers],
            "vector": pa.array(vectors, pa.list_(pa.float32(), 4)),
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a database with files, a tail, deletions, a tag and metadata."""
    engine = LocalEngine(str(tmp_path / "db"), EngineOptions(SIZES))
    table = engine.create_table("t", rows(0, 1).schema, [rows(0, 300)], metadata={"a": "b"})
    add(table, [rows(300, 310)])
    table.set_tag("named", 2)
    remove(table, "id > 4 AND id < 9")
    add(table, [rows(310, 320)])
    engine.create_table("u", pa.schema({"a": pa.int64()}), [pa.record_batch({"a": [1]})])
    engine.close()
    return tmp_path / "db"


def flips(folder: Path) -> list[tuple[Path, int, int]]:
    """Return bits of the data files and of the catalog, the tail in it included, at random."""
    chance = random.Random(7)
    paths = [*sorted(folder.glob("data/*/*")), folder / "catalog.sqlite"]
    every = []
    for at in range(FLIPS):
        path = folder / "catalog.sqlite" if at % 2 else chance.choice(paths)
        data = path.read_bytes()
        used = [place for place, byte in enumerate(data) if byte]
        place = chance.choice(used) if at % 4 else chance.randrange(len(data))
        every.append((path, place, chance.randrange(8)))
    return every


def test_no_changed_bit_changes_an_answer(folder: Path, tmp_path: Path) -> None:
    """It is harmless, or refused with the names of file and table; the process lives on."""
    whole = Path(shutil.copytree(folder, tmp_path / "whole"))
    asked = flips(folder)
    lines = [json.dumps([str(folder), str(path), at, bit]) for path, at, bit in asked]
    done = subprocess.run(
        [sys.executable, "-c", READ, str(whole)],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == FLIPS
    wrong = [
        (path.name, at, bit, outcome)
        for (path, at, bit), outcome in zip(asked, found, strict=True)
        if outcome != "same"
        and not (path.name in outcome and (path.suffix == ".sqlite" or "table 't'" in outcome))
    ]
    assert wrong == []
    refused = sum(outcome != "same" for outcome in found)
    assert refused > FLIPS / 4


def damage(path: Path, *places: int) -> None:
    """Change some bytes of a file."""
    data = bytearray(path.read_bytes())
    for place in places:
        data[place] ^= 1
    path.write_bytes(bytes(data))


def test_all_damages_are_listed(folder: Path) -> None:
    """A missing file, two changed blocks of another, and a changed row of the catalog."""
    first, second, *_ = sorted(folder.glob("data/*/*"))
    size = second.stat().st_size
    first.unlink()
    damage(second, size // 2)
    catalog = folder / "catalog.sqlite"
    damage(catalog, catalog.read_bytes().index(b"text 315"))
    engine = LocalEngine(str(folder), EngineOptions())
    report = engine.open_table("t").check()
    assert engine.open_table("u").check().ok
    engine.close()
    for name in (first.name, second.name, "catalog.sqlite"):
        assert any(name in each for each in report.damages), report
    assert not report.ok


def test_fewer_rows_than_were_written_are_noticed(folder: Path) -> None:
    """As where a page of the catalog is lost, though every row that is left is whole."""
    catalog = sqlite3.connect(folder / "catalog.sqlite")
    catalog.execute("DELETE FROM tail WHERE id = (SELECT max(id) FROM tail WHERE table_id = 1)")
    catalog.commit()
    catalog.close()
    engine = LocalEngine(str(folder), EngineOptions())
    with pytest.raises(StorageError, match="table 't' has not the rows of its version 4"):
        ids(engine.open_table("t"))
    engine.close()


def test_a_whole_table_has_no_damage(folder: Path) -> None:
    """The report says how much was read."""
    engine = LocalEngine(str(folder), EngineOptions())
    report = engine.open_table("t").check()
    engine.close()
    data = list(folder.glob("data/*/*"))
    assert (report.damages, report.versions, report.files) == ((), 4, len(data))
    assert report.bytes == sum(path.stat().st_size for path in data)


def test_the_command_lists_damages(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its status says whether there are any; as JSON too, and for one table."""
    assert main(["check", str(folder)]) == 0
    assert "t: ok (4 versions" in capsys.readouterr().out
    path = min(folder.glob("data/*/*"))
    damage(path, path.stat().st_size // 2)
    assert main(["check", str(folder)]) == 1
    assert path.name in capsys.readouterr().out
    assert main(["check", str(folder), "t", "--json"]) == 1
    (report,) = json.loads(capsys.readouterr().out)
    assert (report["table"], report["ok"]) == ("t", False)
    assert path.name in report["damages"][0]
    assert main(["check", str(folder), "u"]) == 0


@pytest.mark.parametrize("arguments", [["missing"], ["db", "missing"]])
def test_the_command_makes_nothing(
    folder: Path,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is not there is named, and still not there afterwards."""
    monkeypatch.chdir(folder.parent)
    assert main(["check", *arguments]) == 1
    assert "missing" in capsys.readouterr().err
    assert not (folder.parent / "missing").exists()


def test_ids_are_still_read(folder: Path, open_engine: Callable[..., LocalEngine]) -> None:
    """The database of these tests holds what it must."""
    assert len(ids(open_engine().open_table("t"))) == 316
