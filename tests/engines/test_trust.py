"""A database from elsewhere: nothing outside its folder is read, written or removed."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
import xxhash

from embow.engines._local import LocalEngine
from embow.engines._local.sealed import COLUMNS, seal
from embow.engines.contract import EngineOptions
from embow.errors import ConfigurationError, StorageError
from steps import add, ids

SCHEMA = pa.schema({"id": pa.int64()})
SIZES = {"small_rows": 3}


def batch(count: int) -> pa.RecordBatch:
    """Return rows with ids from 0."""
    return pa.record_batch({"id": pa.array(range(count), pa.int64())})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a database with nine rows in a file, beside a folder that is nobody's business."""
    engine = LocalEngine(str(tmp_path / "db"), EngineOptions(SIZES))
    engine.create_table("t", SCHEMA, [batch(9)])
    engine.close()
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / f"{'0' * 32}.arrows").write_text("precious")
    return tmp_path / "db"


def edit(folder: Path, statement: str, *values: object) -> None:
    """Change the catalog by hand, as one who knows its checksums."""
    with closing(sqlite3.connect(folder / "catalog.sqlite")) as catalog:
        catalog.create_function("seal", -1, seal)
        catalog.execute(statement, values)
        for table, names in COLUMNS.items():
            catalog.execute(f"UPDATE {table} SET seal = seal({names})")
        catalog.commit()


def use(folder: Path) -> None:
    """Do to a table everything that touches files."""
    engine = LocalEngine(str(folder), EngineOptions(SIZES))
    try:
        table = engine.open_table("t")
        assert ids(table)
        add(table, [batch(9)])
        table.optimize(keep=timedelta(0))
        engine.drop_table("t")
    finally:
        engine.close()


def untouched(folder: Path) -> bool:
    """Return whether the folder beside the database is as it was."""
    (path,) = (folder.parent / "victim").iterdir()
    return path.read_text() == "precious"


@pytest.mark.parametrize("statement", ["UPDATE tables SET folder = ?", "UPDATE files SET name = ?"])
@pytest.mark.parametrize(
    "name", ["../../victim", "/etc/passwd", "x.arrows", "a" * 32 + ".arrows\n"]
)
def test_a_name_we_never_write_is_refused(folder: Path, statement: str, name: str) -> None:
    """The error names the catalog and the value."""
    edit(folder, statement, name)
    with pytest.raises(StorageError, match=r"catalog\.sqlite names"):
        use(folder)
    assert untouched(folder)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *itertools.product(
            ["version", "schema_version", "tail_rows"], ["'x'", "1.5", "NULL", "x'00'"]
        ),
        ("schema_version", "2147483647"),
    ],
)
def test_a_number_we_never_write_is_named(folder: Path, column: str, value: str) -> None:
    """Of another type, or of a schema that is yet to come: refused before anything is read."""
    with contextlib.suppress(sqlite3.IntegrityError):  # SQLite refuses NULL by itself.
        edit(folder, f"UPDATE tables SET {column} = {value}")
        with pytest.raises(StorageError, match="says what embow does not write"):
            use(folder)


def _link_the_data_folder(folder: Path) -> None:
    (folder / "data").rename(folder.parent / "elsewhere")
    (folder / "data").symlink_to(folder.parent / "elsewhere")


def _link_a_table(folder: Path) -> None:
    (one,) = (folder / "data").iterdir()
    one.rename(folder.parent / "elsewhere")
    one.symlink_to(folder.parent / "elsewhere")


def _link_the_catalog(folder: Path) -> None:
    (folder / "catalog.sqlite").rename(folder.parent / "elsewhere")
    (folder / "catalog.sqlite").symlink_to(folder.parent / "elsewhere")


def _lead_the_catalog_nowhere(folder: Path) -> None:
    (folder / "catalog.sqlite").unlink()
    (folder / "catalog.sqlite").symlink_to(folder.parent / "victim" / "new")


def _link_a_file(folder: Path) -> None:
    (one,) = (folder / "data").glob("*/*")
    one.rename(folder.parent / "elsewhere")
    one.symlink_to(folder.parent / "elsewhere")


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize(
    "move",
    [
        _link_the_data_folder,
        _link_a_table,
        _link_a_file,
        _link_the_catalog,
        _lead_the_catalog_nowhere,
    ],
)
def test_a_link_is_not_followed(folder: Path, move: Callable[[Path], None]) -> None:
    """Neither to read the very same bytes elsewhere."""
    move(folder)
    with pytest.raises(StorageError, match="is a link"):
        use(folder)
    assert untouched(folder)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_is_not_swept(folder: Path) -> None:
    """Links below the data folder, and what they lead to, stay as they are."""
    (one,) = (folder / "data").iterdir()
    victim = folder.parent / "victim"
    links = [folder / "data" / ("0" * 32), one / f"{'1' * 32}.arrows"]
    links[0].symlink_to(victim)
    links[1].symlink_to(next(victim.iterdir()))
    (folder / "data" / "notes").mkdir()
    (folder / "data" / "notes" / f"{'2' * 32}.arrows").write_text("mine")
    engine = LocalEngine(str(folder), EngineOptions(SIZES))
    engine.open_table("t").optimize(keep=timedelta(0))
    engine.close()
    assert all(link.is_symlink() for link in links)
    assert (folder / "data" / "notes").exists()
    assert untouched(folder)


@pytest.mark.parametrize("uri", ["file://{}", "file://localhost{}", "FILE://{}"])
def test_a_file_address_is_a_path(tmp_path: Path, uri: str) -> None:
    """With percent signs decoded."""
    folder = tmp_path / "my db"
    engine = LocalEngine(uri.format(str(folder).replace(" ", "%20")), EngineOptions())
    engine.close()
    assert engine.folder == folder
    assert (folder / "catalog.sqlite").exists()


@pytest.mark.parametrize(
    "uri", ["", "file://host/db", "file:db", "~no-such-user/db folder", "file:///folder%00"]
)
def test_an_address_that_is_no_folder_is_refused(uri: str) -> None:
    """Nothing is made in the current folder instead."""
    with pytest.raises(ConfigurationError, match="folder"):
        LocalEngine(uri, EngineOptions())


def test_a_changed_byte_is_noticed(folder: Path) -> None:
    """Of the same size, and a valid Arrow file still; the error names the file and the table."""
    (path,) = folder.glob("data/*/*")
    data = bytearray(path.read_bytes())
    at = data.index((7).to_bytes(8, "little") + (8).to_bytes(8, "little"))
    data[at] = 6
    path.write_bytes(bytes(data))
    engine = LocalEngine(str(folder), EngineOptions())
    with pytest.raises(StorageError, match=path.name) as caught:
        ids(engine.open_table("t"))
    engine.close()
    assert "of table 't': the file is damaged" in str(caught.value)


def _with_wild_offsets(data: bytes) -> bytes:
    """Return Arrow data with the middle one of the offsets 0, 1, 2, 3 led far out of its buffer."""
    offsets = struct.pack("<4i", 0, 1, 2, 3)
    assert offsets in data
    return data.replace(offsets, struct.pack("<4i", 0, 1, 2**30, 3))


@pytest.mark.parametrize("small", [1, 99])
def test_data_that_lead_out_of_their_buffers_are_refused(tmp_path: Path, small: int) -> None:
    """Their checksums are right: whoever made the data made those as well."""
    rows = pa.record_batch({"id": [1, 2, 3], "text": ["a", "b", "c"]})
    engine = LocalEngine(str(tmp_path), EngineOptions({"small_rows": small}))
    add(engine.create_table("t", rows.schema), [rows])
    engine.close()
    catalog = sqlite3.connect(tmp_path / "catalog.sqlite")
    for number, payload in catalog.execute("SELECT id, payload FROM tail").fetchall():
        edit(
            tmp_path,
            "UPDATE tail SET payload = ? WHERE id = ?",
            _with_wild_offsets(payload),
            number,
        )
    for path in tmp_path.glob("data/*/*"):
        path.write_bytes(data := _with_wild_offsets(path.read_bytes()))
        (checks,) = catalog.execute("SELECT checks FROM files").fetchone()
        ends = [0, *(end for end, _ in struct.iter_unpack("<qQ", checks))]
        sums = [xxhash.xxh3_64_intdigest(data[low:high]) for low, high in pairwise(ends)]
        forged = b"".join(map(struct.Struct("<qQ").pack, ends[1:], sums))
        edit(tmp_path, "UPDATE files SET checks = ?", forged)
    catalog.close()
    engine = LocalEngine(str(tmp_path), EngineOptions())
    with pytest.raises(StorageError, match=r"offset"):
        ids(engine.open_table("t"))
    engine.close()


def test_another_programs_file_stays_as_it_is(tmp_path: Path) -> None:
    """Not even the mode it is kept in changes."""
    path = tmp_path / "catalog.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (a)")
    before = path.read_bytes()
    with pytest.raises(StorageError, match="another program"):
        LocalEngine(str(tmp_path), EngineOptions())
    assert path.read_bytes() == before
