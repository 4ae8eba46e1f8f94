"""The folder a database lies in: moved, replaced, read-only, without locks, with an odd name."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from embow.engines._local import LocalEngine, faults
from embow.engines.contract import Change, EngineOptions
from embow.errors import ConfigurationError, StorageError
from steps import add, base, ids

fcntl = pytest.importorskip("fcntl", reason="paths, rights and limits are those of POSIX")
resource = pytest.importorskip("resource")
SIZES = {"small_rows": 3}
READER = """
import os, sys
from embow.engines._local import LocalEngine
from embow.engines.contract import Change, EngineOptions, ScanQuery
from embow.errors import StorageError
if os.geteuid() == 0:
    os.setuid(65534)  # The superuser may write everywhere.
engine = LocalEngine(sys.argv[1], EngineOptions({"small_rows": 3}))
table = engine.open_table("t")
def count():
    with table.snapshot() as snapshot:
        return snapshot.scan(ScanQuery()).read_all().num_rows
print(count(), flush=True)
if len(sys.argv) > 2:
    sys.stdin.readline()
    print(count(), flush=True)
now = table.snapshot().base
rows = table.snapshot().scan(ScanQuery()).read_all().to_batches()
for work in (lambda: table.write(rows, base=now), lambda: table.set_tag("a", 1)):
    try:
        work()
    except StorageError as exc:
        print(exc, flush=True)
"""


def batch(count: int) -> pa.RecordBatch:
    """Return rows with ids from 0."""
    return pa.record_batch({"id": pa.array(range(count), pa.int64())})


def make(folder: Path) -> None:
    """Make a database with nine rows in a file."""
    engine = LocalEngine(str(folder), EngineOptions(SIZES))
    engine.create_table("t", batch(0).schema, [batch(9)])
    engine.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a database with nine rows."""
    make(tmp_path / "db")
    return tmp_path / "db"


@pytest.fixture
def engine(folder: Path) -> Iterator[LocalEngine]:
    """Return that database, open."""
    engine = LocalEngine(str(folder), EngineOptions(SIZES))
    yield engine
    engine.close()


def _move(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


def _replace(folder: Path) -> None:
    _move(folder)
    make(folder)


@pytest.mark.parametrize("move", [_move, _replace, shutil.rmtree])
@pytest.mark.parametrize("count", [2, 9])
def test_a_write_to_a_folder_that_went_is_refused(
    folder: Path, engine: LocalEngine, move: Callable[[Path], None], count: int
) -> None:
    """Rows in the catalog or in a file; nothing is made where the folder was."""
    table = engine.open_table("t")
    before = base(table)
    staged = table.write([batch(2)], base=before)
    move(folder)
    there = sorted(folder.rglob("*"))
    with pytest.raises(StorageError, match="moved, deleted or replaced"):
        table.commit(Change(before, add=[table.write([batch(count)], base=before)]))
    with pytest.raises(StorageError, match="moved, deleted or replaced"):
        table.commit(Change(before, add=[staged]))
    with pytest.raises(StorageError, match=r"embow\.connect"):
        ids(table)
    with pytest.raises(StorageError, match="moved, deleted or replaced"):
        table.optimize()
    assert sorted(folder.rglob("*")) == there


def test_nothing_is_asked_for_that_cannot_be_stored(folder: Path, engine: LocalEngine) -> None:
    """Rows may be embedded as they are asked for."""
    table = engine.open_table("t")
    before = base(table)
    rows = iter([batch(2)])
    shutil.rmtree(folder)
    with pytest.raises(StorageError, match="moved, deleted or replaced"):
        table.write(rows, base=before)
    with pytest.raises(StorageError, match="moved, deleted or replaced"):
        engine.create_table("u", batch(0).schema, rows)
    assert next(rows).num_rows == 2


def test_a_folder_that_goes_during_a_commit_is_noticed(folder: Path, engine: LocalEngine) -> None:
    """The last look is just before the commit; the moved database is as it was."""
    table = engine.open_table("t")

    def hook(point: str) -> None:
        if point == "transaction.changed":
            _move(folder)

    faults.set_hook(hook)
    try:
        with pytest.raises(StorageError, match="moved, deleted or replaced"):
            add(table, [batch(2)])
    finally:
        faults.set_hook(None)
    moved = LocalEngine(str(folder.with_name("moved")), EngineOptions())
    assert len(ids(moved.open_table("t"))) == 9
    moved.close()


def test_a_held_snapshot_outlives_its_folder(folder: Path, engine: LocalEngine) -> None:
    """Its files are open."""
    with engine.open_table("t").snapshot() as snapshot:
        shutil.rmtree(folder)
        assert len(snapshot.row_ids()) == 9


@pytest.fixture
def public() -> Iterator[Path]:
    """Return a database that another user reaches, may read and may not write."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        make(Path(name) / "db")
        forbid(Path(name))
        yield Path(name) / "db"
        for path in [Path(name), *Path(name).rglob("*")]:
            path.chmod(0o755)


def forbid(folder: Path) -> None:
    """Let nobody but the superuser write."""
    for path in folder.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)


def reader(*arguments: object) -> subprocess.Popen[str]:
    """Start a process without special rights that reads, and tries to write."""
    return subprocess.Popen(
        [sys.executable, "-c", READER, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


needs_rights = pytest.mark.skipif(
    os.geteuid() != 0, reason="only the superuser can write what the child cannot"
)


def test_a_folder_that_cannot_be_written_can_be_read(public: Path) -> None:
    """Writes are refused with a sentence, and no file is made."""
    before = sorted(public.rglob("*"))
    output, errors = reader(public).communicate()
    rows, *refused = output.splitlines()
    assert rows == "9", errors
    assert len(refused) == 2
    assert all(f"{public} can be read but not written" in each for each in refused)
    assert sorted(public.rglob("*")) == before


@needs_rights
def test_a_reader_sees_what_others_write(public: Path) -> None:
    """One who may write has come since it was opened, and gone."""
    with reader(public, "twice") as child:
        assert child.stdout
        assert child.stdout.readline() == "9\n"
        engine = LocalEngine(str(public), EngineOptions(SIZES))
        add(engine.open_table("t"), [batch(2)])
        engine.close()
        forbid(public)
        output, errors = child.communicate("\n")
    assert output.splitlines()[0] == "11", errors


@needs_rights
def test_a_reader_reads_beside_a_writer(public: Path) -> None:
    """Whose latest rows are still in SQLite's log."""
    engine = LocalEngine(str(public), EngineOptions(SIZES))
    add(engine.open_table("t"), [batch(2)])
    forbid(public)
    output, errors = reader(public).communicate()
    engine.close()
    assert output.splitlines()[0] == "11", errors


@needs_rights
def test_changes_left_in_the_log_are_not_passed_over(public: Path) -> None:
    """The log of a writer that died is not the database without its last rows."""
    engine = LocalEngine(str(public), EngineOptions(SIZES))
    add(engine.open_table("t"), [batch(2)])
    log = public / "catalog.sqlite-wal"
    data = log.read_bytes(), (public / "catalog.sqlite").read_bytes()
    engine.close()
    log.write_bytes(data[0])
    (public / "catalog.sqlite").write_bytes(data[1])
    forbid(public)
    output, errors = reader(public).communicate()
    assert output == ""
    assert "catalog.sqlite-wal holds changes" in errors


def _no_memory(*_: object) -> pa.MemoryMappedFile:
    raise OSError("Memory mapping file failed: Cannot allocate memory")


def _no_pool(*_: object) -> pa.MemoryMappedFile:
    raise pa.ArrowMemoryError("malloc of size 64 failed")


@pytest.mark.parametrize("fail", [_no_memory, _no_pool])
def test_too_little_memory_is_no_damage(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch, fail: Callable[..., object]
) -> None:
    """Whoever reads of damage restores a file that is whole."""
    monkeypatch.setattr(pa, "memory_map", fail)
    with pytest.raises(StorageError, match="not enough memory") as caught:
        ids(engine.open_table("t"))
    assert "damaged" not in str(caught.value)


def test_without_locks_files_are_written_and_left(
    folder: Path, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody can lock a file, nobody can know that no one is writing it."""

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    table = engine.open_table("t")
    stray = next(folder.glob("data/*")) / f"{'0' * 32}.arrows"
    stray.write_bytes(b"being written")
    add(table, [batch(9)])
    table.optimize(keep=timedelta(0))
    assert len(ids(table)) == 18
    assert stray.exists()


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_a_path_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    """With the path in the message, in a form that can be printed."""
    with pytest.raises(ConfigurationError, match="no path") as caught:
        LocalEngine(f"{tmp_path}/{name}", EngineOptions())
    str(caught.value).encode()


def test_a_limit_on_file_sizes_is_named(folder: Path, engine: LocalEngine) -> None:
    """SQLite only says that the disk failed."""
    table = engine.open_table("t")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))

    def fill() -> None:
        for _ in range(50):
            add(table, [batch(2)])

    try:
        with pytest.raises(StorageError, match="size limit of this process"):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert ids(table)
