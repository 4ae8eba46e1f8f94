"""The builders of queries and what they return."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import embow_lancedb as lancedb
from embow_lancedb.expr import col, func, lit
from embow_lancedb.pydantic import LanceModel
from embow_lancedb.query import (
    ColumnOrdering,
    LanceEmptyQueryBuilder,
    LanceQueryBuilder,
    LanceVectorQueryBuilder,
)
from embow_lancedb.rerankers import Reranker
from embow_lancedb.table import LanceTable


def found(query: Any) -> list[str]:
    """Return the names that a query finds, in order."""
    return [row["name"] for row in query.to_list()]


def test_builders_have_the_names_of_lancedb(fruit: LanceTable) -> None:
    """A search is a vector search, none is a scan, both are builders."""
    assert isinstance(fruit.search([1.0, 0.0]), LanceVectorQueryBuilder)
    assert isinstance(fruit.search(), LanceEmptyQueryBuilder)
    assert isinstance(fruit.search(), LanceQueryBuilder)


@pytest.mark.parametrize(
    "query",
    [[2.1, 0.0], (2.1, 0.0), np.array([2.1, 0.0]), pa.array([2.1, 0.0])],
    ids=["list", "tuple", "numpy", "arrow"],
)
def test_a_vector_comes_in_many_forms(fruit: LanceTable, query: Any) -> None:
    """The nearest first, with the squared distance."""
    rows = fruit.search(query).limit(2).to_list()
    assert [row["name"] for row in rows] == ["plum", "fig"]
    assert rows[0]["_distance"] == pytest.approx(0.01, abs=1e-6)


def test_several_vectors_are_told_apart(fruit: LanceTable) -> None:
    """``query_index`` is the place of the vector in the query."""
    rows = fruit.search([[1.0, 0.0], [4.0, 0.0]]).limit(1).to_list()
    assert [(row["query_index"], row["name"]) for row in rows] == [(0, "fig"), (1, "pear")]


def test_a_filter_is_before_the_search_unless_told(fruit: LanceTable) -> None:
    """``prefilter`` goes by position or keyword, and holds for the query, not for one condition."""
    near = [1.0, 0.0]
    assert found(fruit.search(near).where("price < 3").limit(1)) == ["plum"]
    assert found(fruit.search(near).where("price < 3", True).limit(1)) == ["plum"]
    assert found(fruit.search(near).where("price < 3", False).limit(1)) == []
    assert found(fruit.search(near).where("price < 3", prefilter=False).limit(2)) == ["plum"]
    late = fruit.search(near).where("price < 3").where("name != 'pear'", prefilter=False)
    assert found(late.limit(1)) == []


def test_conditions_are_joined_and_may_be_expressions(fruit: LanceTable) -> None:
    """SQL and expressions mix, by AND."""
    query = fruit.search().where("price > 1").where(col("name") == lit("fig"))
    assert found(query) == ["fig"]
    assert found(fruit.search().where(func("upper", col("name")) == "PEAR")) == ["pear"]


def test_a_scan_has_no_limit_unless_given(fruit: LanceTable) -> None:
    """Zero, less and ``None`` mean all rows."""
    counts = [len(fruit.search().limit(limit).to_list()) for limit in (None, 0, -1, 2)]
    assert counts == [3, 3, 3, 2]
    assert found(fruit.search().offset(1).limit(1)) == ["plum"]


@pytest.mark.parametrize("limit", [None, 0, -1])
def test_a_vector_search_needs_a_limit(fruit: LanceTable, limit: int | None) -> None:
    """Ten where none is given; none at all is refused."""
    with pytest.raises(ValueError, match="Limit is required for ANN/KNN queries"):
        fruit.search([1.0, 0.0]).limit(limit)


def test_columns_are_chosen_by_name_and_expression(fruit: LanceTable) -> None:
    """The distance comes too."""
    query = fruit.search([1.0, 0.0]).limit(1)
    assert query.select(["name"]).to_list() == [{"name": "fig", "_distance": 0.0}]
    assert query.select({"twice": "price * 2"}).to_list() == [{"twice": 6.0, "_distance": 0.0}]


def test_row_ids_come_where_asked_for(fruit: LanceTable) -> None:
    """``with_row_id(False)`` takes it back."""
    query = fruit.search([1.0, 0.0]).select(["name"]).limit(1)
    assert query.with_row_id(True).to_arrow().column_names == ["name", "_distance", "_rowid"]
    assert query.with_row_id(False).to_arrow().column_names == ["name", "_distance"]


@pytest.mark.parametrize(
    ("metric", "names"),
    [("l2", ["fig", "plum", "pear"]), ("DOT", ["pear", "plum", "fig"])],
)
def test_distances_are_named_in_any_case(fruit: LanceTable, metric: str, names: list[str]) -> None:
    """``metric`` and ``distance_type`` are one call."""
    assert found(fruit.search([1.0, 0.0]).metric(metric)) == names
    assert found(fruit.search([1.0, 0.0]).distance_type(metric)) == names


def test_an_unknown_distance_is_refused(fruit: LanceTable) -> None:
    """When it is named, with those there are."""
    with pytest.raises(ValueError, match=r"'cosin'.*Did you mean 'cosine'.*hamming"):
        fruit.search([1.0, 0.0]).metric("cosin")


def test_distances_are_bounded(fruit: LanceTable) -> None:
    """The lower bound is in, the upper one is not."""
    query = fruit.search([1.0, 0.0])
    assert found(query.distance_range(1.0, 9.0)) == ["plum"]
    assert found(query.distance_range(upper_bound=1.0)) == ["fig"]
    assert found(query.distance_range(lower_bound=9.0)) == ["pear"]


def test_settings_of_an_index_are_taken(fruit: LanceTable) -> None:
    """They chain, and change no answer of an exact search."""
    query = fruit.search([1.0, 0.0]).nprobes(20).minimum_nprobes(5).maximum_nprobes(0)
    query = query.refine_factor(2).ef(50).bypass_vector_index()
    assert found(query) == ["fig", "plum", "pear"]
    with pytest.raises(ValueError, match="minimum_nprobes must be greater than 0"):
        query.minimum_nprobes(0)
    with pytest.raises(ValueError, match="maximum_nprobes must be greater than or equal to"):
        query.minimum_nprobes(5).maximum_nprobes(4)


def test_rows_are_sorted(fruit: LanceTable) -> None:
    """By one column or several, as LanceDB's objects say."""
    down = ColumnOrdering(column_name="price", ascending=False)
    assert found(fruit.search().order_by([down])) == ["fig", "plum", "pear"]
    assert found(fruit.search().order_by(ColumnOrdering(column_name="price"))) == [
        "pear",
        "plum",
        "fig",
    ]


def test_results_come_in_every_form(fruit: LanceTable) -> None:
    """Arrow, batches, dicts, pandas, polars, objects, and the deprecated ``to_df``."""

    class Fruit(LanceModel):
        name: str

    query = fruit.search([1.0, 0.0]).limit(2)
    assert query.to_arrow().num_rows == query.output_schema().names.index("_distance") - 1 == 2
    assert [batch.num_rows for batch in query.to_batches(1)] == [1, 1]
    assert list(query.to_pandas()["name"]) == query.to_polars()["name"].to_list()
    assert query.to_pydantic(Fruit)[0] == Fruit(name="fig")
    with pytest.warns(DeprecationWarning, match="to_df"):
        assert len(query.to_df()) == 2


def test_structs_are_flattened(db: lancedb.DBConnection) -> None:
    """All the way, or so many levels."""
    query = db.create_table("t", [{"a": {"b": 1, "c": {"d": 2}}}]).search()
    assert list(query.to_pandas(flatten=True)) == ["a.b", "a.c.d"]
    assert list(query.to_pandas(flatten=1)) == ["a.b", "a.c"]
    assert list(query.to_pandas(flatten=False)) == ["a"]
    with pytest.raises(ValueError, match="positive integer for flatten"):
        query.to_pandas(flatten=0)


@pytest.mark.parametrize("form", ["to_arrow", "to_batches", "to_list", "to_pandas", "to_polars"])
def test_a_query_has_a_time_limit(fruit: LanceTable, form: str) -> None:
    """After no time at all there is no answer; after enough there is."""
    query = fruit.search([1.0, 0.0])
    with pytest.raises(TimeoutError, match="Query timeout"):
        getattr(query, form)(timeout=timedelta(0))
    assert getattr(query, form)(timeout=timedelta(minutes=1)) is not None


def test_plans_are_told(fruit: LanceTable) -> None:
    """As text."""
    assert "fruit" in fruit.search([1.0, 0.0]).explain_plan(verbose=True)
    assert "ms" in fruit.search([1.0, 0.0]).analyze_plan()


def test_a_query_can_be_looked_at(fruit: LanceTable) -> None:
    """``to_query_object`` is a copy of what was asked for."""
    query = fruit.search([1.0, 0.0]).where("price < 3").limit(4)
    told = query.to_query_object()
    query.limit(5)
    assert (told.vector, told.filter, told.limit) == ([1.0, 0.0], ["price < 3"], 4)


def test_nonsense_is_refused(fruit: LanceTable) -> None:
    """Unknown kinds of search, hybrid calls on others, fragments, addresses."""
    with pytest.raises(ValueError, match=r"no query_type 'vectr'.*'vector'"):
        fruit.search([1.0, 0.0], query_type="vectr")
    with pytest.raises(ValueError, match=r"query_type='hybrid'"):
        fruit.search([1.0, 0.0]).text("fig")
    with pytest.raises(NotImplementedError, match="with_row_id"):
        fruit.search().with_row_address()
    with pytest.raises(NotImplementedError, match="where"):
        fruit.search().fragment_ids([1])


def test_the_deprecated_order_of_words_warns(fruit: LanceTable) -> None:
    """``ordering_field_name`` has no meaning any more."""
    with pytest.warns(DeprecationWarning, match="order_by"):
        fruit.search([1.0, 0.0], ordering_field_name="price")


def test_rows_are_taken_by_id_and_place(fruit: LanceTable) -> None:
    """Ids keep their order, places that of the table; a selection and the form follow."""
    ids = fruit.search().with_row_id(True).to_arrow()["_rowid"].to_pylist()
    assert found(fruit.take_row_ids([ids[2], ids[0]])) == ["pear", "fig"]
    assert fruit.take_offsets([2, 1]).select(["name"]).to_list() == [
        {"name": "plum"},
        {"name": "pear"},
    ]
    assert fruit.take_offsets([]).to_arrow().num_rows == 0
    with pytest.raises(ValueError, match="places go from 0 to 2, not to 3"):
        fruit.take_offsets([0, 3])


class ByName(Reranker):
    """Order by name, whatever was found first."""

    def rerank_hybrid(
        self, query: str, vector_results: pa.Table, fts_results: pa.Table
    ) -> pa.Table:
        """Order what both found."""
        return self.rerank_vector(query, self.merge_results(vector_results, fts_results))

    def rerank_vector(self, query: str, vector_results: pa.Table) -> pa.Table:
        """Order what is near."""
        rows = vector_results.sort_by("name")
        scores = pa.array(range(rows.num_rows, 0, -1), pa.float32())
        return rows.append_column("_relevance_score", scores)


def test_a_search_is_reranked(fruit: LanceTable) -> None:
    """By a class of one's own; a query that is no text is told in words."""
    query = fruit.search([1.0, 0.0]).limit(3).rerank(ByName(), query_string="fruit")
    assert found(query) == ["fig", "pear", "plum"]
    assert "_relevance_score" in query.to_arrow().column_names
