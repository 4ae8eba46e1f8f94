"""Conditions with bound values, rows in order, computed columns, and plans, on a table."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import embow
from embow.errors import ConfigurationError, PredicateError, UnknownColumnError
from embow.expr import col, func, sql

SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "name": pa.string(),
        "price": pa.float64(),
        "a b": pa.int64(),
        "place": pa.list_(pa.float32(), 2),
        "tags": pa.list_(pa.string()),
    }
)
ROWS: list[dict[str, Any]] = [
    {"id": 0, "name": "it's", "price": 2.5, "a b": 1, "place": [0.0, 0.0], "tags": ["x", "y"]},
    {"id": 1, "name": None, "price": math.nan, "a b": 1, "place": [1.0, 0.0], "tags": []},
    {"id": 2, "name": "b", "price": None, "a b": 2, "place": [2.0, 0.0], "tags": None},
    {"id": 3, "name": "c", "price": -1.0, "a b": 2, "place": [3.0, 0.0], "tags": ["z"]},
]


@pytest.fixture
def goods(db: embow.Database) -> embow.Table:
    """Four rows with text, numbers, NaN, nulls, a vector and a list."""
    return db.create_table("goods", ROWS, schema=SCHEMA)


def ids(query: Any) -> list[int]:
    """Return the ids of the rows a query gives."""
    return [row["id"] for row in query.to_list()]


def test_values_are_bound_wherever_a_condition_is_taken(goods: embow.Table) -> None:
    """In order or by name, in reads and in writes."""
    assert ids(goods.search().where("name = ? AND id < :most", "it's", most=9)) == [0]
    assert ids(goods.search([0.0, 0.0]).where("id > ?", 1).limit(1)) == [2]
    assert ids(goods.search([0.0, 0.0]).where("_distance > ?", 3, prefilter=False)) == [2, 3]
    assert goods.count_rows("id IN (?)", [1, 3, 7]) == 2
    assert goods.update(where=sql("name = ?", "it's"), values={"name": "?"}).rows_updated == 1
    assert goods.delete("name = :name", name="?").num_deleted_rows == 1
    merge = goods.merge_insert("id").when_matched_update_all("target.id < ?", 2)
    merged = merge.when_not_matched_by_source_delete("id = ?", 3).execute(
        [{**ROWS[1], "name": "new"}, {**ROWS[2], "name": "new"}]
    )
    assert (merged.num_updated_rows, merged.num_deleted_rows) == (1, 1)


def test_an_expression_is_taken_wherever_sql_is(goods: embow.Table) -> None:
    """Alone, joined with SQL, and as a new value."""
    query = goods.search().where(col("id") > 0).where("id < 3").where(~col("name").is_null())
    assert ids(query) == [2]
    assert goods.count_rows((col("a b") == 1) | sql("id = ?", 3)) == 3
    goods.update(where=col("id") == 3, values_sql={"name": func("upper", col("name"))})
    assert goods.delete(col("name") == "C").num_deleted_rows == 1


def test_a_prefilter_by_position_is_refused(goods: embow.Table) -> None:
    """It would be taken for a value."""
    with pytest.raises(ConfigurationError, match="prefilter=False"):
        goods.search([0.0, 0.0]).where("id > 1", False)


@pytest.mark.parametrize(
    ("ascending", "nulls_first", "expected"),
    [
        (True, False, [3, 0, 1, 2]),
        (True, True, [2, 3, 0, 1]),
        (False, False, [1, 0, 3, 2]),
        (False, True, [2, 1, 0, 3]),
    ],
)
def test_rows_come_in_order(
    goods: embow.Table, ascending: bool, nulls_first: bool, expected: list[int]
) -> None:
    """NaN is the greatest; rows without a value come where they are asked for."""
    query = goods.search().order_by("price", ascending=ascending, nulls_first=nulls_first)
    assert ids(query) == expected
    assert ids(query.where("id <> 1").limit(2).offset(1)) == [i for i in expected if i != 1][1:3]


def test_further_keys_sort_what_is_equal(goods: embow.Table) -> None:
    """Any name, expressions of both kinds, and at last the order of the table."""
    assert ids(goods.search().order_by("a b", ascending=False)) == [2, 3, 0, 1]
    assert ids(goods.search().order_by("a b").order_by("id * -1")) == [1, 0, 3, 2]
    assert ids(goods.search().order_by(-col("id")).select(["id"])) == [3, 2, 1, 0]
    with pytest.raises(PredicateError, match="cannot be sorted by column 'tags'"):
        goods.search().order_by("tags").to_list()
    with pytest.raises(ConfigurationError, match="nearest rows first"):
        goods.search([0.0, 0.0]).order_by("id")


@settings(max_examples=40)
@given(
    rows=st.lists(
        st.tuples(st.none() | st.integers(-2, 2), st.none() | st.floats(width=32)), max_size=12
    )
    | st.lists(
        st.tuples(st.integers(-5, 5), st.none() | st.floats(width=32)), min_size=16, max_size=40
    ),
    ways=st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
    offset=st.integers(0, 3),
    limit=st.none() | st.integers(0, 5),
)
def test_order_agrees_with_python(
    rows: list[tuple[int | None, float | None]],
    ways: tuple[bool, bool, bool, bool],
    offset: int,
    limit: int | None,
) -> None:
    """Two keys, each up or down, nulls first or last, and a window of the result."""

    def key(value: float | None, up: bool, first: bool) -> tuple[int, float, float]:
        if value is None:
            return (-1 if first else 1, 0, 0)
        sign = 1 if up else -1
        return (0, sign * math.isnan(value), 0 if math.isnan(value) else sign * value)

    with embow.connect("memory://") as db:
        data = pa.table(
            {
                "n": pa.array(range(len(rows)), pa.int64()),
                "a": pa.array([a for a, _ in rows], pa.int64()),
                "b": pa.array([b for _, b in rows], pa.float32()),
            }
        )
        query = db.create_table("t", data, schema=data.schema).search()
        for name, at in (("a", 0), ("b", 2)):
            query.order_by(name, ascending=ways[at], nulls_first=ways[at + 1])
        found = query.offset(offset).limit(limit).to_arrow()["n"].to_pylist()
    order = sorted(
        range(len(rows)),
        key=lambda n: (key(rows[n][0], *ways[:2]), key(rows[n][1], *ways[2:])),
    )
    assert found == order[offset:][:limit]


def test_values_are_computed_from_columns(goods: embow.Table) -> None:
    """By the names they get, beside columns as they are, whatever their names and types."""
    query = (
        goods.search()
        .where("id < 2")
        .select(
            {
                "x": "price * 2",
                "same": "a b",
                "v": "place",
                "one": "1",
                "n": col("name"),
                "r": "_rowid",
            }
        )
    )
    table = query.to_arrow()
    assert table.column_names == ["x", "same", "v", "one", "n", "r"]
    assert table.schema.field("v").type == SCHEMA.field("place").type
    assert table["x"].to_pylist()[0] == 5.0
    assert table["same"].to_pylist() == [1, 1]
    assert (
        table["r"].to_pylist() == goods.search().with_row_id().to_arrow()["_rowid"][:2].to_pylist()
    )
    nothing = goods.search().where("false").select({"x": "tags[1]", "one": "1"}).to_arrow()
    assert (nothing.num_rows, nothing.schema.types) == (0, [pa.string(), pa.int64()])
    assert goods.search().select({"one": "1"}).to_list() == [{"one": 1}] * 4


def test_a_search_computes_values_too(goods: embow.Table) -> None:
    """Also from the distance, which comes last where it is not named."""
    found = goods.search([0.0, 0.0]).select({"far": "sqrt(_distance)"}).limit(2).to_list()
    assert found == [{"far": 0.0, "_distance": 0.0}, {"far": 1.0, "_distance": 1.0}]
    named = goods.search([[0.0, 0.0], [3.0, 0.0]]).limit(1).select({"_distance": "_distance"})
    assert named.to_list() == [
        {"_distance": 0.0, "query_index": 0},
        {"_distance": 0.0, "query_index": 1},
    ]
    assert goods.search([0.0, 0.0]).select(["_distance"]).limit(1).to_list() == [{"_distance": 0}]
    late = goods.search([0.0, 0.0]).where("id > 2", prefilter=False).select({"n": "upper(name)"})
    assert [row["n"] for row in late.to_list()] == ["C"]


@pytest.mark.parametrize("given_columns", [{}, {"x": 1}, "id", 5, [1]])
def test_a_selection_of_another_kind_is_refused(goods: embow.Table, given_columns: Any) -> None:
    """Names or expressions; the message shows both."""
    with pytest.raises(ConfigurationError, match="select takes a list of column names"):
        goods.search().select(given_columns)


def test_a_selection_that_cannot_be_read_says_why(goods: embow.Table) -> None:
    """What is not there is named, and the nearest."""
    with pytest.raises(PredicateError, match="Did you mean 'price'"):
        goods.search().select({"x": "prise * 2"}).to_list()
    with pytest.raises(UnknownColumnError, match="Did you mean 'price'"):
        goods.search().select(["prise"]).to_list()


def test_a_plan_says_what_will_be_done(goods: embow.Table) -> None:
    """Steps in their order, before anything is run."""
    query = goods.search().where("id > ?", 1).order_by("price").select(["id"]).limit(2).offset(1)
    plan = query.explain_plan()
    assert [line.split()[0] for line in plan.splitlines()] == ["Rows", "filter", "sort", "read"]
    assert "4 rows" in plan
    assert "reads id" in plan
    assert "at most 2 rows after the first 1" in plan
    search = goods.search([[0.0, 0.0]] * 2).where("_distance < 1", prefilter=False).explain_plan()
    assert "place (2 queries, l2, 2 x float); exact scan" in search
    assert "keep" in search


def test_an_analysis_says_what_was_done(goods: embow.Table) -> None:
    """Rows, bytes and milliseconds of each step."""
    told = goods.search([0.0, 0.0]).where("id > 1").metric("cosine").analyze_plan()
    assert "2 of 4 rows pass" in told
    assert "2 vectors read; 16 bytes" in told
    assert "ms in all" in told
    assert "result  2 rows" in told
    assert " ms" in goods.search().order_by("id").analyze_plan()


def test_the_plan_of_a_text_calls_no_provider(words: embow.Table, monkeypatch: Any) -> None:
    """It names the function; the analysis calls it and says how long that took."""
    words.add([{"text": "apple"}])
    query = words.search("apple")
    assert "1 input with" in query.explain_plan()
    analysis = next(line for line in query.analyze_plan().splitlines() if "embed" in line)
    assert analysis.endswith("ms")


def test_the_asynchronous_face_takes_the_same(goods: embow.Table) -> None:
    """Building is the same; plans are awaited."""

    async def use() -> None:
        async with await embow.connect_async("memory://") as db:
            table = await db.create_table("goods", ROWS, schema=SCHEMA)
            query = table.search().where("id > ?", 0).order_by("id", ascending=False)
            assert [row["id"] for row in await query.to_list()] == [3, 2, 1]
            assert "sort" in await query.explain_plan()
            assert await table.count_rows("id = :id", id=1) == 1
            assert (await table.delete(col("id") == 1)).num_deleted_rows == 1
            done = await table.update({"name": "w"}, where=sql("id = ?", 2))
            assert done.rows_updated == 1

    asyncio.run(use())


def test_vectors_are_set_by_sql(goods: embow.Table) -> None:
    """A list in brackets fits a column of vectors."""
    goods.update(where="id = 0", values_sql={"place": "[2.0, 2.0]"})
    row = goods.search().where("id = 0").to_arrow()["place"].to_pylist()
    assert np.allclose(row, [[2.0, 2.0]])
