"""A disk that fails: each error names the path and the cause, and nothing is lost."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from embow.engines._local import LocalEngine
from embow.engines.contract import EngineOptions, ScanQuery
from embow.errors import ConfigurationError, StorageError

SCHEMA = pa.schema({"id": pa.int64()})
FULL = """
import resource, sys
import pyarrow as pa
from embow.engines.contract import Change, EngineOptions
from embow.engines._local import LocalEngine
from embow.errors import StorageError

engine = LocalEngine(sys.argv[1], EngineOptions())
table = engine.open_table("t")
base = table.snapshot().base
count = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
done = 0
try:
    for _ in range(100):
        staged = table.write([pa.record_batch({"id": pa.array(range(count))})], base=base)
        table.commit(Change(base, add=[staged]))
        done += count
except StorageError as exc:
    print(done, exc)
"""
UNWRITABLE = """
import os, sys
from embow.engines.contract import EngineOptions
from embow.engines._local import LocalEngine
from embow.errors import StorageError
if os.geteuid() == 0:
    os.setuid(65534)  # The superuser may write everywhere.
try:
    LocalEngine(sys.argv[1], EngineOptions())
except StorageError as exc:
    print(exc)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a database with a table of 2,000 rows in one file."""
    engine = LocalEngine(str(tmp_path / "db"), EngineOptions())
    data = pa.record_batch({"id": pa.array(range(2000))})
    engine.create_table("t", SCHEMA, [data])
    engine.close()
    return tmp_path / "db"


def count(folder: Path) -> int:
    """Return the number of rows a fresh reader finds, reading each of them."""
    engine = LocalEngine(str(folder), EngineOptions())
    try:
        return engine.open_table("t").snapshot().scan(ScanQuery()).read_all().num_rows
    finally:
        engine.close()


@pytest.mark.parametrize("rows", [2, 50_000])
def test_a_full_disk_keeps_what_was_acknowledged(folder: Path, rows: int) -> None:
    """Small appends stop in the catalog, large ones in a file; the rest stays whole."""
    result = subprocess.run(
        [sys.executable, "-c", FULL, str(folder), str(rows)],
        capture_output=True,
        text=True,
        check=True,
    )
    done, _, message = result.stdout.partition(" ")
    assert str(folder) in message
    assert count(folder) == 2000 + int(done)


def test_a_write_that_fails_leaves_no_file(folder: Path) -> None:
    """The half-written file is removed at once, to give its space back."""
    before = sorted(folder.glob("data/*/*"))
    subprocess.run([sys.executable, "-c", FULL, str(folder), "50000"], check=True)
    assert sorted(folder.glob("data/*/*")) == before


@pytest.mark.skipif(os.name == "nt", reason="permissions are those of POSIX")
def test_an_unwritable_folder_is_named() -> None:
    """The message says which folder and what to do; run as a user without special rights."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        result = subprocess.run(
            [sys.executable, "-c", UNWRITABLE, f"{folder}/db"],
            capture_output=True,
            text=True,
            check=True,
        )
        Path(folder).chmod(0o755)
    assert f"{folder}/db: permission denied" in result.stdout


def test_a_path_that_is_a_file_is_named(tmp_path: Path) -> None:
    """A file where the database should be is left alone."""
    (tmp_path / "db").write_text("mine")
    with pytest.raises(StorageError, match=r"db: it is a file, not a folder"):
        LocalEngine(str(tmp_path / "db"), EngineOptions())
    assert (tmp_path / "db").read_text() == "mine"


def test_a_catalog_that_is_not_sqlite_is_refused(tmp_path: Path) -> None:
    """Something else under the catalog's name is not overwritten."""
    (tmp_path / "catalog.sqlite").write_bytes(b"not a database, but long enough" * 40)
    with pytest.raises(StorageError, match=r"catalog\.sqlite.*not an embow catalog"):
        LocalEngine(str(tmp_path), EngineOptions())


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    """An SQLite file with other tables is not taken over."""
    other = sqlite3.connect(tmp_path / "catalog.sqlite")
    other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.commit()
    other.close()
    with pytest.raises(StorageError, match="another program"):
        LocalEngine(str(tmp_path), EngineOptions())


def test_a_catalog_of_a_later_version_is_refused(folder: Path) -> None:
    """The message says that embow is too old, not that the file is broken."""
    catalog = sqlite3.connect(folder / "catalog.sqlite")
    catalog.execute("PRAGMA user_version = 99")
    catalog.close()
    with pytest.raises(StorageError, match="upgrade embow"):
        LocalEngine(str(folder), EngineOptions())


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _scramble(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(b"\x07" * 64 + data[64:])


def _lose_the_last_batch(path: Path) -> None:
    reader = pa.ipc.open_stream(pa.py_buffer(path.read_bytes()))
    with pa.ipc.new_stream(str(path), reader.schema):
        pass


@pytest.mark.parametrize("damage", [_truncate, _scramble, _lose_the_last_batch, Path.unlink])
def test_a_damaged_file_is_named(folder: Path, damage: Callable[[Path], None]) -> None:
    """Cut short, overwritten or missing: the message says which file."""
    (path,) = folder.glob("data/*/*")
    damage(path)
    with pytest.raises(StorageError, match=path.name):
        count(folder)


def test_an_unknown_storage_option_is_refused(tmp_path: Path) -> None:
    """A misspelt option is not passed over."""
    with pytest.raises(ConfigurationError, match=r"'blok_rows'.*block_rows"):
        LocalEngine(str(tmp_path), EngineOptions({"blok_rows": 5}))
