"""Words looked for through a table: answers, filters, columns, versions, and what is refused."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

import embow
from embow.errors import ConfigurationError, DataError, EmbowError, UnknownColumnError
from embow.index import FTS, tokenize
from embow.query import (
    BooleanQuery,
    BoostQuery,
    MatchQuery,
    MultiMatchQuery,
    Occur,
    Operator,
    PhraseQuery,
    PrefixQuery,
)
from embow.rerankers import Reranker


def index(table: embow.Table, column: str, replace: bool = False, **settings: Any) -> None:
    """Create a full-text index."""
    table.create_index(column, FTS(**settings), replace=replace)


ROWS = [
    {"id": 1, "text": "Running dogs", "title": "sport", "tags": ["fast dog", "wild"]},
    {"id": 2, "text": "a dog that runs home", "title": "dog", "tags": None},
    {"id": 3, "text": None, "title": "cats", "tags": []},
    {"id": 4, "text": "the cat sleeps in a café", "title": None, "tags": ["wild", "dog"]},
    {"id": 5, "text": "home of dogs and of dog lovers", "title": "cats", "tags": ["cat"]},
]


@pytest.fixture
def pets(db: embow.Database) -> embow.Table:
    """Five rows whose text, title and tags have an index."""
    table = db.create_table("pets", pa.Table.from_pylist(ROWS))
    index(table, "text", with_position=True)
    index(table, "title")
    index(table, "tags", with_position=True)
    return table


def ids(query: Any) -> list[int]:
    """Return which rows a query finds, in their order."""
    return [row["id"] for row in query.to_list()]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("cafe", [4]),
        ("runs", [1, 2]),
        ('"home dog"', []),
        ('"runs home"', [2]),
        ("they could have been ( cats OR", [4]),
        ("", []),
        ("the", []),
        (MatchQuery("dog home", operator=Operator.AND), [2, 5]),
        (MatchQuery("slepes", fuzziness=2), [4]),
        (PrefixQuery("lov"), [5]),
        (PhraseQuery("dogs lovers", slop=3), [5]),
        (BoostQuery(MatchQuery("dog"), MatchQuery("home"), negative_boost=9), [1, 2, 5]),
        (BooleanQuery([(Occur.MUST, MatchQuery("dog")), (Occur.MUST_NOT, MatchQuery("run"))]), [5]),
        (MatchQuery("dog") & MatchQuery("lovers"), [5]),
        (MatchQuery("sleep") | MatchQuery("lovers"), [4, 5]),
    ],
)
def test_every_query_finds_its_rows(pets: embow.Table, query: Any, found: list[int]) -> None:
    """A text has no syntax but quotes, and query objects say the rest."""
    rows = pets.search(query, query_type="fts", fts_columns="text").to_list()
    assert sorted(row["id"] for row in rows) == found
    scores = [row["_score"] for row in rows]
    assert scores == sorted(scores, reverse=True)


def test_the_score_comes_after_what_is_selected(pets: embow.Table) -> None:
    """As single precision, before the row id, also where it is not named."""
    found = pets.search("dog", fts_columns=["text"]).select(["id"]).with_row_id().to_arrow()
    assert found.schema.names == ["id", "_score", "_rowid"]
    assert found.schema.field("_score").type == pa.float32()
    whole = pets.search("dog", query_type="fts").to_arrow()
    assert whole.drop("_score").schema == pets.schema
    computed = pets.search("dog", query_type="fts").select({"twice": "_score * 2"}).to_list()
    assert computed[0]["twice"] == pytest.approx(computed[0]["_score"] * 2)


def test_of_several_columns_the_best_counts(pets: embow.Table) -> None:
    """Without columns all that have an index are searched; a query may say which, and how much."""
    best = {row["id"]: row["_score"] for row in pets.search("dog", query_type="fts").to_list()}
    each = [
        {row["id"]: row["_score"] for row in pets.search("dog", fts_columns=name).to_list()}
        for name in ("text", "title", "tags")
    ]
    assert best == {
        key: max(one.get(key, 0) for one in each) for key in {k for o in each for k in o}
    }
    several = MultiMatchQuery("dog", ["text", "title"], boosts=[1, 100])
    assert ids(pets.search(several))[0] == 2
    named = MatchQuery("dog", "title") | MatchQuery("sport")
    assert sorted(ids(pets.search(named, fts_columns="title"))) == [1, 2]


def test_a_filter_goes_before_or_after(pets: embow.Table) -> None:
    """Before, it leaves more rows to find; after, it may ask for the score."""
    query = pets.search("dog", fts_columns="text").limit(1)
    assert ids(query) == [5]
    assert ids(pets.search("dog", fts_columns="text").limit(1).where("id < 5")) == [1]
    late = pets.search("dog", fts_columns="text").limit(1).where("id < 5", prefilter=False)
    assert ids(late) == []
    best = query.to_list()[0]["_score"]
    late = pets.search("dog", fts_columns="text").where("_score < ?", best, prefilter=False)
    assert ids(late) == [1, 2]


def test_a_filter_does_not_change_scores(pets: embow.Table) -> None:
    """How rare a word is is said by all rows of the version."""
    scores = {r["id"]: r["_score"] for r in pets.search("dog", fts_columns="text").to_list()}
    kept = pets.search("dog", fts_columns="text").where("id < 3").to_list()
    assert {row["id"]: row["_score"] for row in kept} == {key: scores[key] for key in (1, 2)}


def test_a_window_of_the_answer(pets: embow.Table) -> None:
    """Ten rows without a limit, all with None, and some are left out first."""
    pets.add([{"id": 10 + i, "text": "dog", "title": None, "tags": None} for i in range(20)])
    every = ids(pets.search("dog", fts_columns="text").limit(None))
    assert len(every) == 23
    assert ids(pets.search("dog", fts_columns="text")) == every[:10]
    assert ids(pets.search("dog", fts_columns="text").offset(3).limit(4)) == every[3:7]
    assert ids(pets.search("dog", fts_columns="text").limit(0)) == []


def test_phrases_stay_within_an_element(pets: embow.Table) -> None:
    """Lists of texts are searched as a whole, phrases in one of them."""
    assert sorted(ids(pets.search("wild", fts_columns="tags"))) == [1, 4]
    assert ids(pets.search("fast dog", fts_columns="tags").phrase_query()) == [1]
    assert ids(pets.search("wild dog", fts_columns="tags").phrase_query()) == []


def test_a_text_without_an_embedding_is_looked_for_by_its_words(db: embow.Database) -> None:
    """``auto`` embeds where it can, and looks for words where there is only an index of them."""
    table = db.create_table("t", [{"id": 1, "text": "red"}])
    with pytest.raises(DataError, match="no embedding function"):
        table.search("red").to_list()
    index(table, "text")
    assert ids(table.search("red")) == [1]
    table.create_index("text", name="other")
    assert table.index_stats("other").kind == "fts"
    assert ids(table.search("red", query_type="auto")) == [1]


def test_a_text_is_embedded_where_both_are_there(words: embow.Table) -> None:
    """An index of words does not change what a plain search does."""
    words.add([{"text": "red"}, {"text": "der"}])
    index(words, "text")
    assert "_distance" in words.search("red").to_arrow().schema.names
    assert [r["text"] for r in words.search("red", query_type="fts").to_list()] == ["red"]
    assert [r["text"] for r in words.search(MatchQuery("der")).to_list()] == ["der"]


def test_words_are_found_as_a_version_has_them(pets: embow.Table) -> None:
    """Rows are found from their commit on; every version has its own rows and statistics."""
    first = pets.search("dog", fts_columns="text").to_list()
    version = pets.version
    pets.add([{"id": 6, "text": "dog dog", "title": "new", "tags": None}])
    assert ids(pets.search("dog", fts_columns="text"))[0] == 6
    pets.update("id = 1", {"text": "gone"})
    pets.delete("id = 2")
    assert sorted(ids(pets.search("dog", fts_columns="text"))) == [5, 6]
    assert ids(pets.search("gone", fts_columns="text")) == [1]
    pets.checkout(version)
    assert pets.search("dog", fts_columns="text").to_list() == first
    pets.restore()
    assert pets.search("dog", fts_columns="text").to_list() == first


def test_what_is_gone_from_the_files_is_found_no_more(pets: embow.Table) -> None:
    """Also where the index still holds it, and it neither counts as a row with the word."""
    more = [{"id": n, "text": f"dog number {n}", "title": None, "tags": None} for n in range(6, 40)]
    pets.add(more)
    index(pets, "text", replace=True)
    pets.delete("id IN (1, 10)")
    before = pets.search("dog", fts_columns="text").limit(None).to_list()
    pets.optimize(timedelta(0))
    assert pets.search("dog", fts_columns="text").limit(None).to_list() == before
    assert len(before) == 35


def test_many_rows_do_not_wait_for_the_first_reader(db: embow.Database) -> None:
    """Who adds some thousand rows indexes them, and nothing is found otherwise than before."""
    table = db.create_table("t", [{"id": 0, "text": "none"}])
    index(table, "text")
    for first in range(0, 6000, 1000):
        rows = range(first, first + 1000)
        table.add([{"id": n, "text": f"word{n % 7} of {n}"} for n in rows])
    told = table.index_stats("text_idx")
    assert (told.num_indexed_rows, told.num_unindexed_rows) == (5001, 1000)
    found = table.search("word3", query_type="fts").limit(None).to_list()
    table.optimize()
    assert table.search("word3", query_type="fts").limit(None).to_list() == found


def test_a_renamed_column_keeps_its_index(pets: embow.Table) -> None:
    """Queries use the names of now."""
    pets.alter_columns({"path": "text", "rename": "body"})
    assert ids(pets.search(MatchQuery("lovers", "body"))) == [5]
    with pytest.raises(UnknownColumnError, match="'text'"):
        pets.search(MatchQuery("lovers", "text")).to_list()


def test_a_field_of_a_struct_is_searched(db: embow.Database) -> None:
    """By its path, beside columns, before and after it is in a piece, under the name of now."""
    rows = [
        {"id": 1, "text": "cats", "payload": {"text": "a dog", "tags": ["wild one"]}},
        {"id": 2, "text": "dogs", "payload": {"text": None, "tags": None}},
        {"id": 3, "text": None, "payload": None},
    ]
    table = db.create_table("deep", pa.Table.from_pylist(rows))
    index(table, "text")
    assert table.create_index("payload.text").kind == "fts"
    index(table, "payload.tags", with_position=True)
    table.add([{"id": 4, "text": "none", "payload": {"text": "dogs run", "tags": []}}])
    for _ in range(2):
        assert ids(table.search("dog", query_type="fts", fts_columns="payload.text")) == [1, 4]
        assert sorted(ids(table.search("dog", query_type="fts"))) == [1, 2, 4]
        assert ids(table.search(PhraseQuery("wild one", "payload.tags"))) == [1]
        table.optimize()
    assert "payload.text" in table.search("dog", query_type="fts").explain_plan()
    assert "text, payload.text, payload.tags" in table.search("dog").explain_plan()
    with pytest.raises(UnknownColumnError, match=r"Did you mean 'payload.text'"):
        table.search("dog", query_type="fts", fts_columns="payload.txt").to_list()
    with pytest.raises(ConfigurationError, match="'payload' has no full-text index"):
        table.search("dog", query_type="fts", fts_columns="payload").to_list()
    table.alter_columns({"path": "payload", "rename": "body"})
    assert ids(table.search(MatchQuery("dog", "body.text"))) == [1, 4]
    assert [each.column for each in table.list_indices()] == ["body.tags", "body.text", "text"]


class Backwards(Reranker):
    """The last comes first."""

    def rerank_fts(self, query: str, fts_results: pa.Table) -> pa.Table:
        """Number the rows."""
        numbers = pa.array([float(n) for n in range(fts_results.num_rows)], pa.float32())
        ranked = fts_results.append_column("_relevance_score", numbers)
        return ranked.sort_by([("_relevance_score", "descending")])

    def rerank_hybrid(self, query: str, vector_results: Any, fts_results: Any) -> Any:
        """Not asked."""
        raise NotImplementedError


def test_what_is_found_is_put_into_another_order(pets: embow.Table) -> None:
    """A reranker is told the words."""
    query = pets.search("dog", fts_columns="text")
    assert ids(query.rerank(Backwards(return_score="all"))) == [2, 1, 5]
    several = MatchQuery("dog", "text") | MatchQuery("cat", "text")
    with pytest.raises(ConfigurationError, match="query_string"):
        pets.search(several).rerank(Backwards())
    assert ids(pets.search(several).rerank(Backwards("all"), "dog"))[-1] == 4


@pytest.mark.parametrize(
    ("run", "error", "says"),
    [
        (
            lambda t: t.search("a", fts_columns="id").to_list(),
            ConfigurationError,
            "create_index.*'id'",
        ),
        (lambda t: t.search("a", fts_columns="txt").to_list(), UnknownColumnError, "mean 'text'"),
        (
            lambda t: t.search(MatchQuery("a", "id")).to_list(),
            ConfigurationError,
            "'id' has no full",
        ),
        (lambda t: t.search(5, query_type="fts"), ConfigurationError, "takes a text.*not 5"),
        (lambda t: t.search(None, query_type="fts"), ConfigurationError, "takes a text"),
        (
            lambda t: t.search(PhraseQuery("a dog", "title")).to_list(),
            DataError,
            "with_position=True",
        ),
        (lambda t: t.search(MatchQuery("a")).phrase_query(), ConfigurationError, "PhraseQuery"),
        (lambda t: t.search("a", query_type="fts").order_by("id"), ConfigurationError, "sort_by"),
        (lambda t: t.search("a", "vector", "fts"), ConfigurationError, "no vector column"),
        (lambda t: t.search(MatchQuery("a"), query_type="vector"), ConfigurationError, "no vector"),
        (lambda t: MatchQuery(5), DataError, "Give a text"),
        (lambda t: MatchQuery("a", fuzziness=-1), DataError, "fuzziness is -1"),
        (lambda t: BooleanQuery([(Occur.MUST_NOT, MatchQuery("a"))]), DataError, "MUST"),
        (lambda t: MultiMatchQuery("a", []), DataError, "names of one or more"),
        (lambda t: MultiMatchQuery("a", ["b"], boosts=[1, 2]), DataError, "one for each"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    pets: embow.Table, run: Any, error: type[EmbowError], says: str
) -> None:
    """Each mistake has its error, which names the way out."""
    with pytest.raises(error, match=says):
        run(pets)


def test_a_table_without_an_index_says_how_to_create_one(db: embow.Database) -> None:
    """There is no silent scan for words."""
    table = db.create_table("t", [{"id": 1, "body": "red"}])
    with pytest.raises(ConfigurationError, match=r"create_index\('body'"):
        table.search("red", query_type="fts").to_list()


def test_plans_tell_what_is_looked_for(pets: embow.Table) -> None:
    """Before and after the search."""
    query = pets.search("dog", fts_columns="text").where("id > 1")
    told = query.explain_plan()
    assert "search  text ('dog', BM25); index 'text_idx' has 4 rows, 0 analysed in memory" in told
    pets.add([{"id": 9, "text": "dog", "title": None, "tags": None}])
    assert "1 analysed in memory" in query.explain_plan()
    told = query.analyze_plan()
    assert "5 of 6 rows pass" in told
    assert "result  3 rows" in told


@pytest.mark.parametrize(
    ("text", "settings", "words"),
    [
        ("The routes of cafés", {}, ["rout", "cafe"]),
        ("les Routes", {"language": "French"}, ["rout"]),
        ("abcd", {"base_tokenizer": "ngram"}, ["abc", "bcd"]),
        ("数据库", {}, ["数据", "据库", "库"]),
    ],
)
def test_a_text_can_be_looked_at_as_it_is_indexed(
    text: str, settings: dict[str, Any], words: list[str]
) -> None:
    """What an index of these settings keeps of a text."""
    assert tokenize(text, FTS(**settings)) == words


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"language": "klingon"}, "Arabic, Danish"),
        ({"base_tokenizer": "icu"}, "simple"),
        ({"ngram_min_length": 0}, "ngram_min_length"),
        ({"max_token_length": 0}, "no word is left"),
    ],
)
def test_settings_that_are_none_are_refused(
    db: embow.Database, settings: dict[str, Any], says: str
) -> None:
    """Before anything is built."""
    table = db.create_table("t", [{"id": 1, "text": "a"}])
    with pytest.raises(ConfigurationError, match=says):
        table.create_index("text", FTS(**settings))
    with pytest.raises(ConfigurationError, match="column of texts"):
        table.create_index("id", FTS())
    assert table.list_indices() == []


def test_words_are_looked_for_without_blocking() -> None:
    """The asynchronous face has the same query."""

    async def look() -> tuple[list[int], int]:
        async with await embow.connect_async("memory://") as db:
            table = await db.create_table("pets", pa.Table.from_pylist(ROWS))
            index(table.sync, "text", with_position=True)
            query = table.search("runs home", query_type="fts", fts_columns="text")
            found = await query.phrase_query().limit(3).to_list()
            plain = await table.search(MatchQuery("cafe")).to_arrow()
            return [row["id"] for row in found], plain.num_rows

    assert asyncio.run(look()) == ([2], 1)
