"""Indexes as users meet them: made, listed, dropped, and told of in plans."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import embow
from embow.errors import CheckedOutError, ConfigurationError, PluginError, UnknownColumnError
from embow.index import FTS, Hnsw
from embow.plugins._known import INDEXES
from embow.plugins._listing import missing
from embow_testing.fake import FakeEmbeddings
from flat import Flat, flat_only

FLAT: Any = Flat()


@pytest.fixture(autouse=True)
def flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have one library, and small tables use it."""
    monkeypatch.setattr("embow._table.connect.index_library", flat_only)
    monkeypatch.setattr("embow.engines.contract._routes._LOOKS", 0)


@pytest.fixture(params=["folder", "memory"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[embow.Database]:
    """Return an empty database of each engine."""
    database = embow.connect(tmp_path / "db" if request.param == "folder" else "memory://")
    yield database
    database.close()


@pytest.fixture
def table(db: embow.Database) -> embow.Table:
    """Return a table of ten points on a line."""
    return db.create_table("t", [{"id": n, "vector": [float(n), 0.0]} for n in range(10)])


def test_an_index_is_made_listed_and_dropped(table: embow.Table) -> None:
    """By the name of its column, or one that is given."""
    made = table.create_index("vector", FLAT)
    assert (made.name, made.column, made.kind, made.num_indexed_rows) == (
        "vector_idx",
        "vector",
        "flat",
        10,
    )
    table.add([{"id": 10, "vector": [10.0, 0.0]}])
    assert table.index_stats("vector_idx").num_unindexed_rows == 1
    table.create_index("vector", FLAT, name="other")
    assert [each.name for each in table.list_indices()] == ["other", "vector_idx"]
    table.drop_index("other")
    assert [each.name for each in table.list_indices()] == ["vector_idx"]
    assert table.optimize().pieces_built == 1
    assert table.index_stats("vector_idx").num_unindexed_rows == 0


def test_wrong_calls_are_told_apart(table: embow.Table) -> None:
    """Each by a sentence that names what there is."""
    table.create_index("vector", FLAT)
    with pytest.raises(ConfigurationError, match="replace=True"):
        table.create_index("vector", FLAT)
    table.create_index("vector", FLAT, replace=True)
    with pytest.raises(ConfigurationError, match="Did you mean 'vector_idx'"):
        table.index_stats("vector_id")
    with pytest.raises(ConfigurationError, match="no index 'x'"):
        table.drop_index("x")
    with pytest.raises(ConfigurationError, match=r"Hnsw\(...\) or FTS"):
        table.create_index("vector", "IVF_PQ")  # type: ignore[arg-type]
    table.checkout(1)
    with pytest.raises(CheckedOutError):
        table.create_index("vector", FLAT, replace=True)
    with pytest.raises(CheckedOutError):
        table.drop_index("vector_idx")


def test_a_library_that_is_not_there_is_named(table: embow.Table) -> None:
    """And no definition is left."""
    with pytest.raises(PluginError, match="hnsw"):
        table.create_index("vector")
    assert table.list_indices() == []


def test_the_kinds_embow_knows_say_how_to_get_them() -> None:
    """Where their distribution is not installed."""
    assert ["embow-faiss" in each.hint for each in missing(INDEXES, [], [])] == [False, True]


def test_a_plan_tells_of_the_index(table: embow.Table) -> None:
    """What it covers, what is read beside it, and that nothing is lost."""
    search = table.search([3.2, 0.0]).limit(2)
    assert "exact scan of every row that passes, no index" in search.explain_plan()
    table.create_index("vector", FLAT)
    table.add([{"id": 10, "vector": [3.3, 0.0]}])
    assert "index 'vector_idx' (flat) over 10 rows, ef 64, 1 newer read" in search.explain_plan()
    assert "1 vectors read" in search.analyze_plan()
    assert "not asked for" in table.search([3.2, 0.0]).bypass_vector_index().explain_plan()
    assert "ef 500" in table.search([3.2, 0.0]).ef(500).explain_plan()
    assert [row["id"] for row in search.to_list()] == [10, 3]
    assert [row["id"] for row in search.fast_search().to_list()] == [3, 4]


def test_a_large_table_without_index_is_told_of(
    table: embow.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From so many rows that it would be felt."""
    monkeypatch.setattr("embow._table.reading.explain.WORTH", 10)
    assert "create_index('vector') would make it faster" in table.search([1, 0]).explain_plan()


def test_ef_is_a_number_of_rows(table: embow.Table) -> None:
    """At least one."""
    with pytest.raises(ConfigurationError, match="ef"):
        table.search([1.0, 0.0]).ef(0)


def test_an_index_follows_its_column(
    db: embow.Database,
) -> None:
    """Through a change of model, back again, and through another name and type."""
    texts = [f"note {n}" for n in range(9)]
    vectors = pa.array([[float(n), 1.0] for n in range(9)], pa.list_(pa.float32(), 2))
    table = db.create_table("notes", pa.table({"text": texts, "x": vectors}))
    embow.get_registry().register("fake")(FakeEmbeddings)
    table.add_embedding("vector", "text", FakeEmbeddings.create(dim=4))
    table.create_index("vector", FLAT)
    table.migrate("vector", FakeEmbeddings.create(dim=6), keep_old=True)
    stats = table.index_stats("vector_idx")
    assert (stats.column, stats.num_unindexed_rows) == ("vector", 9)
    table.optimize()
    assert table.index_stats("vector_idx").num_unindexed_rows == 0
    table.rollback("vector")
    table.optimize()
    assert table.index_stats("vector_idx").column == "vector"
    table.create_index("x", FLAT)
    table.alter_columns({"path": "x", "data_type": pa.list_(pa.float64(), 2)})
    table.alter_columns({"path": "x", "rename": "y"})
    table.optimize()
    stats = table.index_stats("x_idx")
    assert (stats.column, stats.num_indexed_rows, stats.trouble) == ("y", 9, "")
    assert table.search([3.0, 1.0], vector_column_name="y").to_list()[0]["text"] == "note 3"


def test_a_field_of_a_struct_has_an_index(db: embow.Database) -> None:
    """It is found by its path, whatever happens to the column; where that is null, it is null."""
    image = pa.struct({"name": pa.string(), "small.x": pa.list_(pa.float32(), 2)})
    schema = pa.schema({"id": pa.int64(), "an image": image})
    rows = [{"id": n, "an image": {"name": "a", "small.x": [n, 0.0]}} for n in range(9)]
    rows[4]["an image"] = None
    table = db.create_table("deep", rows, schema=schema)
    stats = table.create_index("an image.small.x", FLAT, name="deep")
    assert (stats.column, stats.num_indexed_rows, stats.trouble) == ("an image.small.x", 8, "")
    search = table.search([4.2, 0.0], vector_column_name="an image.small.x").limit(2)
    assert "deep" in search.explain_plan()
    assert [row["id"] for row in search.fast_search().to_list()] == [5, 3]
    table.alter_columns({"path": "an image", "rename": "picture"})
    table.add([{"id": 9, "picture": {"name": "b", "small.x": [4.0, 0.0]}}])
    table.delete("id = 5")
    assert table.optimize().pieces_built == 1
    stats = table.index_stats("deep")
    assert (stats.column, stats.num_unindexed_rows) == ("picture.small.x", 0)
    search = table.search([4.2, 0.0], vector_column_name="picture.small.x").fast_search().limit(2)
    assert [row["id"] for row in search.to_list()] == [9, 3]
    with pytest.raises(UnknownColumnError, match=r"Did you mean 'picture.small.x'"):
        table.create_index("picture.small.xx", FLAT)
    with pytest.raises(ConfigurationError, match="string"):
        table.create_index("picture.name", FLAT)
    table.drop_columns(["picture"])
    table.optimize()
    assert table.index_stats("deep").trouble


def test_what_lies_under_a_null_struct_is_not_indexed(db: embow.Database) -> None:
    """Arrow may keep values there, which are no values."""
    vectors = pa.array([[float(n), 0.0] for n in range(4)], pa.list_(pa.float32(), 2))
    held = pa.StructArray.from_arrays([vectors], ["x"], mask=pa.array([False, True, False, False]))
    table = db.create_table("t", pa.table({"id": list(range(4)), "a": held}))
    assert table.create_index("a.x", FLAT).num_indexed_rows == 3
    search = table.search([1.0, 0.0], vector_column_name="a.x").fast_search()
    assert sorted(row["id"] for row in search.to_list()) == [0, 2, 3]


def test_an_index_of_a_field_follows_another_type_of_its_column(db: embow.Database) -> None:
    """Its pieces are built anew for the new column."""
    kind = pa.struct({"x": pa.list_(pa.float32(), 2)})
    rows = [{"id": n, "a": {"x": [n, 0.0]}} for n in range(5)]
    table = db.create_table("t", rows, schema=pa.schema({"id": pa.int64(), "a": kind}))
    table.create_index("a.x", FLAT)
    table.alter_columns({"path": "a", "data_type": pa.struct({"x": pa.list_(pa.float64(), 2)})})
    assert table.index_stats("a.x_idx").num_unindexed_rows == 5
    table.optimize(timedelta(0))
    stats = table.index_stats("a.x_idx")
    assert (stats.column, stats.num_indexed_rows, stats.num_pieces) == ("a.x", 5, 1)


def test_settings_are_checked_and_plain() -> None:
    """What is kept with the table is JSON."""
    assert FTS(custom_stop_words=("a",)).settings()["custom_stop_words"] == ["a"]
    assert Hnsw(m=8).settings() == {
        "metric": "l2",
        "m": 8,
        "ef_construction": 150,
        "storage": "float16",
    }


async def _awaited(folder: Path) -> list[str]:
    db = await embow.connect_async(folder)
    table = await db.create_table("t", [{"vector": [float(n), 0.0]} for n in range(5)])
    await table.create_index("vector", FLAT)
    names = [each.name for each in await table.list_indices()]
    rows = await table.search([1.0, 0.0]).ef(9).fast_search().limit(1).to_list()
    assert np.allclose(rows[0]["vector"], [1, 0])
    await table.drop_index("vector_idx")
    return names


def test_it_can_be_awaited(tmp_path: Path) -> None:
    """All of it."""
    assert asyncio.run(_awaited(tmp_path / "db")) == ["vector_idx"]
