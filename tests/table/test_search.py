"""Searching: what is embedded, which column is taken, what comes back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import embow
from embow.engines.contract import EngineTable
from embow.errors import (
    BadVectorError,
    ConfigurationError,
    DataError,
    EmbeddingError,
    PredicateError,
    UnknownColumnError,
)
from embow.pipeline import Pipeline

FRUIT = ["apple", "pear", "plum", "cherry", "fig"]


@pytest.fixture
def fruit(words: embow.Table) -> embow.Table:
    """Five words, each with a tag."""
    words.add([{"text": text, "tag": f"t{n}"} for n, text in enumerate(FRUIT)])
    return words


def test_text_is_embedded_and_the_nearest_row_comes_first(fruit: embow.Table) -> None:
    """The same word is at distance zero, and distances grow."""
    rows = fruit.search("plum").limit(3).to_list()
    assert rows[0]["text"] == "plum"
    assert rows[0]["_distance"] == 0.0
    assert len(rows) == 3
    assert [r["_distance"] for r in rows] == sorted(r["_distance"] for r in rows)


def test_a_vector_is_searched_as_it_is(fruit: embow.Table, letters: Any) -> None:
    """No call is made for a vector query, list or array."""
    vector = fruit.to_arrow()["vector"].to_pylist()[1]
    letters.sent.clear()
    for query in (vector, np.asarray(vector), pa.array(vector)):
        assert fruit.search(query).limit(1).to_list()[0]["text"] == "pear"
    assert letters.sent == []


def test_several_vectors_are_searched_in_one_call(fruit: embow.Table) -> None:
    """Each query gets its own rows, told apart by query_index."""
    vectors = fruit.to_arrow()["vector"].to_pylist()[:2]
    rows = fruit.search(vectors).limit(1).to_list()
    assert [(row["query_index"], row["text"]) for row in rows] == [(0, "apple"), (1, "pear")]


def test_several_texts_are_searched_in_one_call(
    fruit: embow.Table, letters: Any, rows_sent: Any
) -> None:
    """Each has its own nearest rows; they are embedded in one request."""
    letters.sent.clear()
    rows = fruit.search(["fig", "plum"]).limit(1).to_list()
    assert [(row["query_index"], row["text"]) for row in rows] == [(0, "fig"), (1, "plum")]
    assert rows_sent() == ["fig", "plum"]
    assert fruit.search(("pear",)).limit(1).to_list()[0]["query_index"] == 0
    for kind in (np.array, pa.array):
        rows = fruit.search(kind(["fig", "plum"])).limit(1).to_list()
        assert [row["text"] for row in rows] == ["fig", "plum"]


def test_a_query_shows_what_it_asks_for(fruit: embow.Table) -> None:
    """repr() is short, also of a search by vector."""
    query = fruit.search("fig").where("tag = 't1'").select(["text"]).limit(3)
    shown = repr(query)
    assert shown.startswith("VectorSearch('words', ")
    assert "query='fig'" in shown
    assert "limit=3" in shown
    assert "where=\"tag = 't1'\"" in shown
    assert len(repr(fruit.search([0.5] * 26))) < 100
    assert repr(fruit.search()) == "Query('words')"


def test_a_table_of_polars_is_lazy_and_an_answer_is_not(fruit: embow.Table) -> None:
    """As in LanceDB."""
    polars = pytest.importorskip("polars")
    lazy = fruit.to_polars()
    assert isinstance(lazy, polars.LazyFrame)
    assert lazy.lazy().select("text").collect()["text"].to_list() == FRUIT
    assert isinstance(fruit.search("fig").to_polars(), polars.DataFrame)


def test_where_filters_before_searching(fruit: embow.Table) -> None:
    """A filter does not cost places among the nearest."""
    rows = fruit.search("apple").where("tag in ('t3', 't4')").limit(2).to_list()
    assert {row["text"] for row in rows} == {"cherry", "fig"}


def test_a_late_filter_sees_the_distance(fruit: embow.Table) -> None:
    """Without prefilter the nearest rows are filtered, and may come out fewer."""
    rows = fruit.search("apple").where("_distance > 0", prefilter=False).limit(2).to_list()
    assert len(rows) == 1
    assert rows[0]["text"] != "apple"


def test_conditions_add_up(fruit: embow.Table) -> None:
    """Two calls of where are joined by AND."""
    rows = fruit.search().where("text > 'b'").where("tag != 't1'").to_list()
    assert [row["text"] for row in rows] == ["plum", "cherry", "fig"]


def test_select_limits_the_columns(fruit: embow.Table) -> None:
    """Only the chosen columns and the distance come back."""
    row = fruit.search("fig").select(["tag"]).limit(1).to_list()[0]
    assert row == {"tag": "t4", "_distance": 0.0}


def test_offset_skips_the_nearest(fruit: embow.Table) -> None:
    """The second page continues the first."""
    both = fruit.search("apple").limit(4).to_list()
    page = fruit.search("apple").limit(2).offset(2).to_list()
    assert [row["text"] for row in page] == [row["text"] for row in both[2:]]


@pytest.mark.parametrize("metric", ["l2", "cosine", "dot"])
def test_every_metric_agrees_with_numpy(fruit: embow.Table, metric: Any, letters: Any) -> None:
    """Distances are those of the definition."""
    query = letters.create().generate_embeddings(["grape"])[0].astype(float)
    stored = {r["text"]: np.array(r["vector"]) for r in fruit.to_arrow().to_pylist()}
    definition = {
        "l2": lambda v: float(((v - query) ** 2).sum()),
        "cosine": lambda v: 1 - float(v @ query) / float(np.linalg.norm(v) * np.linalg.norm(query)),
        "dot": lambda v: 1 - float(v @ query),
    }[metric]
    for row in fruit.search("grape").metric(metric).to_list():
        assert row["_distance"] == pytest.approx(definition(stored[row["text"]]), abs=1e-5)


def test_distance_range_keeps_the_lower_bound_and_not_the_upper(fruit: embow.Table) -> None:
    """The range is half open."""
    nearest = [row["_distance"] for row in fruit.search("apple").to_list()]
    rows = fruit.search("apple").distance_range(nearest[0], nearest[1]).to_list()
    assert [row["_distance"] for row in rows] == nearest[:1]


def test_without_a_query_rows_are_read(fruit: embow.Table) -> None:
    """search() is a plain scan without limit and without distance."""
    rows = fruit.search().to_list()
    assert [row["text"] for row in rows] == FRUIT
    assert "_distance" not in rows[0]


def test_results_come_in_every_form(fruit: embow.Table) -> None:
    """Arrow, pandas, polars, dicts and objects hold the same row."""

    class Hit(embow.Model):
        text: str
        tag: str | None

    query = fruit.search("fig").limit(1)
    assert query.to_arrow()["text"].to_pylist() == ["fig"]
    assert query.to_pandas()["text"].tolist() == ["fig"]
    assert query.to_polars()["text"].to_list() == ["fig"]
    assert query.to_pydantic(Hit) == [Hit(text="fig", tag="t4")]
    assert isinstance(query.to_pandas()["vector"][0], np.ndarray)


@pytest.mark.parametrize(
    ("build", "error", "says"),
    [
        (lambda t: t.search("a").where("txt = 'a'").to_list(), PredicateError, "text"),
        (lambda t: t.search("a").where("text = ").to_list(), PredicateError, "does not parse"),
        (lambda t: t.search("a").where("text = 5").to_list(), PredicateError, "text"),
        (lambda t: t.search("a").limit(0), ConfigurationError, "at least 1"),
        (lambda t: t.search("a").limit(-1), ConfigurationError, "at least 1"),
        (lambda t: t.search("a").limit(None), ConfigurationError, "needs a limit"),
        (lambda t: t.search("a").metric("euclid"), ConfigurationError, "cosine"),
        (lambda t: t.search("a").select(["txt"]).to_list(), UnknownColumnError, "'text'"),
        (lambda t: t.search("a").select("text"), ConfigurationError, "list"),
        (lambda t: t.search("a").select(5), ConfigurationError, "list of column names.*5"),
        (lambda t: t.search([1.0, 2.0]).to_list(), BadVectorError, "2 dimensions.*26"),
        (lambda t: t.search([float("nan")] * 26), BadVectorError, "NaN"),
        (
            lambda t: t.search("a", vector_column_name="tag").to_list(),
            DataError,
            "no embedding function",
        ),
        (
            lambda t: t.search("a", vector_column_name="vec").to_list(),
            UnknownColumnError,
            "'vector'",
        ),
        (lambda t: t.search("a", query_type="vectr"), ConfigurationError, "mean 'vector'"),
        (lambda t: t.search("a", query_type="vector").select(5), ConfigurationError, "list"),
        (lambda t: t.search([]), ValueError, "nothing to search for"),
        (lambda t: t.search(()), ValueError, "nothing to search for"),
        (lambda t: t.search(np.zeros(0)), ValueError, "nothing to search for"),
        (lambda t: t.search(["a", ""]).to_list(), EmbeddingError, "Query 1 is empty"),
        (lambda t: t.search(5).to_list(), Exception, "not text"),
        (lambda t: t.search(["a", None]), DataError, "texts, or vectors.*item 1 is NoneType"),
        (lambda t: t.search((["a"], ["b"])), DataError, "item 0 is list"),
        (lambda t: t.search(np.array(["a", 3], dtype=object)), DataError, "item 1 is int"),
    ],
)
def test_bad_queries_are_refused(
    fruit: embow.Table, build: Any, error: type[Exception], says: str
) -> None:
    """Each mistake has its error, which names the way out."""
    with pytest.raises(error, match=says):
        build(fruit)


def test_text_on_a_table_without_function_says_what_to_do(db: embow.Database) -> None:
    """The error names add_embedding."""
    table = db.create_table("plain", [{"vector": [1.0, 2.0]}])
    assert table.search([1.0, 2.0]).limit(1).to_list()[0]["_distance"] == 0.0
    with pytest.raises(DataError, match="add_embedding"):
        table.search("text").to_list()


def test_an_empty_table_gives_no_rows(words: embow.Table) -> None:
    """Searching before the first row is no error."""
    assert words.search("apple").to_list() == []
    assert words.search("apple").to_arrow().schema.names == ["text", "vector", "tag", "_distance"]


def test_late_filters_keep_the_chosen_columns(fruit: embow.Table) -> None:
    """A late filter may use a column that is not returned."""
    rows = fruit.search("apple").where("tag = 't0'", prefilter=False).select(["text"]).to_list()
    assert rows == [{"text": "apple", "_distance": 0.0}]


@pytest.fixture
def snapshots(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the tables whose snapshots are taken from now on."""
    taken: list[str] = []
    plain = EngineTable.snapshot

    def counted(self: EngineTable, *args: Any, **options: Any) -> Any:
        taken.append(self.name)
        return plain(self, *args, **options)

    monkeypatch.setattr(EngineTable, "snapshot", counted)
    return taken


@pytest.mark.parametrize(
    "run",
    [
        lambda t: t.search([1.0] * 26).where("tag = 't1'").select(["text"]).to_list(),
        lambda t: t.search([[1.0] * 26, [2.0] * 26]).to_arrow(),
        lambda t: t.search().where("tag = 't1'").limit(1).to_list(),
        lambda t: t.to_batches().read_all(),
        lambda t: t.count_rows("tag = 't1'"),
        lambda t: t.head(2),
        lambda t: t.version,
        lambda t: t.schema,
    ],
)
def test_a_read_takes_one_snapshot(fruit: embow.Table, snapshots: list[str], run: Any) -> None:
    """Names, filter and rows all come from the same version, and it is looked up once."""
    run(fruit)
    assert snapshots == ["words"]


def test_a_search_for_text_finds_what_is_there_after_the_embedding(
    fruit: embow.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No snapshot is held while the provider is asked: rows added meanwhile are found."""
    plain = Pipeline.embed_queries

    def slow(self: Pipeline, *args: Any) -> Any:
        monkeypatch.setattr(Pipeline, "embed_queries", plain)
        vectors = self.embed_queries(*args)
        fruit.add([{"text": "quince"}])
        return vectors

    monkeypatch.setattr(Pipeline, "embed_queries", slow)
    assert fruit.search("quince").limit(1).to_list()[0]["_distance"] == 0.0


def test_a_search_is_planned_again_where_the_function_changes_meanwhile(
    fruit: embow.Table, monkeypatch: pytest.MonkeyPatch, letters: Any
) -> None:
    """A vector of the old function is not compared with vectors of the new one."""
    plain = Pipeline.embed_queries

    def slow(self: Pipeline, *args: Any) -> Any:
        monkeypatch.setattr(Pipeline, "embed_queries", plain)
        vectors = self.embed_queries(*args)
        fruit.migrate("vector", letters.create(scale=2.0))
        return vectors

    monkeypatch.setattr(Pipeline, "embed_queries", slow)
    assert fruit.search("plum").limit(1).to_list()[0]["_distance"] == 0.0


def test_batches_are_read_from_the_version_they_were_asked_for(fruit: embow.Table) -> None:
    """What is deleted while a reader is open still comes out of it."""
    reader = fruit.search().to_batches(batch_size=2)
    fruit.delete("true")
    assert [batch.num_rows for batch in reader] == [2, 2, 1]
    assert fruit.count_rows() == 0


def test_a_search_by_columns_seen_before_a_change_of_model_begins_anew(
    db: embow.Database, words: embow.Table, letters: Any
) -> None:
    """Also where the former function, the one known, cannot embed the query."""

    @embow.register("lengths-of-a-search")
    class Lengths(embow.TextEmbeddingFunction):
        def ndims(self) -> int:
            return 2

        def generate_embeddings(self, texts: list[str]) -> Any:
            return np.array([[len(text), 1] for text in texts], np.float32)

    words.add([{"text": "fig"}, {"text": "apple"}])
    assert words.search("gif").limit(1).to_list()[0]["text"] == "fig"
    db["words"].migrate("vector", Lengths.create())
    letters.refuse.add("lemon")
    assert words.search("lemon").limit(1).to_list()[0]["text"] == "apple"
    letters.refuse.clear()
    db["words"].rollback("vector")
    assert words.search("gif").limit(1).to_list()[0]["text"] == "fig"


def test_rows_are_read_by_their_ids(db: embow.Database) -> None:
    """In the order of the ids, with a filter, a limit, a selection; what is gone is left out."""
    table = db.create_table("t", [{"a": number} for number in range(6)])
    ids = table.search().with_row_id().to_arrow()["_rowid"].to_pylist()
    table.delete("a = 4")
    wanted = [ids[5], ids[4], ids[0], ids[2]]
    assert table.search().row_ids(wanted).to_list() == [{"a": 5}, {"a": 0}, {"a": 2}]
    query = table.search().row_ids(iter(wanted)).where("a < 5").limit(1).select({"b": "a + 1"})
    assert query.to_list() == [{"b": 1}]
    assert table.search().row_ids(wanted).order_by("a").limit(2).to_list() == [{"a": 0}, {"a": 2}]
    assert table.search().row_ids([]).to_list() == []
    with pytest.raises(ConfigurationError, match="whole numbers"):
        table.search().row_ids(["a"])


def test_a_search_is_confined_to_some_rows(db: embow.Database) -> None:
    """Row ids choose what is searched, as a filter does."""
    rows = [{"a": number, "vector": [float(number), 0.0]} for number in range(6)]
    table = db.create_table("t", rows)
    ids = table.search().with_row_id().to_arrow()["_rowid"].to_pylist()
    found = table.search([0.0, 0.0]).row_ids([ids[4], ids[2], ids[5]]).limit(2).to_list()
    assert [row["a"] for row in found] == [2, 4]
