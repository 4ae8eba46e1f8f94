"""The calls of a table: rows in, rows changed, versions, columns."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pytest

import embow_lancedb as lancedb
from embow.errors import CheckedOutError, UnsupportedOperationError
from embow_lancedb.embeddings import EmbeddingFunctionConfig, get_registry
from embow_lancedb.pydantic import LanceModel, Vector
from embow_lancedb.table import LanceTable


def names(table: LanceTable) -> list[str]:
    """Return the names in a table of fruit, in order."""
    return list(table.to_arrow()["name"].to_pylist())


def test_add_returns_the_version(fruit: LanceTable) -> None:
    """``add(...).version`` is the version that has the rows."""
    result = fruit.add(
        pa.table({"name": ["kiwi"], "price": [1.0], "vector": [[0.0, 1.0]]}).cast(fruit.schema)
    )
    assert (result.version, fruit.version, len(fruit)) == (2, 2, 4)


def test_add_takes_the_arguments_of_lancedb(fruit: LanceTable) -> None:
    """By position up to ``fill_value``; what only Lance files have changes nothing."""
    seen: list[object] = []
    bad = [{"name": "kiwi", "price": 1.0, "vector": [1.0]}]
    fruit.add(bad, "append", "fill", 7.0, seen.append, write_parallelism=2)
    assert fruit.to_arrow()["vector"].to_pylist()[-1] == [1.0, 7.0]
    assert seen
    fruit.add(bad, on_bad_vectors="drop")
    assert len(fruit) == 4
    fruit.add([{"name": "kiwi", "price": 1.0, "vector": [1.0, 1.0]}], mode="overwrite")
    assert names(fruit) == ["kiwi"]


def test_rows_are_updated_by_value_and_by_expression(fruit: LanceTable) -> None:
    """One of both must be given."""
    assert fruit.update("name = 'fig'", {"price": 9.0}).rows_updated == 1
    assert fruit.update(where="price > 5", values_sql={"price": "price + 1"}).version == 3
    assert fruit.to_arrow().sort_by("price")["price"].to_pylist() == [1.0, 2.0, 10.0]
    with pytest.raises(ValueError, match="either new values"):
        fruit.update(where="price > 5")
    with pytest.raises(ValueError, match="either new values"):
        fruit.update(values={"price": 1.0}, values_sql={"price": "1"})


def test_rows_are_deleted_by_text_and_expression(fruit: LanceTable) -> None:
    """The result has the number of rows and the version."""
    assert fruit.delete("name = 'fig'").num_deleted_rows == 1
    assert fruit.delete(lancedb.col("price") < 2).version == 3
    assert names(fruit) == ["plum"]


def test_rows_are_merged(fruit: LanceTable) -> None:
    """Clauses, ``use_index`` and the numbers of the result."""
    rows = [
        {"name": "fig", "price": 30.0, "vector": [1.0, 1.0]},
        {"name": "kiwi", "price": 5.0, "vector": [9.0, 9.0]},
    ]
    merge = fruit.merge_insert("name").use_index(False)
    merge = merge.when_matched_update_all(where="target.price < source.price")
    merge = merge.when_not_matched_insert_all().when_not_matched_by_source_delete("price > 1.5")
    result = merge.execute(rows)
    counts = (result.num_inserted_rows, result.num_updated_rows, result.num_deleted_rows)
    assert counts == (1, 1, 1)
    assert sorted(names(fruit)) == ["fig", "kiwi", "pear"]


def test_a_merge_has_a_time_limit(fruit: LanceTable) -> None:
    """After none of it nothing is changed."""
    merge = fruit.merge_insert(["name"]).when_matched_update_all()
    with pytest.raises(TimeoutError, match="merge insert timed out"):
        merge.execute([{"name": "fig", "price": 5.0}], timeout=timedelta(0))
    assert fruit.version == 1


def test_versions_are_read_named_and_restored(fruit: LanceTable) -> None:
    """``list_versions`` gives dicts; a version that is checked out cannot be written."""
    fruit.delete("name = 'fig'")
    assert [each["version"] for each in fruit.list_versions()] == [1, 2]
    fruit.tags.create("all", 1)
    assert fruit.tags.list()["all"]["version"] == fruit.tags.get_version("all") == 1
    fruit.checkout("all")
    assert (fruit.version, len(fruit)) == (1, 3)
    with pytest.raises(CheckedOutError, match="cannot be modified when a specific version"):
        fruit.delete("true")
    fruit.checkout_latest()
    assert len(fruit) == 2
    with pytest.raises(ValueError, match="checkout"):
        fruit.restore()
    fruit.restore(1)
    assert (fruit.version, len(fruit), fruit.current_branch()) == (3, 3, None)
    with pytest.raises(UnsupportedOperationError, match="name them with tags"):
        _ = fruit.branches


def test_columns_are_added_altered_and_dropped(fruit: LanceTable) -> None:
    """Each call returns the version it made."""
    assert fruit.add_columns({"twice": "price * 2"}).version == 2
    fruit.add_columns(pa.field("note", pa.string()))
    fruit.alter_columns({"path": "twice", "rename": "double"}, {"path": "note", "nullable": True})
    fruit.replace_field_metadata("note", {"unit": "none"})
    assert fruit.schema.field("note").metadata == {b"unit": b"none"}
    assert fruit.to_arrow()["double"].to_pylist() == [6.0, 4.0, 2.0]
    assert fruit.drop_columns(["double", "note"]).version == fruit.version
    assert fruit.schema.names == ["name", "price", "vector"]


def test_a_table_is_tended_by_its_old_names_too(fruit: LanceTable) -> None:
    """``compact_files`` and ``cleanup_old_versions`` warn, and are ``optimize``."""
    fruit.delete("name = 'fig'")
    fruit.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)
    assert [each["version"] for each in fruit.list_versions()] == [2]
    with pytest.warns(DeprecationWarning, match="compact_files"):
        fruit.compact_files(max_bytes_per_file=1)
    with pytest.warns(DeprecationWarning, match="cleanup_old_versions"):
        fruit.cleanup_old_versions(timedelta(days=1), delete_unverified=True)


def test_a_table_is_read_whole(fruit: LanceTable) -> None:
    """As Arrow, pandas and a lazy frame of polars."""
    assert fruit.head(2).num_rows == 2
    assert fruit.count_rows("price > 1") == 2
    assert list(fruit.to_pandas(blob_mode="lazy")["name"]) == names(fruit)
    assert fruit.to_polars().collect()["name"].to_list() == names(fruit)


@pytest.mark.parametrize(
    "call", ["to_lance", "fetch_blobs", "flush_lsm", "refresh_column", "set_lsm_write_spec"]
)
def test_what_is_not_here_says_what_to_use(fruit: LanceTable, call: str) -> None:
    """The error begins with the name of the call."""
    with pytest.raises(NotImplementedError, match=f"^{call}: "):
        getattr(fruit, call)()


def test_functions_of_a_schema_embed(db: lancedb.DBConnection) -> None:
    """A model's function embeds rows and queries, and comes back from the table."""
    function = get_registry().get("lancedb-lengths").create()

    class Words(LanceModel):
        text: str = function.SourceField()
        vector: Vector(2) = function.VectorField()  # type: ignore[valid-type]

    table = db.create_table("words", schema=Words)
    table.add([{"text": "one"}, {"text": "two words"}])
    found = table.search("six").limit(1).to_pydantic(Words)
    assert (found[0].text, list(found[0].vector)) == ("one", [3.0, 1.0])
    config = table.embedding_functions["vector"]
    assert isinstance(config, EmbeddingFunctionConfig)
    assert (config.source_column, config.function) == ("text", function)


def test_functions_are_given_beside_an_arrow_schema(db: lancedb.DBConnection) -> None:
    """``embedding_functions=`` binds them, and makes the vector column."""
    function = get_registry().get("lancedb-lengths").create()
    config = EmbeddingFunctionConfig("vector", "text", function)
    table = db.create_table("t", pa.table({"text": ["abc"]}), embedding_functions=[config])
    assert table.to_arrow()["vector"].to_pylist() == [[3.0, 1.0]]
