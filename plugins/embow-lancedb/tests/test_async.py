"""The calls that are awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import embow_lancedb as lancedb
from embow_lancedb.embeddings import get_registry
from embow_lancedb.index import FTS
from embow_lancedb.pydantic import LanceModel, Vector
from embow_lancedb.query import AsyncHybridQuery, AsyncQuery, AsyncVectorQuery, ColumnOrdering
from embow_lancedb.rerankers import RRFReranker

Use = Callable[[lancedb.AsyncTable], Awaitable[Any]]


def with_fruit(folder: Path, use: Use) -> Any:
    """Return what a use of a table of three fruits returns."""

    async def run() -> Any:
        async with await lancedb.connect_async(folder) as db:
            rows = [
                {"name": "fig", "price": 3.0, "vector": [1.0, 0.0]},
                {"name": "plum", "price": 2.0, "vector": [2.0, 0.0]},
                {"name": "pear", "price": 1.0, "vector": [4.0, 0.0]},
            ]
            return await use(await db.create_table("fruit", rows))

    return asyncio.run(run())


def test_a_connection_is_used_with_and_without_waiting(tmp_path: Path) -> None:
    """``with await connect_async``, ``is_open``, names, and an interval that is not needed."""

    async def run() -> None:
        settings = {"api_key": None, "region": "x", "session": None}
        interval = timedelta(seconds=1)
        with await lancedb.connect_async(
            tmp_path, read_consistency_interval=interval, **settings
        ) as db:
            assert isinstance(db, lancedb.AsyncConnection)
            assert await db.get_read_consistency_interval() == interval
            await db.create_table("b", [{"a": 1}], storage_options={"x": "y"})
            await db.create_table("a", schema=pa.schema([("a", pa.int64())]), mode="create")
            assert (await db.list_tables(limit=1)).tables == ["a"]
            with pytest.warns(DeprecationWarning, match="table_names"):
                assert await db.table_names(start_after="a", limit=5) == ["b"]
            await db.drop_table("a")
            await db.drop_table("a", ignore_missing=True)
            with pytest.raises(FileNotFoundError):
                await db.open_table("a")
            await db.rename_table("b", "c")
            assert (await db.list_tables()).tables == ["c"]
            await db.drop_all_tables()
            assert db.is_open()
        assert not db.is_open()

    asyncio.run(run())


def test_a_table_tells_what_it_is(tmp_path: Path) -> None:
    """Properties of the synchronous table are calls here."""

    async def use(table: lancedb.AsyncTable) -> None:
        assert (table.name, await table.version(), await table.count_rows()) == ("fruit", 1, 3)
        assert (await table.schema()).names == ["name", "price", "vector"]
        assert (await table.head(2)).num_rows == 2
        assert (await table.to_arrow()).num_rows == len(await table.to_pandas()) == 3
        assert await table.embedding_functions() == {}
        with table:
            assert table.is_open()
        assert repr(table) == "ClosedTable(fruit)"
        found = table.query()
        for call in (table.count_rows, found.to_list, table.schema, table.list_indices):
            with pytest.raises(ValueError, match="Table fruit is closed"):
                await call()

    with_fruit(tmp_path, use)


def test_rows_are_changed(tmp_path: Path) -> None:
    """New values come first here, the condition by keyword."""

    async def use(table: lancedb.AsyncTable) -> None:
        await table.add([{"name": "kiwi", "price": 8.0, "vector": [0.0, 3.0]}])
        assert (await table.update({"price": 9.0}, where="name = 'kiwi'")).rows_updated == 1
        await table.update(where="price > 5", updates_sql={"price": "price + 1"})
        assert await table.count_rows("price = 10") == 1
        merge = table.merge_insert("name").when_matched_update_all()
        result = await merge.execute([{"name": "fig", "price": 7.0}], timeout=timedelta(minutes=1))
        assert result.num_updated_rows == 1
        assert (await table.delete("price > 5")).num_deleted_rows == 2

    with_fruit(tmp_path, use)


def test_versions_and_columns_change(tmp_path: Path) -> None:
    """As in the synchronous table, awaited."""

    async def use(table: lancedb.AsyncTable) -> None:
        await table.add_columns({"twice": "price * 2"})
        await table.alter_columns({"path": "twice", "rename": "double"})
        await table.drop_columns(["double"])
        await table.tags.create("old", 1)
        assert (await table.tags.list())["old"]["version"] == 1
        await table.checkout("old")
        assert await table.version() == 1
        await table.checkout_latest()
        await table.restore(1)
        assert len(await table.list_versions()) == 5
        await table.optimize(cleanup_older_than=timedelta(0))

    with_fruit(tmp_path, use)


def test_a_query_is_built_and_awaited_at_its_end(tmp_path: Path) -> None:
    """``query()`` reads, ``nearest_to`` searches."""

    class Fruit(LanceModel):
        name: str

    async def use(table: lancedb.AsyncTable) -> None:
        query = table.query().where("price > 1").select(["name"]).limit(5).offset(1)
        assert isinstance(query, AsyncQuery)
        assert await query.to_list() == [{"name": "plum"}]
        ordering = [ColumnOrdering(column_name="price")]
        assert (await table.query().order_by(ordering).to_arrow())["name"][0].as_py() == "pear"
        near = table.query().nearest_to([1.0, 0.0]).limit(2)
        assert isinstance(near, AsyncVectorQuery)
        assert await near.to_pydantic(Fruit) == [Fruit(name="fig"), Fruit(name="plum")]
        batches = [batch async for batch in await near.to_batches(max_batch_length=1)]
        assert [batch.num_rows for batch in batches] == [1, 1]
        assert len(await near.to_pandas(flatten=True)) == len(await near.to_polars()) == 2
        assert "fruit" in await near.explain_plan()
        assert "ms" in await near.analyze_plan()
        assert "_rowid" in (await near.with_row_id().output_schema()).names

    with_fruit(tmp_path, use)


@pytest.mark.parametrize(
    "vector", [[1.0, 0.0], (1, 0), np.array([1.0, 0.0]), pa.array([1.0, 0.0])], ids=type
)
def test_nearest_to_takes_many_forms(tmp_path: Path, vector: Any) -> None:
    """Lists, tuples, whole numbers, arrays; ``vector_search`` is the same."""

    async def use(table: lancedb.AsyncTable) -> list[dict[str, Any]]:
        query = table.vector_search(vector).column("vector").distance_type("DoT").nprobes(3)
        return await query.refine_factor(2).ef(9).bypass_vector_index().to_list()

    assert [row["name"] for row in with_fruit(tmp_path, use)] == ["pear", "plum", "fig"]


def test_nearest_to_nothing_is_refused(tmp_path: Path) -> None:
    """When it is called."""

    async def use(table: lancedb.AsyncTable) -> None:
        with pytest.raises(ValueError, match="nearest_to takes a vector"):
            table.query().nearest_to(None)

    with_fruit(tmp_path, use)


def test_a_filter_after_the_search(tmp_path: Path) -> None:
    """``postfilter`` holds for the query, wherever it is called."""

    async def use(table: lancedb.AsyncTable) -> list[int]:
        near = table.query().nearest_to([1.0, 0.0])
        before = await near.where("price < 3").limit(1).to_list()
        return [len(before), len(await near.postfilter().to_list())]

    assert with_fruit(tmp_path, use) == [1, 0]


def test_search_need_not_be_awaited(tmp_path: Path) -> None:
    """As LanceDB had it before; a vector needs nothing to be read first."""

    async def use(table: lancedb.AsyncTable) -> None:
        found = await table.search([4.0, 0.0]).limit(1).select(["name"]).to_list()
        assert found == [{"name": "pear", "_distance": 0.0}]

    with_fruit(tmp_path, use)


def test_a_text_is_searched_for_by_meaning_and_words(tmp_path: Path) -> None:
    """Once its column has an index of words; the synchronous table searches by meaning."""
    function = get_registry().get("lancedb-lengths").create()

    class Words(LanceModel):
        text: str = function.SourceField()
        vector: Vector(2) = function.VectorField()  # type: ignore[valid-type]

    async def run() -> None:
        async with await lancedb.connect_async(tmp_path) as db:
            table = await db.create_table("words", schema=Words)
            await table.add([{"text": "one fig"}, {"text": "two plums"}])
            near = await (await table.search("plum")).to_arrow()
            assert near.column_names == ["text", "vector", "_distance"]
            await table.create_index("text", config=FTS())
            both = await table.search("plum")
            assert isinstance(both, AsyncHybridQuery)
            assert (await both.to_list())[0]["_relevance_score"] > 0
            words = await (await table.search("plum", query_type="fts")).to_list()
            assert [row["text"] for row in words] == ["two plums"]

    asyncio.run(run())


def test_both_halves_of_a_search_are_given(tmp_path: Path) -> None:
    """In either order, with filters, distances and a reranker."""

    async def use(table: lancedb.AsyncTable) -> None:
        await table.create_index("name", config=FTS())
        first = table.query().nearest_to([1.0, 0.0]).nearest_to_text("pear", columns="name")
        second = table.query().nearest_to_text("pear", columns=["name"]).nearest_to([1.0, 0.0])
        assert await first.to_list() == await second.to_list()
        near = first.where("price > 1").distance_type("cosine").distance_range(0.0, 2.0)
        rows = await near.rerank(RRFReranker(K=1), normalize="rank").limit(2).to_list()
        assert {row["name"] for row in rows} == {"fig", "plum"}

    with_fruit(tmp_path, use)


def test_search_is_awaited_for_a_builder(tmp_path: Path) -> None:
    """``await table.search(...)`` and then its results."""

    async def use(table: lancedb.AsyncTable) -> None:
        found = await (await table.search([4.0, 0.0])).limit(1).to_list()
        assert found[0]["name"] == "pear"
        assert len(await (await table.search()).to_list()) == 3

    with_fruit(tmp_path, use)


def test_a_query_has_a_time_limit(tmp_path: Path) -> None:
    """After no time at all there is no answer."""

    async def use(table: lancedb.AsyncTable) -> None:
        with pytest.raises(TimeoutError, match="Query timeout"):
            await table.query().nearest_to([1.0, 0.0]).to_list(timeout=timedelta(0))

    with_fruit(tmp_path, use)


def test_rows_are_taken_by_id_and_place(tmp_path: Path) -> None:
    """Both calls return a query at once."""

    async def use(table: lancedb.AsyncTable) -> None:
        rows = await table.query().with_row_id().to_list()
        taken = table.take_row_ids([rows[2]["_rowid"], rows[0]["_rowid"]])
        assert [row["name"] for row in await taken.to_list()] == ["pear", "fig"]
        placed = await table.take_offsets([2, 1]).select(["name"]).to_list()
        assert placed == [{"name": "plum"}, {"name": "pear"}]
        with pytest.raises(ValueError, match="places go from 0 to 2"):
            await table.take_offsets([3]).to_list()

    with_fruit(tmp_path, use)
