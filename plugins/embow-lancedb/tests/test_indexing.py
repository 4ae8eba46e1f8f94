"""The index calls of a table, and searches for words."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import embow_lancedb as lancedb
from embow.errors import EmbowError
from embow_lancedb.index import FTS, BTree, HnswFlat, IvfPq
from embow_lancedb.query import (
    BooleanQuery,
    LanceFtsQueryBuilder,
    LanceHybridQueryBuilder,
    MatchQuery,
    MultiMatchQuery,
    Occur,
    PhraseQuery,
)
from embow_lancedb.rerankers import LinearCombinationReranker, RRFReranker
from embow_lancedb.table import LanceTable

TEXTS = ["a lovely puppy", "puppies play", "a grumpy cat", "cats and dogs"]


@pytest.fixture
def pets(tmp_path: Path) -> LanceTable:
    """Four texts with vectors."""
    rows = [
        {"id": number, "text": text, "vector": [float(number), 1.0]}
        for number, text in enumerate(TEXTS)
    ]
    return lancedb.connect(tmp_path).create_table("pets", rows)


def ids(query: Any) -> list[int]:
    """Return the ids that a query finds, in order."""
    return [row["id"] for row in query.to_list()]


def test_an_index_is_created_by_column_and_settings(pets: LanceTable) -> None:
    """The form of today warns of nothing; an index can be made anew, listed and removed."""
    pets.create_index("vector", config=IvfPq(num_partitions=2), wait_timeout=timedelta(seconds=9))
    pets.create_index("vector", config=HnswFlat(), train=False)
    with pytest.raises(EmbowError, match="vector_idx"):
        pets.create_index("vector", config=IvfPq(), replace=False)
    [listed] = pets.list_indices()
    assert (listed.name, listed.columns, listed.index_type) == (
        "vector_idx",
        ["vector"],
        "HnswFlat",
    )
    assert listed["num_indexed_rows"] + listed.num_unindexed_rows == 4
    pets.wait_for_index(["vector_idx"], timedelta(seconds=1))
    pets.prewarm_index("vector_idx")
    pets.prewarm_data(["id"])
    stats = pets.index_stats("vector_idx")
    assert stats is not None
    assert (stats["num_unindexed_rows"], stats.distance_type) == (0, "l2")
    assert stats.index_type == "IVF_HNSW_FLAT"
    assert pets.index_stats("nothing") is None
    pets.drop_index("vector_idx")
    assert pets.list_indices() == []
    with pytest.raises(EmbowError, match="no index 'vector_idx'"):
        pets.drop_index("vector_idx")


@pytest.mark.parametrize(
    "older",
    [
        {},
        {"metric": "cosine"},
        {"num_partitions": 2, "num_sub_vectors": 1},
        {"metric": "dot", "vector_column_name": "vector", "index_type": "IVF_HNSW_SQ", "m": 8},
    ],
)
def test_the_older_form_warns(pets: LanceTable, older: dict[str, Any]) -> None:
    """It names the distance first, and the column last."""
    with pytest.warns(DeprecationWarning, match="create_index"):
        pets.create_index(**older)
    stats = pets.index_stats("vector_idx")
    assert stats is not None
    assert stats.distance_type == older.get("metric", "l2")


def test_settings_that_are_none_are_refused(pets: LanceTable) -> None:
    """Kinds of index, columns, and what is no settings at all."""
    with (
        pytest.warns(DeprecationWarning, match="deprecated in LanceDB"),
        pytest.raises(ValueError, match=r"Unknown index type.*IVF_PQ"),
    ):
        pets.create_index(index_type="IVF_QP")
    with pytest.raises(ValueError, match=r"`vectr`.*'vector'"):
        pets.create_index("vectr", config=IvfPq())
    with pytest.raises(ValueError, match=r"config='IVF_PQ'"):
        pets.create_index("vector", config="IVF_PQ")


def test_indexes_of_values_are_noted(pets: LanceTable) -> None:
    """Conditions need none, but programs list them, wait for them and remove them."""
    pets.create_index("id", config=BTree())
    pets.create_index("id")
    with pytest.warns(DeprecationWarning, match="create_scalar_index"):
        pets.create_scalar_index("text", index_type="BITMAP", name="mine")
    listed = {each.name: (each.index_type, each.columns) for each in pets.list_indices()}
    assert listed == {"id_idx": ("BTree", ["id"]), "mine": ("Bitmap", ["text"])}
    stats = pets.index_stats("id_idx")
    assert stats is not None
    assert (stats.index_type, stats.num_indexed_rows, stats.distance_type) == ("BTREE", 4, None)
    pets.wait_for_index(["mine"])
    pets.prewarm_index("mine")
    with pytest.raises(ValueError, match="already exists"):
        pets.create_index("id", config=BTree(), replace=False)
    pets.drop_index("mine")
    assert [each.name for each in pets.list_indices()] == ["id_idx"]
    assert pets.schema.field("text").metadata in (None, {})
    with pytest.raises(ValueError, match="no index 'mine'"):
        pets.prewarm_index("mine")
    with (
        pytest.warns(DeprecationWarning, match="deprecated in LanceDB"),
        pytest.raises(ValueError, match="nope"),
    ):
        pets.create_scalar_index("nope")
    with (
        pytest.warns(DeprecationWarning, match="deprecated in LanceDB"),
        pytest.raises(ValueError, match="BTREE"),
    ):
        pets.create_scalar_index("id", index_type="BREE")


def test_words_are_searched(pets: LanceTable) -> None:
    """Text on a table without functions is words; ``_score`` comes, the best first."""
    pets.create_index("text", config=FTS())
    query = pets.search("puppy")
    assert isinstance(query, LanceFtsQueryBuilder)
    found = query.to_arrow()
    assert found.column_names[-1] == "_score"
    assert sorted(found["id"].to_pylist()) == [0, 1]
    assert ids(pets.search("puppy", query_type="fts").where("id > 0")) == [1]
    assert pets.search("cats", fts_columns="text").select(["id"]).limit(1).to_arrow().num_rows == 1
    assert found.drop_columns(["_score"]).schema == pets.schema


def test_words_are_searched_by_queries(pets: LanceTable) -> None:
    """Those of ``embow_lancedb.query`` say which kind of search it is."""
    with pytest.warns(DeprecationWarning, match="create_fts_index"):
        pets.create_fts_index("text", with_position=True)
    assert ids(pets.search(MatchQuery("pupy", "text", fuzziness=1)).limit(5)) == [0, 1]
    assert ids(pets.search(PhraseQuery("lovely puppy", "text"))) == [0]
    assert ids(pets.search("lovely puppy").phrase_query()) == [0]
    assert ids(pets.search(MultiMatchQuery("grumpy", ["text"]))) == [2]
    assert ids(pets.search(MatchQuery("cat", "text") & MatchQuery("grumpy", "text"))) == [2]
    without = BooleanQuery(
        [(Occur.MUST, MatchQuery("cat", "text")), (Occur.MUST_NOT, MatchQuery("dog", "text"))]
    )
    assert ids(pets.search(without)) == [2]


def test_words_need_an_index(pets: LanceTable) -> None:
    """The error says how to make one."""
    with pytest.raises(ValueError, match="create_index"):
        pets.search("puppy").to_list()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"field_names": ["text", "id"]}, "Native FTS indexes can only be created"),
        ({"field_names": "text", "use_tantivy": True}, "use_tantivy"),
        ({"field_names": "text", "ordering_field_names": ["id"]}, "order_by"),
        ({"field_names": "text", "writer_heap_size": 5}, "writer_heap_size"),
        ({"field_names": "text", "tongue": "French"}, "'tongue'"),
        ({"field_names": "text", "language": "klingon"}, "klingon"),
        ({"field_names": "text", "tokenizer_name": "xx_stem"}, "tokenizer_name 'xx_stem'"),
        ({"field_names": "id"}, "texts"),
    ],
)
def test_settings_of_words_that_are_none(
    pets: LanceTable, arguments: dict[str, Any], match: str
) -> None:
    """What LanceDB's tests want refused, and misspelt names."""
    with (
        pytest.warns(DeprecationWarning, match="deprecated in LanceDB"),
        pytest.raises(ValueError, match=match),
    ):
        pets.create_fts_index(**arguments)


def test_both_halves_of_a_search_are_one_order(pets: LanceTable) -> None:
    """Given by themselves; ``_relevance_score`` comes, distances and scores only if asked for."""
    pets.create_index("text", config=FTS())
    query = pets.search(query_type="hybrid").vector([3.0, 1.0]).text("puppy").limit(3)
    assert isinstance(query, LanceHybridQueryBuilder)
    found = query.to_arrow()
    assert found.column_names == ["id", "text", "vector", "_relevance_score"]
    assert sorted(found["_relevance_score"].to_pylist(), reverse=True) == (
        found["_relevance_score"].to_pylist()
    )
    told = query.rerank(RRFReranker(return_score="all"), "score").with_row_id(True).to_arrow()
    assert {"_distance", "_score", "_rowid"} < set(told.column_names)
    weighted = query.rerank(LinearCombinationReranker(weight=1.0), normalize="rank")
    assert ids(weighted)[0] == 3
    assert ids(query.metric("cosine").where("id < 3").select(["id"]))
    assert "words" in query.explain_plan()


def test_halves_are_given_once_and_both(pets: LanceTable) -> None:
    """A text for both and a half of its own, or one half alone, is refused."""
    pets.create_index("text", config=FTS())
    for query in (
        pets.search("puppy", query_type="hybrid").vector([3.0, 1.0]),
        pets.search(query_type="hybrid").vector([3.0, 1.0]),
        pets.search(query_type="hybrid").text("puppy"),
    ):
        with pytest.raises(ValueError, match="hybrid"):
            query.to_list()


def test_a_text_is_cut_as_an_index_does(pets: LanceTable) -> None:
    """By column, by name of the index, and without any table."""
    pets.create_index("text", config=FTS(), name="words")
    for chosen in ({"column": "text"}, {"index_name": "words"}):
        tokens = pets.tokenize("Running in cafés", **chosen)
        assert [(token.text, token.position) for token in tokens] == [("run", 0), ("cafe", 2)]
    assert [token.text for token in lancedb.tokenize("Running", stem=False)] == ["running"]
    with pytest.raises(ValueError, match="Specify exactly one"):
        pets.tokenize("x")
    with pytest.raises(ValueError, match="does not have a full text search index"):
        pets.tokenize("x", column="id")


@pytest.mark.parametrize(
    ("name", "text", "terms"),
    [
        ("default", "Running Cafés", ["running", "cafés"]),
        ("raw", "Running Cafés", ["Running Cafés"]),
        ("whitespace", "Running, Cafés", ["Running,", "Cafés"]),
        ("en_stem", "running", ["run"]),
    ],
)
def test_older_names_of_tokenizers(
    pets: LanceTable, name: str, text: str, terms: list[str]
) -> None:
    """Each stands for settings of today."""
    with pytest.warns(DeprecationWarning, match="deprecated in LanceDB"):
        pets.create_fts_index("text", tokenizer_name=name)
    assert [token.text for token in pets.tokenize(text, column="text")] == terms


def test_indexes_are_awaited(tmp_path: Path) -> None:
    """The same calls of an asynchronous table."""

    async def run() -> None:
        async with await lancedb.connect_async(tmp_path) as db:
            rows = [{"id": 1, "text": "a puppy", "vector": [1.0, 0.0]}]
            table = await db.create_table("t", rows)
            await table.create_index("vector", config=IvfPq())
            await table.create_index("vector")
            await table.create_index("id")
            await table.drop_index("id_idx")
            await table.create_index("text", config=FTS(with_position=True), replace=True)
            await table.wait_for_index(["text_idx"])
            await table.prewarm_index("text_idx")
            await table.prewarm_data()
            assert [each.name for each in await table.list_indices()] == ["text_idx", "vector_idx"]
            stats = await table.index_stats("text_idx")
            assert stats is not None
            assert stats.index_type == "FTS"
            assert (await table.tokenize("Puppies", column="text"))[0].text == "puppi"
            found = await table.query().nearest_to_text("puppy", columns="text").to_list()
            assert found[0]["id"] == 1
            assert await (await table.search("puppy", query_type="fts")).to_list() == found
            await table.drop_index("vector_idx")

    asyncio.run(run())


def test_metadata_of_columns_changes_in_parts(pets: LanceTable) -> None:
    """Entries are added, removed by ``None``, or replaced as a whole."""
    pets.update_field_metadata({"path": "id", "metadata": {"a": "1", "b": "2"}})
    pets.update_field_metadata({"path": "id", "metadata": {"a": None, "c": "3"}})
    assert pets.schema.field("id").metadata == {b"b": b"2", b"c": b"3"}
    pets.update_field_metadata({"path": "id", "metadata": {"d": "4"}, "replace": True})
    assert pets.schema.field("id").metadata == {b"d": b"4"}
    pets.set_unenforced_primary_key("id")
    pets.add([{"id": 0}])
    assert pets.count_rows("id = 0") == 2


def test_vectors_within_a_struct_have_an_index(tmp_path: Path) -> None:
    """It takes the place of a note of that name; paths may be written with marks."""
    kind = pa.struct([pa.field("embedding", pa.list_(pa.float32(), 2))])
    schema = pa.schema([pa.field("id", pa.int32()), pa.field("image", kind)])
    rows = [{"id": number, "image": {"embedding": [number, 0.0]}} for number in range(5)]
    table = lancedb.connect(tmp_path).create_table("t", rows, schema=schema)
    note = {"lancedb:index:deep": "IvfPq image.embedding"}
    table.update_field_metadata({"path": "image", "metadata": note})
    assert [each.index_type for each in table.list_indices()] == ["IvfPq"]
    with pytest.warns(DeprecationWarning, match="create_index"):
        table.create_index(vector_column_name="image.embedding", name="deep")
    stats = table.index_stats("deep")
    assert stats is not None
    assert (stats.index_type, stats.num_indexed_rows) == ("IVF_HNSW_FLAT", 5)
    table.create_index("`image`.embedding", name="marked")
    table.create_index("image.embedding", config=IvfPq())
    assert [(each.name, each.columns) for each in table.list_indices()] == [
        ("deep", ["image.embedding"]),
        ("image.embedding_idx", ["image.embedding"]),
        ("marked", ["image.embedding"]),
    ]
    assert ids(table.search([3.2, 0.0], vector_column_name="image.embedding").limit(1)) == [3]


def test_words_of_a_field_are_indexed(tmp_path: Path) -> None:
    """They are found by the path, and where no column is named."""
    rows = [{"id": 1, "payload": {"text": "a dog"}}, {"id": 2, "payload": {"text": "cats"}}]
    table = lancedb.connect(tmp_path).create_table("t", rows)
    table.create_index("payload.text", config=FTS())
    assert [(each.index_type, each.columns) for each in table.list_indices()] == [
        ("FTS", ["payload.text"])
    ]
    assert ids(table.search("cat", query_type="fts", fts_columns="payload.text")) == [2]
    assert ids(table.search("dogs", query_type="fts")) == [1]


def test_an_index_of_a_field_is_noted_at_its_column(tmp_path: Path) -> None:
    """Paths lead into structs; other metadata of the column stays."""
    table = lancedb.connect(tmp_path).create_table("t", [{"a": {"b": 1}}])
    table.update_field_metadata({"path": "a", "metadata": {"unit": "cm"}})
    table.create_index("a.b", config=BTree(), name="deep")
    assert [each.columns for each in table.list_indices()] == [["a.b"]]
    table.drop_index("deep")
    assert table.schema.field("a").metadata == {b"unit": b"cm"}
    with pytest.raises(ValueError, match=r"Field path `c\.d` not found"):
        table.create_index("c.d", config=BTree())
