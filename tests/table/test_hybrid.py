"""Searching by meaning and by words at once, beside both searches made by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import embow
from embow.errors import ConfigurationError, PredicateError, UnknownColumnError
from embow.index import FTS
from embow.query import BooleanQuery, MatchQuery, Occur
from embow.rerankers import (
    LinearCombinationReranker,
    ModelReranker,
    MRRReranker,
    Reranker,
    RRFReranker,
)

WORDS = ["red", "fox", "blue", "whale", "green", "tree", "wine", "bread", "salt", "moon"]
COUNT = 120
QUERY = [0.3, -0.2, 0.9, 0.1]


def texts() -> list[str]:
    """Return texts of two to five words."""
    rng = np.random.default_rng(7)
    return [" ".join(rng.choice(WORDS, rng.integers(2, 6))) for _ in range(COUNT)]


def indexed(table: Any, **settings: Any) -> None:
    """Create a full-text index of the texts."""
    table.create_index("text", config=FTS(**settings))


def filled(db: Any) -> Any:
    """Return a table of texts with vectors and a full-text index."""
    vectors = np.random.default_rng(8).standard_normal((COUNT, 4)).astype(np.float32)
    table = db.create_table(
        "notes",
        pa.table(
            {
                "n": pa.array(range(COUNT)),
                "text": pa.array(texts()),
                "vector": pa.FixedSizeListArray.from_arrays(vectors.ravel(), 4),
            }
        ),
    )
    indexed(table, with_position=True)
    return table


@pytest.fixture(scope="module")
def table() -> Any:
    """Return the table in memory, for tests that do not change it."""
    return filled(embow.connect("memory://"))


def search(table: Any, words: Any = "red fox") -> Any:
    """Return a hybrid search with halves of their own."""
    return table.search(query_type="hybrid").vector(QUERY).text(words)


def halves(table: Any, words: Any = "red fox", pool: int = 50) -> tuple[Any, Any]:
    """Return what both searches find by themselves, with row ids."""
    near = table.search(QUERY).limit(pool).with_row_id()
    fit = table.search(words, query_type="fts").limit(pool).with_row_id()
    return near, fit


def fused(near: list[int], fit: list[int], k: int = 60) -> dict[int, float]:
    """Return reciprocal rank fusion, written as a loop."""
    scores: dict[int, float] = {}
    for found in (near, fit):
        for rank, row in enumerate(found, 1):
            scores[row] = scores.get(row, 0.0) + 1 / (k + rank)
    return scores


def numbers(query: Any) -> list[int]:
    """Return the rows that a query finds, by their number."""
    return [row["n"] for row in query.select(["n"]).to_list()]


def relevance(query: Any) -> dict[int, float]:
    """Return the rows that a query finds with their scores, in order."""
    return {row["n"]: row["_relevance_score"] for row in query.select(["n"]).to_list()}


# -- what is found --------------------------------------------------------------------------


def test_both_halves_are_joined_by_rank(table: Any) -> None:
    """Scores are the sums over the places in the two searches; the best come first."""
    near, fit = halves(table)
    expected = fused(numbers(near), numbers(fit))
    found = relevance(search(table))
    assert len(found) == 10
    assert found == pytest.approx({n: expected[n] for n in found}, rel=1e-6)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert min(found.values()) >= sorted(expected.values())[-10] - 1e-9


def test_columns_are_those_of_the_table_and_the_score(table: Any) -> None:
    """Distance, score and row id come only where they are asked for."""
    assert search(table).to_arrow().schema.names == ["n", "text", "vector", "_relevance_score"]
    every = search(table).rerank(RRFReranker(return_score="all")).with_row_id().to_arrow()
    assert every.schema.names[:3] == ["n", "text", "vector"]
    assert set(every.schema.names[3:]) == {"_distance", "_score", "_relevance_score", "_rowid"}


def test_all_scores_are_those_of_the_halves(table: Any) -> None:
    """Distances and scores come back as they were found, null where a half did not find a row."""
    near, fit = halves(table)
    distances = {row["n"]: row["_distance"] for row in near.to_list()}
    scores = {row["n"]: row["_score"] for row in fit.to_list()}
    for reranker in (RRFReranker(return_score="all"), Merges("all")):
        found = search(table).limit(40).rerank(reranker).to_list()
        assert [row["_distance"] for row in found] == [distances.get(row["n"]) for row in found]
        assert [row["_score"] for row in found] == [scores.get(row["n"]) for row in found]


def test_offset_cuts_the_joined_list(table: Any) -> None:
    """Pages of the joined list are its pieces."""
    whole = numbers(search(table).limit(12))
    assert numbers(search(table).limit(4).offset(8)) == whole[8:]
    assert numbers(search(table).limit(60).offset(30)) == numbers(search(table).limit(90))[30:]


def test_a_filter_holds_for_both_halves(table: Any) -> None:
    """Before the search it leaves as many rows as there are; after it, fewer."""
    near, fit = halves(table)
    expected = fused(numbers(near.where("n < 40")), numbers(fit.where("n < 40")))
    found = relevance(search(table).where("n < ?", 40))
    assert found == pytest.approx({n: expected[n] for n in found}, rel=1e-6)
    late = [[n for n in numbers(half) if n < 40] for half in halves(table)]
    expected = fused(*late)
    found = relevance(search(table).where("n < 40", prefilter=False).limit(50))
    assert found == pytest.approx(expected, rel=1e-6)
    with pytest.raises(PredicateError):
        search(table).where("no_such > 1").to_list()


def test_row_ids_hold_for_both_halves(table: Any) -> None:
    """Of the rows of some ids the best come, found by either half."""
    ids = [row["_rowid"] for row in table.search().with_row_id().to_list()][::7]
    found = search(table).row_ids(ids).with_row_id().limit(50).to_list()
    assert sorted(row["_rowid"] for row in found) == ids


def test_metric_and_range_are_those_of_the_vector_half(table: Any) -> None:
    """Another distance orders the vector half anew; a range leaves rows out of it only."""
    near, fit = halves(table)
    ranged = near.metric("cosine").distance_range(0.2, 0.8)
    expected = fused(numbers(ranged), numbers(fit))
    found = relevance(search(table).metric("cosine").distance_range(0.2, 0.8).limit(50))
    assert found == pytest.approx({n: expected[n] for n in found}, rel=1e-6)


def test_a_half_that_finds_nothing_leaves_the_other(table: Any) -> None:
    """Words that are nowhere leave the nearest rows, a range of nothing leaves the words."""
    assert numbers(search(table, "zebra").limit(5)) == numbers(halves(table)[0])[:5]
    query = search(table).distance_range(upper_bound=-1e9).limit(5)
    assert numbers(query) == numbers(halves(table)[1])[:5]
    nothing = search(table, "zebra").distance_range(upper_bound=-1e9).to_arrow()
    assert nothing.num_rows == 0
    assert nothing.schema.names == ["n", "text", "vector", "_relevance_score"]


def test_a_selection_is_what_is_returned(table: Any) -> None:
    """Names in their order, expressions by their names; what both halves need is not shown."""
    assert search(table).select(["text"]).to_arrow().schema.names == ["text", "_relevance_score"]
    found = search(table).select({"double": "n * 2"}).to_arrow()
    assert found.schema.names == ["double", "_relevance_score"]
    named = search(table).select(["_relevance_score", "_rowid", "n"]).to_arrow()
    assert named.schema.names == ["_relevance_score", "_rowid", "n"]
    with pytest.raises(ConfigurationError, match=r"'_distance'.*return_score='all'"):
        search(table).select(["_distance"]).to_arrow()
    with pytest.raises(UnknownColumnError, match="'txt'"):
        search(table).select(["txt"]).to_arrow()


def test_words_may_be_a_query(table: Any) -> None:
    """What a full-text search takes the text half takes, phrases too."""
    match = MatchQuery("red fox", "text")
    near, fit = halves(table, match)
    expected = fused(numbers(near), numbers(fit))
    found = relevance(search(table, match))
    assert found == pytest.approx({n: expected[n] for n in found}, rel=1e-6)
    both = BooleanQuery([(Occur.MUST, match)])
    assert relevance(search(table, both)) == pytest.approx(found)
    phrase = table.search("red fox", query_type="fts").phrase_query().limit(50)
    expected = fused(numbers(near), numbers(phrase))
    found = relevance(search(table).phrase_query().limit(50))
    assert found == pytest.approx({n: expected[n] for n in found}, rel=1e-6)


# -- rerankers ----------------------------------------------------------------------------


class Merges(Reranker):
    """Longest texts first, written as for LanceDB; keeps what it was handed."""

    seen: list[Any]

    def rerank_hybrid(self, query: str, vector_results: pa.Table, fts_results: pa.Table) -> Any:
        """Merge, add a column, and score by the length of the text."""
        self.seen = [query, vector_results, fts_results]
        rows = self.merge_results(vector_results, fts_results)
        score = [float(len(text)) for text in rows["text"].to_pylist()]
        rows = rows.append_column("length", pa.array(map(int, score)))
        rows = rows.append_column("_relevance_score", pa.array(score, pa.float32()))
        return self._keep_relevance_score(rows.sort_by([("_relevance_score", "descending")]))


class Overlap(ModelReranker):
    """Counts the words that query and text share."""

    def scores(self, query: str, texts: list[str]) -> Any:
        """Return the number of shared words."""
        return [len(set(query.split()) & set(text.split())) for text in texts]


def scaled(values: list[float]) -> list[float]:
    """Return numbers scaled to lie between 0 and 1."""
    least, most = min(values), max(values)
    return [(value - least) / (most - least) for value in values]


def test_numbers_are_scaled_before_they_are_joined(table: Any) -> None:
    """The linear combination is over distances and scores from 0 to 1."""
    near, fit = halves(table)
    far = dict(zip(numbers(near), scaled([r["_distance"] for r in near.to_list()]), strict=True))
    good = dict(zip(numbers(fit), scaled([r["_score"] for r in fit.to_list()]), strict=True))
    expected = {n: 0.7 * (1 - far.get(n, 1.0)) + 0.3 * good.get(n, 0.0) for n in (*far, *good)}
    found = relevance(search(table).rerank(LinearCombinationReranker()).limit(50))
    assert found == pytest.approx({n: expected[n] for n in found}, abs=1e-5)


@pytest.mark.parametrize("normalize", ["score", "rank"])
def test_the_only_row_with_a_word_is_the_best_for_it(normalize: Any) -> None:
    """A single row that has the word counts fully for the text half, however far it is."""
    rows = [{"text": text, "vector": [float(n)]} for n, text in enumerate(["a", "b", "xk 120"])]
    table = embow.connect("memory://").create_table("t", rows)
    indexed(table)
    reranker = LinearCombinationReranker(weight=0.4)
    query = table.search(query_type="hybrid").vector([0.0]).text("xk")
    found = query.rerank(reranker, normalize=normalize).select(["text"]).to_list()
    assert found[0] == {"text": "xk 120", "_relevance_score": pytest.approx(0.6)}


def test_ranks_may_take_the_place_of_numbers(table: Any) -> None:
    """The nearest has distance 0 and the best word score 1, evenly spaced between."""
    reranker = Merges()
    search(table).rerank(reranker, normalize="rank").to_arrow()
    near, fit = (half.num_rows for half in reranker.seen[1:])
    np.testing.assert_allclose(reranker.seen[1]["_distance"], np.linspace(0, 1, near), atol=1e-6)
    ranks = sorted(reranker.seen[2]["_score"].to_pylist())
    np.testing.assert_allclose(ranks, np.linspace(0, 1, fit), atol=1e-6)


def test_a_reranker_of_ones_own_is_handed_both_halves(table: Any) -> None:
    """It sees the text, what is selected and row ids; rows and columns are as it returns them."""
    reranker = Merges()
    found = search(table).select(["text"]).limit(3).rerank(reranker).to_arrow()
    assert reranker.seen[0] == "red fox"
    assert reranker.seen[1].schema.names == ["text", "_distance", "_rowid"]
    assert reranker.seen[2].schema.names == ["text", "_score", "_rowid"]
    assert found.schema.names == ["text", "length", "_relevance_score"]
    assert found["length"].to_pylist() == sorted(found["length"].to_pylist(), reverse=True)


def test_a_model_reads_its_column_only(table: Any) -> None:
    """Rows are read whole where they are shown; a query that is no text is said in words."""
    found = search(table).select(["n"]).rerank(Overlap.create()).limit(4).to_list()
    assert {row["_relevance_score"] for row in found} == {2.0}
    assert all({"red", "fox"} <= set(texts()[row["n"]].split()) for row in found)
    boolean = BooleanQuery([(Occur.MUST, MatchQuery("red", "text"))])
    with pytest.raises(ConfigurationError, match=r"query_string='\.\.\.'"):
        search(table, boolean).rerank(Overlap.create()).to_list()
    said = search(table, boolean).rerank(Overlap.create(), "red").limit(1).to_list()
    assert said[0]["_relevance_score"] == 1.0


@pytest.mark.parametrize("reranker", [RRFReranker(), MRRReranker(), LinearCombinationReranker()])
def test_what_reads_rows_late_returns_what_reads_them_early(table: Any, reranker: Reranker) -> None:
    """Reading rows after they were joined gives what handing whole rows over gives."""

    class Early(type(reranker)):  # type: ignore[misc]
        """The same, handed all that is selected."""

        def columns_read(self) -> None:
            """Say nothing."""

    early = Early()
    for limit, offset in ((5, 0), (30, 7), (100, 0)):
        query = search(table).limit(limit).offset(offset)
        late = query.rerank(reranker).with_row_id().to_arrow().to_pylist()
        assert query.rerank(early).to_arrow().to_pylist() == late


# -- embedding, versions, writers -----------------------------------------------------------


def notes(db: Any, letters: Any) -> Any:
    """Return a table that embeds its texts, with a full-text index."""
    function = letters.create()

    class Note(embow.Model):
        """A text and its vector."""

        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()

    table = db.create_table("own", schema=Note)
    table.add([{"text": text} for text in texts()])
    indexed(table)
    return table


def test_one_text_serves_both_halves(letters: Any) -> None:
    """The text is embedded once for the one half and looked for by its words in the other."""
    table = notes(embow.connect("memory://"), letters)
    letters.sent.clear()
    query = table.search("red fox", query_type="hybrid").limit(60)
    found = [(row["text"], row["_relevance_score"]) for row in query.to_list()]
    assert letters.sent == ["red fox"]
    near = table.search("red fox").limit(60).with_row_id().to_list()
    fit = table.search("red fox", query_type="fts").limit(60).with_row_id().to_list()
    expected = fused([row["_rowid"] for row in near], [row["_rowid"] for row in fit])
    assert sorted(score for _, score in found) == pytest.approx(sorted(expected.values())[-60:])
    own = table.search(query_type="hybrid").vector("red fox").text("red fox").limit(60)
    assert own.to_arrow().equals(query.to_arrow())


def test_both_halves_read_one_version(letters: Any, tmp_path: Path) -> None:
    """A version that is checked out answers as it did, whatever was written since."""
    table = notes(embow.connect(tmp_path / "db"), letters)
    query = table.search("red fox", query_type="hybrid").select(["text"]).limit(100)
    before, version = query.to_arrow(), table.version
    table.delete("text LIKE '%red%'")
    table.add([{"text": "red fox red fox"}])
    red = [row["text"] for row in query.to_list() if "red" in row["text"].split()]
    assert red == ["red fox red fox"]
    table.checkout(version)
    then = table.search("red fox", query_type="hybrid").select(["text"]).limit(100)
    assert then.to_arrow().equals(before)


def test_rows_written_while_the_halves_are_read_are_in_neither(
    letters: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is committed between the halves is not seen by the second."""
    from embow.engines.contract import Snapshot

    table = notes(embow.connect("memory://"), letters)
    search_both = Snapshot.search_text

    def after_a_write(self: Any, query: Any) -> Any:
        table.add([{"text": "red fox fox"}])
        return search_both(self, query)

    monkeypatch.setattr(Snapshot, "search_text", after_a_write)
    found = table.search("red fox", query_type="hybrid").limit(200).to_list()
    assert "red fox fox" not in [row["text"] for row in found]


# -- telling, refusing, awaiting --------------------------------------------------------------


def test_the_plan_tells_both_halves(table: Any) -> None:
    """What is scanned, which words are looked for, how both are joined; and what each took."""
    query = search(table).where("n < 40").limit(5)
    plan = query.explain_plan()
    assert "search  vector (l2" in plan
    assert "words   text ('red fox', BM25)" in plan
    assert "rerank  RRFReranker of at most 50 rows of each half" in plan
    lines = query.analyze_plan().splitlines()
    for name in ("search", "words", "rerank"):
        assert " ms" in next(line for line in lines if line.startswith(f"  {name}")), name
    assert "result  5 rows" in lines[-1]
    assert "words='red fox'" in repr(query)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.search(query_type="hybrid").vector(QUERY).to_list(), "nothing.*about text"),
        (lambda t: t.search(query_type="hybrid").text("a").to_list(), "nothing.*about vector"),
        (lambda t: t.search(query_type="hybrid").text("a").explain_plan(), "about vector"),
        (lambda t: t.search("a", query_type="hybrid").vector(QUERY), r"leave it out.*vector\("),
        (lambda t: t.search("a", query_type="hybrid").text("b"), r"leave it out.*text\("),
        (lambda t: t.search(QUERY, query_type="hybrid"), r"\.vector\(\[0\.1, \.\.\.\]\)\.text"),
        (lambda t: t.search(["a", "b"], query_type="hybrid"), "one text for both halves"),
        (lambda t: search(t).vector([QUERY, QUERY]).to_list(), "for one query"),
        (lambda t: search(t).vector(["a", "b"]), "for one query"),
        (lambda t: search(t).rerank(normalize="max"), "'score' or 'rank', not 'max'"),
        (lambda t: search(t).rerank("rrf"), "takes a reranker"),
        (lambda t: search(t, 7), "takes a text or a query"),
        (lambda t: t.search(query_type="hybrid").phrase_query(), "what to look for first"),
        (lambda t: t.search(query_type="hybrids"), "Did you mean 'hybrid'"),
    ],
)
def test_what_makes_no_hybrid_search_is_refused(
    table: Any, call: Callable[[Any], Any], message: str
) -> None:
    """The message says how to ask instead."""
    with pytest.raises(ConfigurationError, match=message):
        call(table)


def test_a_table_without_an_index_says_how_to_get_one() -> None:
    """As a search for words does."""
    rows = [{"text": "a", "vector": [1.0, 2.0]}]
    table = embow.connect("memory://").create_table("t", rows)
    with pytest.raises(ConfigurationError, match="create_index"):
        table.search(query_type="hybrid").vector([1.0, 2.0]).text("a").to_list()


def test_it_is_awaited_the_same() -> None:
    """The asynchronous query gives what the synchronous one gives."""

    async def ask() -> tuple[Any, Any]:
        async with await embow.connect_async("memory://") as db:
            table = filled(db.sync)
            other = await db.open_table("notes")
            query = other.search(query_type="hybrid").vector(QUERY).text("red fox").limit(7)
            return search(table).limit(7).to_arrow(), await query.rerank(RRFReranker()).to_arrow()

    one, other = asyncio.run(ask())
    assert one.equals(other)


@settings(max_examples=40, deadline=None)
@given(
    words=st.lists(st.sampled_from([*WORDS, "zebra"]), min_size=1, max_size=3),
    limit=st.integers(1, 130),
    offset=st.integers(0, 130),
    below=st.integers(0, COUNT),
    vector=st.lists(st.floats(-2, 2, width=16), min_size=4, max_size=4),
)
def test_any_search_is_its_halves_joined(
    words: list[str], limit: int, offset: int, below: int, vector: list[float]
) -> None:
    """For any words, vector, filter and page the rows are those of a loop over both searches."""
    pool, where = max(50, limit + offset), f"n < {below}"
    text = " ".join(words)
    near = SHARED.search(vector).where(where).limit(pool)
    fit = SHARED.search(text, query_type="fts").where(where).limit(pool)
    scores = fused(numbers(near), numbers(fit))
    expected = sorted(scores.values(), reverse=True)[offset : offset + limit]
    query = SHARED.search(query_type="hybrid").vector(vector).text(text).where(where)
    found = relevance(query.limit(limit).offset(offset))
    assert list(found.values()) == pytest.approx(expected, rel=1e-6)
    assert found == pytest.approx({n: scores[n] for n in found}, rel=1e-6)


SHARED = filled(embow.connect("memory://"))
