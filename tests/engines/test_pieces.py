"""How rows are kept: small appends in the catalog, large ones in files of bounded size."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from embow.engines._local import LocalEngine
from embow.engines.contract import EngineTable, OptimizeReport, ScanQuery
from steps import add, drop_columns, overwrite, remove, rows

SCHEMA = pa.schema({"id": pa.int64()})
Open = Callable[..., LocalEngine]


def batch(*numbers: int) -> pa.RecordBatch:
    """Return rows with these ids."""
    return pa.record_batch({"id": pa.array(numbers, pa.int64())})


def files(folder: Path) -> int:
    """Return how many data files there are."""
    return len(list(folder.glob("db/data/*/*")))


@pytest.fixture
def table(open_engine: Open) -> EngineTable:
    """Return an empty table whose tail holds 100 rows."""
    engine = open_engine(small_rows=10, tail_rows=100, block_rows=50)
    return engine.create_table("t", SCHEMA, [])


def test_small_appends_make_no_file(table: EngineTable, tmp_path: Path) -> None:
    """They are kept in the catalog."""
    for number in range(50):
        add(table, [batch(number)])
    assert files(tmp_path) == 0


def test_many_small_appends_make_few_files(table: EngineTable, tmp_path: Path) -> None:
    """The tail moves to a file each time it is full."""
    for number in range(350):
        add(table, [batch(number)])
    assert files(tmp_path) == 3


def test_the_tail_is_read_in_few_blocks(table: EngineTable) -> None:
    """A reader that follows single appends joins them as it goes."""
    for number in range(90):
        add(table, [batch(number)])
        assert len(rows(table)) == number + 1
    blocks = table.latest().tail  # type: ignore[attr-defined]
    assert len(blocks) <= 7


def test_a_reader_loads_only_new_entries(table: EngineTable) -> None:
    """Blocks read before are the same objects after another append."""
    add(table, [batch(*range(10))])
    before = table.latest().tail  # type: ignore[attr-defined]
    add(table, [batch(10)])
    after = table.latest().tail  # type: ignore[attr-defined]
    assert after[0] is before[0]


def test_files_are_of_bounded_size(open_engine: Open, tmp_path: Path) -> None:
    """A long append rolls over to new files."""
    engine = open_engine(small_rows=1, block_rows=100, fragment_bytes=2000)
    engine.create_table("t", SCHEMA, [batch(*range(1000))])
    assert files(tmp_path) == 5


def test_many_tiny_batches_make_large_blocks(open_engine: Open) -> None:
    """Batches of an append are joined."""
    engine = open_engine(small_rows=1, block_rows=100)
    table = engine.create_table("t", SCHEMA, [batch(n) for n in range(250)])
    sizes = [each.num_rows for each in table.snapshot().scan(ScanQuery())]
    assert sizes == [100, 100, 50]


def test_optimize_merges_small_files(open_engine: Open, tmp_path: Path) -> None:
    """Neighbours become one, and what is left unnamed is removed."""
    table = open_engine(small_rows=1).create_table("t", SCHEMA, [])
    for start in range(0, 50, 10):
        add(table, [batch(*range(start, start + 10))])
    done = table.optimize()
    assert (done.fragments_before, done.fragments_after, files(tmp_path)) == (5, 1, 1)


def test_optimize_drops_deleted_rows(open_engine: Open) -> None:
    """Their bytes are gone, not only hidden."""
    table = open_engine(small_rows=1).create_table("t", SCHEMA, [batch(*range(9))])
    remove(table, "id < 4")
    dropped = table.optimize(keep=timedelta(0)).rows_dropped
    stored = sum(part.block.rows for part in table.latest().parts)  # type: ignore[attr-defined]
    assert (dropped, stored) == (4, 5)


def test_optimize_drops_the_bytes_of_a_dropped_column(open_engine: Open) -> None:
    """After the rewrite no file holds it."""
    schema = pa.schema({"id": pa.int64(), "secret": pa.string()})
    data = pa.record_batch({"id": [1, 2], "secret": ["a", "b"]}, schema)
    table = open_engine(small_rows=1).create_table("t", schema, [data])
    drop_columns(table, "secret")
    table.optimize(keep=timedelta(0))
    (part,) = table.latest().parts  # type: ignore[attr-defined]
    assert [name.partition("#")[0] for name in part.block.columns] == ["id"]


def test_optimizing_twice_does_nothing_more(table: EngineTable) -> None:
    """There is an end to it."""
    add(table, [batch(*range(30))])
    add(table, [batch(*range(30))])
    table.optimize()
    assert table.optimize() == OptimizeReport(fragments_before=1, fragments_after=1)


def test_overwriting_gives_space_back(open_engine: Open, tmp_path: Path) -> None:
    """The old files go with the versions that show them."""
    table = open_engine(small_rows=1).create_table("t", SCHEMA, [batch(*range(9))])
    for _ in range(3):
        overwrite(table, SCHEMA, [batch(*range(9))])
    done = table.optimize(keep=timedelta(0))
    assert (done.versions_removed, files(tmp_path)) == (3, 1)


def test_dropping_gives_space_back(open_engine: Open, tmp_path: Path) -> None:
    """No file and no folder of the table remain."""
    engine = open_engine(small_rows=1)
    engine.create_table("t", SCHEMA, [batch(*range(9))])
    engine.drop_table("t")
    assert list((tmp_path / "db" / "data").iterdir()) == []


def test_optimize_gives_back_what_rows_took_in_the_catalog(
    open_engine: Callable[..., LocalEngine], tmp_path: Path
) -> None:
    """Rows that waited in the catalog leave it, the file is small again, and all is there."""
    engine = open_engine(tail_rows=10**6, tail_bytes=2**30)
    schema = pa.schema({"id": pa.int64(), "text": pa.string()})
    table = engine.create_table("t", schema)
    file = tmp_path / "db" / "catalog.sqlite"
    for at in range(8):
        batch = pa.record_batch({"id": pa.array([at]), "text": pa.array(["x" * 400_000])}, schema)
        add(table, [batch])
    remove(table, "id = 3")
    reader = open_engine()
    with reader.open_table("t").snapshot() as held:
        report = table.optimize()
        assert sum(each.stat().st_size for each in file.parent.glob("catalog*")) < 200_000
        assert report.bytes_freed > 2_000_000
        found = held.scan(ScanQuery(columns=["id"])).read_all().column("id").to_pylist()
    assert found == [row["id"] for row in rows(table)] == [0, 1, 2, 4, 5, 6, 7]
    assert [row["id"] for row in rows(open_engine().open_table("t"))] == found
    assert table.optimize().bytes_freed == 0
    add(table, [batch])
    assert len(rows(reader.open_table("t"))) == 8
