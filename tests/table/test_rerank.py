"""Putting what a vector search found into another order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import embow
from embow.errors import ConfigurationError, UnknownColumnError, UnsupportedOperationError
from embow.rerankers import ModelReranker, Reranker, RRFReranker

TEXTS = ["a red fox", "a blue whale", "the fox and the hound", None, "red red wine"]


class Overlap(ModelReranker):
    """Count the words that query and text share."""

    def scores(self, query: str, texts: list[str]) -> Any:
        """Return the number of shared words."""
        words = set(query.split())
        return [len(words & set(text.split())) for text in texts]


class Longest(Reranker):
    """The longest texts first; written as for LanceDB, with what it was handed kept."""

    def __init__(self, return_score: str = "relevance") -> None:
        super().__init__(return_score)  # type: ignore[arg-type]
        self.seen: list[Any] = []

    def rerank_hybrid(self, query: str, vector_results: pa.Table, fts_results: pa.Table) -> Any:
        """Merge, then do as with one."""
        return self.rerank_vector(query, self.merge_results(vector_results, fts_results))

    def rerank_vector(self, query: str, vector_results: pa.Table) -> Any:
        """Leave out rows without text, and add a column."""
        self.seen.append((query, vector_results.schema.names))
        rows = vector_results.filter(pc.is_valid(vector_results["text"]))
        length = pc.utf8_length(rows["text"])
        rows = rows.append_column("length", length)
        rows = rows.append_column("_relevance_score", pc.cast(length, pa.float32()))
        rows = rows.sort_by([("_relevance_score", "descending")])
        return self._keep_relevance_score(rows)


@pytest.fixture
def table() -> Any:
    """Return a table of five texts with vectors on a line, and a number each."""
    vectors = np.arange(10, dtype=np.float32).reshape(5, 2)
    return embow.connect("memory://").create_table(
        "notes",
        pa.table(
            {
                "text": pa.array(TEXTS),
                "n": pa.array(range(5)),
                "vector": pa.FixedSizeListArray.from_arrays(vectors.ravel(), 2),
            }
        ),
    )


def test_rows_come_in_the_order_of_the_model(table: Any) -> None:
    """The best first, with the score, and without what it was searched by."""
    query = table.search([0, 1]).rerank(Overlap.create(), query_string="red wine")
    found = query.to_arrow()
    assert found.schema.names == ["text", "n", "vector", "_relevance_score"]
    assert found.column("n").to_pylist() == [4, 0, 1, 2, 3]
    assert found.column("_relevance_score").to_pylist() == [2.0, 1.0, 0.0, 0.0, None]


def test_only_what_was_found_is_ordered(table: Any) -> None:
    """The limit says how many rows the reranker sees; a filter and an offset hold before."""
    query = table.search([0, 1]).limit(2).rerank(Overlap.create(), "red wine")
    assert [row["n"] for row in query.to_list()] == [0, 1]
    query = table.search([0, 1]).where("n > 0").offset(1).limit(3).rerank(Overlap.create(), "red")
    assert [row["n"] for row in query.to_list()] == [4, 2, 3]
    late = table.search([0, 1]).where("_distance > 50", prefilter=False)
    assert [row["n"] for row in late.rerank(Overlap.create(), "red").to_list()] == [4, 3]


def test_a_selection_needs_not_name_what_the_model_reads(table: Any) -> None:
    """The text is read for the model and shown only where it is selected."""
    query = table.search([0, 1]).rerank(Overlap.create(return_score="all"), "red wine").limit(2)
    assert query.select(["n"]).to_arrow().schema.names == ["n", "_distance", "_relevance_score"]
    doubled = query.select({"twice": "n * 2"}).to_list()
    assert [row["twice"] for row in doubled] == [0, 2]
    named = query.select(["_relevance_score", "_rowid", "n"]).to_arrow()
    assert named.schema.names == ["_relevance_score", "_rowid", "n", "_distance"]
    counted = query.select({"score": "_relevance_score * 10"}).to_list()
    assert counted[0]["score"] == 10.0


def test_what_the_reranker_left_out_cannot_be_selected(table: Any) -> None:
    """The message says how to keep it."""
    query = table.search([0, 1]).select(["n", "_distance"]).rerank(Overlap.create(), "red")
    with pytest.raises(ConfigurationError, match=r"'_distance'.*return_score='all'"):
        query.to_arrow()


def test_row_ids_are_for_the_reranker_unless_asked_for(table: Any) -> None:
    """``_rowid`` is handed over always, and shown where it is wanted."""
    reranker = Longest()
    query = table.search([0, 1]).select(["text"]).rerank(reranker, "red")
    assert query.to_arrow().schema.names == ["text", "length", "_relevance_score"]
    assert reranker.seen == [("red", ["text", "_distance", "_rowid"])]
    assert "_rowid" in query.with_row_id().to_arrow().schema.names
    assert "_rowid" in table.search([0, 1]).rerank(reranker, "").with_row_id().to_list()[0]


def test_a_reranker_of_ones_own_may_change_the_result(table: Any) -> None:
    """Rows it leaves out are gone, columns it adds are there."""
    found = table.search([0, 1]).rerank(Longest("all"), "red").to_list()
    assert [(row["n"], row["length"]) for row in found] == [(2, 21), (1, 12), (4, 12), (0, 9)]
    assert "_distance" in found[0]


def test_a_subclass_that_changes_a_method_sees_what_is_selected(table: Any) -> None:
    """What a base says it reads holds for the base's own methods only."""

    class WithoutFirst(Overlap):
        """Leaves out a row by a column that the base does not read."""

        def rerank_vector(self, query: str, vector_results: pa.Table) -> Any:
            """Look at ``n``."""
            kept = super().rerank_vector(query, vector_results)
            return kept.filter(pc.not_equal(kept["n"], 4))

    query = table.search([0, 1]).rerank(WithoutFirst.create(), "red wine")
    assert [row["n"] for row in query.to_list()] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.search([0, 1]).rerank(Overlap.create()), r"query_string='\.\.\.'"),
        (lambda t: t.search([0, 1]).rerank(Overlap), "call the class"),
        (lambda t: t.search([0, 1]).rerank("rrf"), "takes a reranker"),
        (lambda t: t.search([0, 1]).rerank(Overlap.create(), 1), "query as text"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    table: Any, call: Callable[[Any], Any], message: str
) -> None:
    """The message says what to hand over instead."""
    with pytest.raises(ConfigurationError, match=message):
        call(table)


def test_a_column_that_is_not_there_is_named(table: Any) -> None:
    """The model's column is looked for before anything is searched."""
    query = table.search([0, 1]).rerank(Overlap.create(column="txet"), "red")
    with pytest.raises(UnknownColumnError, match=r"'txet'.*'text'.*column='"):
        query.to_arrow()
    with pytest.raises(UnsupportedOperationError, match="a vector search"):
        table.search([0, 1]).rerank(RRFReranker(), "red").to_arrow()


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ([], TypeError, r"Odd\.rerank_vector must return a pyarrow\.Table, not list"),
        (pa.table({"a": [1]}), ValueError, "'_relevance_score' of float32; its table has none"),
        (pa.table({"_relevance_score": ["a"]}), ValueError, "its table has string"),
    ],
)
def test_what_is_no_ranking_is_refused(
    table: Any, answer: Any, error: type[Exception], message: str
) -> None:
    """A reranker of one's own is told what is wrong with its table."""

    class Odd(Longest):
        """Returns what it was given."""

        def rerank_vector(self, query: str, vector_results: pa.Table) -> Any:
            """Return what is wrong."""
            return answer

    with pytest.raises(error, match=message):
        table.search([0, 1]).rerank(Odd(), "red").to_arrow()


def test_several_queries_are_reranked_one_by_one(letters: Any) -> None:
    """Each text's rows are ordered for that text; of vectors, all by the text that is given."""
    function = letters.create()

    class Note(embow.Model):
        """A text and its vector."""

        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()

    table = embow.connect("memory://").create_table("notes", schema=Note)
    table.add([{"text": text} for text in TEXTS if text])
    found = table.search(["whale", "hound"]).rerank(Overlap.create()).to_arrow()
    best = [r for r in found.to_pylist() if r["_relevance_score"]]
    assert [(row["query_index"], row["text"]) for row in best] == [(0, TEXTS[1]), (1, TEXTS[2])]
    vectors = [row["vector"] for row in table.to_list()[:2]]
    found = table.search(vectors).limit(4).rerank(Overlap.create(), "whale").to_arrow()
    first = [row["text"] for row in found.to_pylist() if row["_relevance_score"]]
    assert first == [TEXTS[1], TEXTS[1]]


def test_the_plan_names_the_reranker(table: Any) -> None:
    """What was searched, then what orders it, and how long that took."""
    query = table.search([0, 1]).rerank(Overlap.create(), "red")
    assert "rerank  Overlap; by _relevance_score" in query.explain_plan()
    assert " ms" in next(line for line in query.analyze_plan().splitlines() if "rerank" in line)


def test_it_is_awaited_the_same() -> None:
    """The asynchronous query takes the same reranker."""

    async def ask() -> list[str]:
        async with await embow.connect_async("memory://") as db:
            vectors = pa.array([[0.0], [1.0]], pa.list_(pa.float32(), 1))
            table = await db.create_table("t", pa.table({"text": ["a", "b"], "vector": vectors}))
            query = table.search([0.0]).rerank(Overlap.create(), "b").select(["text"])
            return [row["text"] for row in await query.to_list()]

    assert asyncio.run(ask()) == ["b", "a"]
