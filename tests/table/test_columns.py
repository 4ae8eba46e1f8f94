"""What users call their columns: any text, whatever an engine can store."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

import embow
from embow._table.columns import QUARANTINE, Columns
from embow._table.names import physical_name
from embow.embeddings import EmbeddingFunctionConfig
from embow.embeddings._trust import OWNER_KEY
from embow.engines.contract import NAME_BYTES, is_physical
from embow.errors import SchemaError

ODD = ["größe", "x" * 64, 'a "quoted" one', "it's", "two words", "1st", "ORDER", "a.b", "数据", "%"]


@pytest.mark.parametrize("name", [*ODD, "", "_distance", "x" * 48, "x" * 49])
def test_every_name_has_a_physical_one(name: str) -> None:
    """It is one that every engine can store, and always the same."""
    assert is_physical(physical_name(name))
    assert physical_name(name) == physical_name(name)
    assert len(physical_name(name)) <= NAME_BYTES


def test_a_name_that_can_be_stored_stays_as_it_is() -> None:
    """Nothing is said in the metadata where nothing is renamed."""
    columns = Columns.create(pa.schema({"text": pa.string(), "n": pa.int64()}))
    assert dict(columns.names) == {"text": "text", "n": "n"}
    assert set(columns.metadata) == {OWNER_KEY, QUARANTINE}


def test_two_names_never_share_a_stored_column() -> None:
    """Also where one column is called what another one's name is shortened to."""
    taken = physical_name("größe")
    columns = Columns.create(pa.schema({"größe": pa.int64(), taken: pa.int64()}))
    assert len(set(columns.names.values())) == 2
    assert Columns.read(columns.stored, columns.metadata).visible == columns.visible


def test_what_is_written_is_read_again(letters: Any) -> None:
    """Order, nullability, the user's metadata and the functions survive."""
    function = letters.create()

    class Odd(embow.Model):
        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()
        n: int | None = None

    visible = Odd.to_arrow_schema()
    visible = visible.with_metadata({**visible.metadata, b"mine": b"text", b"raw": b"\xff\x00"})
    made = Columns.create(visible)
    read = Columns.read(made.stored, made.metadata)
    assert read.visible.equals(visible, check_metadata=True)
    assert read.bindings == made.bindings
    assert made.stored.field("vector").nullable


def quoted(name: str) -> str:
    """Return a column name for a condition."""
    return '"' + name.replace('"', '""') + '"'


@pytest.mark.parametrize("name", ODD)
def test_any_name_works_from_end_to_end(db: embow.Database, letters: Any, name: str) -> None:
    """Filters, select, update, merge, search and results all use the user's names."""
    vector = f"{name} vector"
    config = EmbeddingFunctionConfig(vector, name, letters.create())
    schema = pa.schema({"id": pa.int64(), name: pa.string()})
    rows = [{"id": 1, name: "fig"}, {"id": 2, name: "plum"}]
    table = db.create_table("t", rows, schema, embedding_functions=[config])
    assert table.schema.names == ["id", name, vector]
    assert table.search("plum").limit(1).select([name]).to_list() == [
        {name: "plum", "_distance": 0}
    ]
    assert table.count_rows(f"{quoted(name)} = 'fig'") == 1
    late = table.search("fig").where(f"{quoted(name)} = 'fig'", prefilter=False)
    assert [row[name] for row in late.to_list()] == ["fig"]
    table.update(where=f"{quoted(name)} = 'fig'", values={name: "pear"})
    table.update(where="id = 2", values_sql={name: f"{quoted(name)} || 's'"})
    merge = table.merge_insert(name).when_matched_update_all().when_not_matched_insert_all()
    merge.execute([{"id": 5, name: "pear"}, {"id": 6, name: "kiwi"}])
    found = table.search().select(["id", name]).to_list()
    assert sorted((row["id"], row[name]) for row in found) == [
        (2, "plums"),
        (5, "pear"),
        (6, "kiwi"),
    ]
    assert table.search("kiwi").limit(1).to_list()[0]["_distance"] == 0.0
    assert table.verify().ok
    table.delete(f"{quoted(name)} in ('kiwi', 'pear')")
    assert table.to_arrow().schema.names == ["id", name, vector]
    assert table.to_arrow()[name].to_pylist() == ["plums"]


@pytest.mark.parametrize("name", ["_rowid", "_distance", "_score", "_relevance_score", "_embow_x"])
def test_names_of_results_are_refused(db: embow.Database, name: str) -> None:
    """A column could not be told from what a search adds; as a model and as an Arrow schema."""
    from pydantic import Field

    class Odd(embow.Model):
        column: int = Field(alias=name)

    renamed = pa.schema({name: pa.int64()})
    for schema in (Odd, renamed):
        if name in (schema.names if schema is renamed else Odd.to_arrow_schema().names):
            with pytest.raises(SchemaError, match=name):
                db.create_table("t", schema=schema)
    with pytest.raises(SchemaError, match=name):
        db.create_table("t", [{name: 1}])
    assert db.table_names() == []


def test_a_name_given_twice_is_refused(db: embow.Database) -> None:
    """The column is named."""
    schema = pa.schema([("a", pa.int64()), ("a", pa.string())])
    with pytest.raises(SchemaError, match="2 columns are named 'a'"):
        db.create_table("t", schema=schema)


def test_metadata_keys_of_embow_are_refused(db: embow.Database) -> None:
    """A schema copied from a stored file does not bring settings along."""
    schema = pa.schema({"a": pa.int64()}, metadata={"embow.columns": "[]"})
    with pytest.raises(SchemaError, match=r"embow\.columns"):
        db.create_table("t", schema=schema)


def test_the_users_metadata_are_kept(db: embow.Database) -> None:
    """Text and bytes come back as they were given."""
    metadata = {b"note": "größe".encode(), b"raw": b"\xff\x00"}
    schema = pa.schema([pa.field("a", pa.int64(), metadata={"unit": "cm"})], metadata=metadata)
    db.create_table("t", [{"a": 1}], schema)
    opened = db.open_table("t").schema
    assert opened.metadata == metadata
    assert opened.field("a").metadata == {b"unit": b"cm"}


def test_damaged_lists_of_columns_are_named() -> None:
    """The error says what is damaged."""
    stored = pa.schema({"a": pa.int64()})
    for text in ("{", "[[1]]", '[["b", "b", true]]'):
        with pytest.raises(SchemaError, match="damaged"):
            Columns.read(stored, {"embow.columns": text})
