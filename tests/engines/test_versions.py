"""Earlier versions of the embedded engine: what they cost, what keeps them, what lets them go."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from embow.engines._local import LocalEngine
from embow.engines.contract import Change, EngineTable
from embow.errors import TagError, VersionNotFoundError
from steps import add, base, drop_columns, ids, matching, overwrite, put_column, remove, rows

SCHEMA = pa.schema({"id": pa.int64()})
Open = Callable[..., LocalEngine]
NOTHING = timedelta(0)


def batch(*numbers: int) -> pa.RecordBatch:
    """Return rows with these ids."""
    return pa.record_batch({"id": pa.array(numbers, pa.int64())})


def size(folder: Path) -> int:
    """Return the bytes of all data files."""
    return sum(path.stat().st_size for path in folder.glob("db/data/*/*"))


@pytest.fixture
def table(open_engine: Open) -> EngineTable:
    """Return a table of nine rows in files."""
    engine = open_engine(small_rows=3, block_rows=4)
    return engine.create_table("t", SCHEMA, [batch(*range(9))])


def test_each_commit_is_a_version(table: EngineTable) -> None:
    """Its number, rows, what made it, and when, in UTC."""
    start = datetime.now(UTC) - timedelta(minutes=1)
    add(table, [batch(9)])
    table.commit(Change(base(table), metadata={"k": "v"}))
    put_column(table, "n", matching(table, "id < 2"), [1, 2])
    drop_columns(table, "n")
    remove(table, "id = 0")
    overwrite(table, SCHEMA, [batch(1, 2)])
    table.restore(1)
    found = [(each.version, each.rows, each.operation) for each in table.versions()]
    assert found == [
        (1, 9, "create"),
        (2, 10, "add"),
        (3, 10, "metadata"),
        (4, 10, "columns"),
        (5, 10, "drop columns"),
        (6, 9, "delete"),
        (7, 2, "overwrite"),
        (8, 9, "restore"),
    ]
    times = [each.timestamp for each in table.versions()]
    moments = [start, *times, datetime.now(UTC)]
    assert moments == sorted(moments)


def test_restoring_copies_nothing(table: EngineTable, tmp_path: Path) -> None:
    """Rows, columns and metadata come back by deletions alone, there and back again."""
    table.commit(Change(base(table), metadata={"k": "v"}))
    put_column(table, "n", matching(table, "id < 2"), [1, 2])
    overwrite(table, SCHEMA, [batch(*range(20, 29))])
    before = size(tmp_path)
    table.restore(3)
    assert (rows(table), size(tmp_path)) == (rows(table, 3), before)
    assert table.snapshot().metadata == {"k": "v"}
    table.restore(4)
    table.restore(5)
    add(table, [pa.record_batch({"id": [50], "n": [51]})])
    assert rows(table)[-1] == {"id": 50, "n": 51}
    assert (rows(table)[:-1], size(tmp_path)) == (rows(table, 3), before)


def test_what_a_tag_does_not_show_goes(table: EngineTable, tmp_path: Path) -> None:
    """Rows that came and went between a tagged version and the latest are dropped."""
    table.set_tag("first", 1)
    add(table, [batch(*range(100, 200))])
    remove(table, "id >= 100")
    remove(table, "id = 3")
    assert table.optimize().rows_dropped == 0
    done = table.optimize(keep=NOTHING)
    assert (done.rows_dropped, done.versions_removed, done.oldest_version) == (100, 2, 1)
    assert (ids(table, "first"), 3 in ids(table)) == (list(range(9)), False)
    table.delete_tag("first")
    done = table.optimize(keep=NOTHING)
    assert (done.rows_dropped, done.versions_removed, done.oldest_version) == (1, 1, 4)
    with pytest.raises(VersionNotFoundError, match="Version 1 no longer exists"):
        table.snapshot(1)


def test_a_deleted_row_is_gone_from_the_disk(table: EngineTable, tmp_path: Path) -> None:
    """Once no version shows it, neither files nor catalog hold it."""
    overwrite(table, pa.schema({"text": pa.string()}), [pa.record_batch({"text": ["secret"] * 9})])
    add(table, [pa.record_batch({"text": ["plain"]})])
    remove(table, "text = 'secret'")
    table.optimize(keep=NOTHING)
    held = b"".join(path.read_bytes() for path in tmp_path.glob("db/data/*/*"))
    assert (b"plain" in held, b"secret" in held) == (True, False)


def test_deletions_newer_than_a_kept_version_stay_apart(table: EngineTable) -> None:
    """Optimizing again and again folds only what holds in all of them."""
    remove(table, "id = 1")
    table.set_tag("two", 2)
    for number in (2, 3):
        remove(table, f"id = {number}")
    expected = {each.version: ids(table, each.version) for each in table.versions()}
    for keep in (timedelta(days=1), NOTHING, NOTHING):
        table.optimize(keep=keep)
        for each in table.versions():
            assert ids(table, each.version) == expected[each.version]
    assert [each.version for each in table.versions()] == [2, 4]


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "../x"])
def test_a_tag_has_a_plain_name(table: EngineTable, name: str) -> None:
    """Letters, digits, '.', '-' and '_'."""
    with pytest.raises(TagError, match="letters, digits"):
        table.set_tag(name, 1)


def test_many_versions_open_few_files(table: EngineTable) -> None:
    """An overwritten generation is not opened to read the latest version."""
    for _ in range(5):
        overwrite(table, SCHEMA, [batch(*range(9))])
    view = table.latest()  # type: ignore[attr-defined]
    assert (len(view.fragments), len(table.versions())) == (1, 6)
