"""Data and arguments that are unusual: what fits is taken, the rest is refused by name."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import embow
from embow.embeddings import EmbeddingFunctionConfig
from embow.errors import (
    BadVectorError,
    ConfigurationError,
    DataError,
    EmbowError,
    PredicateError,
    SchemaError,
    StorageError,
)

VECTORS = [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    "data",
    [
        [{"vector": VECTORS[0]}, {"vector": VECTORS[1]}],
        [{"vector": VECTORS[0]}, {"vector": None}],
        [{"vector": np.array(VECTORS[0])}],
        pd.DataFrame({"vector": [np.array(v) for v in VECTORS]}),
        pl.DataFrame({"vector": VECTORS}),
        pa.table({"vector": VECTORS}),
    ],
    ids=["dicts", "null", "numpy", "pandas", "polars", "arrow"],
)
def test_lists_in_a_column_named_vector_become_vectors(db: embow.Database, data: Any) -> None:
    """A table made from data without a schema can be searched at once."""
    table = db.create_table("t", data)
    assert table.schema.field("vector").type == pa.list_(pa.float32(), 2)
    assert table.search([1.0, 2.0]).limit(1).to_list()[0]["_distance"] == 0.0


def test_a_vector_of_another_length_follows_the_policy(db: embow.Database) -> None:
    """The most common length counts; the odd one is refused or mended as asked for."""
    data = [{"vector": v} for v in ([1.0, 2.0], [3.0, 4.0], [5.0])]
    with pytest.raises(BadVectorError, match="Row 2"):
        db.create_table("t", data)
    assert len(db.create_table("t", data, on_bad_vectors="drop")) == 2


def test_a_table_made_from_polars_takes_rows_of_any_form(db: embow.Database, letters: Any) -> None:
    """Views and categories of polars become plain text, so that dicts and frames still fit."""
    frame = pl.DataFrame(
        {
            "text": ["a", "b"],
            "kind": pl.Series(["x", "y"], dtype=pl.Categorical),
            "grade": pl.Series(["p", "q"], dtype=pl.Enum(["p", "q"])),
        }
    )
    functions = [EmbeddingFunctionConfig("vector", "text", letters.create())]
    table = db.create_table("t", frame, embedding_functions=functions)
    table.add([{"text": "c", "kind": "new", "grade": "r"}])
    table.add(frame)
    table.update("kind = 'x'", {"text": "z", "kind": "z"})
    assert table.search("c").limit(1).to_list()[0]["grade"] == "r"
    assert table.count_rows("kind = 'z'") == 2
    assert table.verify().ok


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ([{"_embow_note": "mine"}], "cannot be a column name"),
        ([{"number": 2**70}], "'number'.*too large"),
        ([{"text": "a\ud83d"}], "'text'.*surrogates not allowed"),
        ([{1: "x"}], "key 1"),
        (pd.DataFrame([["a", "b"]], columns=["x", "x"]), "Duplicate column"),
        (pd.DataFrame({"mixed": ["a", 2]}), "mixed"),
    ],
)
def test_data_that_cannot_be_kept_is_refused(db: embow.Database, data: Any, match: str) -> None:
    """No value is dropped without a word, and the column is named."""
    with pytest.raises(EmbowError, match=match):
        db.create_table("t", data)
    assert db.table_names() == []


def test_a_column_without_a_value_waits_for_its_type(db: embow.Database) -> None:
    """It holds nulls; a first value says how to give it a type, which keeps the rows."""
    table = db.create_table("t", [{"id": 1, "note": None}])
    table.add([{"id": 2, "note": None}, {"id": 3}])
    assert table.schema.field("note").type == pa.null()
    assert table.count_rows("note IS NULL") == 3
    with pytest.raises(DataError, match=r"Row 0, column 'note': str.*alter_columns"):
        table.add([{"id": 4, "note": "a"}])
    table.alter_columns({"path": "note", "data_type": pa.string()})
    table.add([{"id": 4, "note": "a"}])
    table.optimize()
    assert table.to_arrow()["note"].to_pylist() == [None, None, None, "a"]


def test_numbers_become_text_as_they_do_from_a_frame(db: embow.Database) -> None:
    """A column of text takes numbers from dicts, written as a column of a DataFrame would be."""
    table = db.create_table("t", schema=pa.schema([("text", pa.string())]))
    for values in ([5, -7], [2.0, 2.5], [True, False]):
        table.add([{"text": value} for value in values])
        table.add(pd.DataFrame({"text": values}))
        stored = table.to_arrow()["text"].to_pylist()
        assert stored[-4:-2] == stored[-2:]
    assert stored[:2] == ["5", "-7"]


def test_an_absent_vector_column_is_left_to_its_function(db: embow.Database, letters: Any) -> None:
    """Rows that say ``vector=None`` do not decide the type of the column."""
    functions = [EmbeddingFunctionConfig("vector", "text", letters.create())]
    rows = [{"text": "a", "vector": None}]
    assert db.create_table("t", rows, embedding_functions=functions).verify().ok


@pytest.mark.parametrize(
    "vector", [pa.list_(pa.float32(), 25), pa.list_(pa.float32()), pa.string()], ids=str
)
def test_a_column_that_cannot_hold_the_vectors_is_refused(
    db: embow.Database, letters: Any, vector: pa.DataType
) -> None:
    """A wrong length would shift every vector after the first; it is found at the declaration."""
    schema = pa.schema([("text", pa.string()), ("vector", vector)])
    functions = [EmbeddingFunctionConfig("vector", "text", letters.create())]
    with pytest.raises(SchemaError, match=r"Vector\(26\)"):
        db.create_table("t", schema=schema, embedding_functions=functions)


def test_functions_to_bind_are_checked(db: embow.Database, letters: Any) -> None:
    """Another object, or a column filled twice, is refused before anything is written."""
    one = EmbeddingFunctionConfig("vector", "text", letters.create())
    with pytest.raises(ConfigurationError, match="not Letters"):
        db.create_table("t", [{"text": "a"}], embedding_functions=[one.function])
    with pytest.raises(SchemaError, match="Two embedding functions"):
        db.create_table("t", [{"text": "a"}], embedding_functions=[one, one])


def _nested(depth: int) -> str:
    return "(" * depth + "tag = 'a'" + ")" * depth


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda t: t.search().where(_nested(3000)).to_list(), PredicateError, "too deeply"),
        (lambda t: t.search().where(5).to_list(), PredicateError, "not int"),
        (lambda t: t.search("a").distance_range("x"), ConfigurationError, "lower"),
        (lambda t: t.search("a").distance_range(0, float("nan")), ConfigurationError, "upper"),
        (lambda t: t.search("a").select({"text": 1}), ConfigurationError, "list"),
        (lambda t: t.search().to_batches(0), ConfigurationError, "batch_size"),
        (lambda t: t.search("a").to_batches(-1), ConfigurationError, "batch_size"),
        (lambda t: t.search(np.zeros((0, 26))), BadVectorError, "empty"),
        (lambda t: t.search([1e39] * 26).to_list(), BadVectorError, "too large"),
        (lambda t: t.search([10**400] * 26), BadVectorError, "too large"),
        (lambda t: t.migrate("vector", "openai"), ConfigurationError, "embedding function"),
        (lambda t: t.merge_insert("vector"), ConfigurationError, "cannot be a key"),
        (
            lambda t: (
                t.merge_insert("tag")
                .when_matched_update_all(where="source.tag")
                .execute([{"tag": "a", "text": "b"}])
            ),
            PredicateError,
            "not true or false",
        ),
        (pickle.dumps, TypeError, "open_table"),
    ],
)
def test_wrong_arguments_are_refused_with_the_reason(
    words: embow.Table, call: Callable[[Any], Any], error: type[Exception], match: str
) -> None:
    """The message names the argument, and no error of a library comes through."""
    words.add([{"text": "a", "tag": "a"}])
    with pytest.raises(error, match=match):
        call(words)


def test_a_database_is_not_pickled(db: embow.Database) -> None:
    """The message says what to send to another process instead."""
    with pytest.raises(TypeError, match=r"embow\.connect"):
        pickle.dumps(db)


def test_selected_columns_come_in_the_order_asked_for(words: embow.Table) -> None:
    """The computed columns too."""
    words.add([{"text": "a", "tag": "x"}])
    search = words.search("a").select(["_distance", "tag", "_rowid"])
    assert search.to_arrow().column_names == ["_distance", "tag", "_rowid"]
    assert words.search().select(["_rowid", "tag"]).to_list() == [{"_rowid": 0, "tag": "x"}]
    assert words.search().select(None).to_arrow().column_names == words.schema.names


@pytest.mark.parametrize("late_first", [True, False])
def test_early_and_late_filters_of_one_search_each_keep_their_place(
    words: embow.Table, late_first: bool
) -> None:
    """The early one decides what is searched, the late one sees the distance."""
    words.add([{"text": t, "tag": g} for t, g in [("a", "x"), ("ab", "x"), ("a", "y")]])
    search = words.search("a").limit(2)
    if late_first:
        search.where("_distance < 1", prefilter=False).where("tag = 'x'")
    else:
        search.where("tag = 'x'").where("_distance < 1", prefilter=False)
    assert [(r["text"], r["tag"]) for r in search.to_list()] == [("a", "x")]


def test_closing_while_a_call_writes_is_named(tmp_path: Any) -> None:
    """The call ends with an error that says what happened, and stores nothing."""
    db = embow.connect(tmp_path / "db")
    table = db.create_table("t", [{"n": 0}])

    def rows() -> Any:
        yield {"n": 1}
        db.close()

    with pytest.raises(StorageError, match="has been closed"):
        table.add(rows())
    with embow.connect(tmp_path / "db") as again:
        assert len(again["t"]) == 1


def test_a_key_given_as_a_list_is_refused(db: embow.Database) -> None:
    """Merging needs keys that can be compared."""
    table = db.create_table("t", [{"key": [1, 2], "value": 1}])
    with pytest.raises(ConfigurationError, match="cannot be a key"):
        table.merge_insert("key")
    with pytest.raises(DataError, match="single value"):
        table.add({"key": 5})


NEEDS = pa.schema(
    [
        pa.field("key", pa.int64()),
        pa.field("s", pa.struct([pa.field("x", pa.int64(), nullable=False)])),
        pa.field("l", pa.list_(pa.field("item", pa.int64(), nullable=False))),
        pa.field("f", pa.list_(pa.field("item", pa.string(), nullable=False), 1)),
        pa.field("m", pa.map_(pa.string(), pa.field("value", pa.int64(), nullable=False))),
        pa.field("d", pa.list_(pa.struct([pa.field("x", pa.int64(), nullable=False)]))),
    ]
)
LOOSE = {
    "s": (pa.struct([pa.field("x", pa.int64())]), {"x": 1}, {"x": None}, "s.x"),
    "l": (pa.list_(pa.int64()), [1, 2], [1, None], "l"),
    "f": (pa.list_(pa.string(), 1), ["a"], [None], "f"),
    "m": (pa.map_(pa.string(), pa.int64()), {"a": 1}, {"a": 1, "b": None}, "m.value"),
    "d": (pa.list_(pa.struct([pa.field("x", pa.int64())])), [{"x": 1}], [{"x": None}], "d.x"),
}


@pytest.mark.parametrize("form", ["dicts", "arrow", "pandas", "merge"])
@pytest.mark.parametrize("name", LOOSE)
def test_a_nested_value_that_may_not_be_null_is_needed_in_every_form(
    db: embow.Database, name: str, form: str
) -> None:
    """What comes as columns is checked as deep as what comes as rows, and null parents pass."""
    loose, good, bad, path = LOOSE[name]
    table = db.create_table("t", schema=NEEDS)

    def store(*values: Any) -> None:
        if form == "dicts":
            table.add([{name: value} for value in values])
            return
        pairs = [list(v.items()) if v and name == "m" else v for v in values]
        data = pa.table({"key": range(len(values)), name: pa.array(pairs, loose)})
        if form == "merge":
            table.merge_insert("key").when_not_matched_insert_all().execute(data)
        else:
            table.add(data.to_pandas() if form == "pandas" and name != "m" else data)

    with pytest.raises(DataError, match=rf"Row 2, column '({path}|{name})'"):
        store(good, None, bad, good)
    store(good, None)
    assert table.to_arrow().column(name).null_count == 1


def test_a_model_of_lists_takes_the_lists_of_others(db: embow.Database) -> None:
    """Lists of Arrow and pandas may hold nulls, and those of a model are like them."""

    class Tagged(embow.Model):
        tags: list[str]

    table = db.create_table("t", schema=Tagged)
    table.add(pa.table({"tags": [["a", None]]}))
    table.add([{"tags": [None]}])
    assert table.schema.field("tags").type == pa.list_(pa.string())
    assert table.to_arrow()["tags"].to_pylist() == [["a", None], [None]]


def test_a_table_whose_list_items_may_not_be_null_is_still_the_models(db: embow.Database) -> None:
    """Tables made while a model's items could not be null are opened, and refuse them."""

    class Tagged(embow.Model):
        tags: list[str] | None = None

    former = pa.field("tags", pa.list_(pa.field("item", pa.string(), nullable=False)))
    db.create_table("t", schema=pa.schema([former]))
    table = db.open_table("t", schema=Tagged)
    table.add([{"tags": ["a"]}])
    with pytest.raises(DataError, match="Row 0, column 'tags': a value is needed"):
        table.add([{"tags": [None]}])


VECTORS_AND_BOX = pa.schema(
    [("vector", pa.list_(pa.float32(), 2)), ("box", pa.list_(pa.float32(), 4))]
)


def test_the_policy_for_vectors_is_not_for_other_lists(db: embow.Database) -> None:
    """A box of the wrong length is an error of its own and never costs the row."""
    table = db.create_table("t", schema=VECTORS_AND_BOX)
    rows = [{"vector": [1.0], "box": [1.0] * 4}, {"vector": [1.0, 2.0], "box": [1.0] * 3}]
    with pytest.raises(BadVectorError, match=r"Row 1, column 'box'.*Mend the row\.$"):
        table.add(rows, on_bad_vectors="drop")
    assert table.add([rows[0]], on_bad_vectors="null").rows == 1
    only = db.create_table("only", schema=VECTORS_AND_BOX.remove(0))
    assert only.add([{"box": [1.0]}, {"box": [1.0] * 4}], on_bad_vectors="drop").rows == 1


def test_a_vector_without_a_length_cannot_be_mended(db: embow.Database) -> None:
    """A policy that could do nothing is refused with the way to declare the column."""
    table = db.create_table("t", schema=pa.schema([("vector", pa.list_(pa.float32()))]))
    for policy in ("drop", "fill", "null"):
        with pytest.raises(ConfigurationError, match=r"'vector'.*names no length.*Vector\(n\)"):
            table.add([{"vector": [1.0]}], on_bad_vectors=policy)  # type: ignore[arg-type]
    table.add([{"vector": [1.0]}, {"vector": [1.0, 2.0]}])


@pytest.mark.parametrize("value", ["x", None, float("nan")])
def test_a_fill_value_is_a_number(words: embow.Table, value: Any) -> None:
    """Another one would be stored in the place of a vector."""
    with pytest.raises(ConfigurationError, match="fill_value"):
        words.add([{"text": "a"}], on_bad_vectors="fill", fill_value=value)


@pytest.mark.parametrize(
    ("policy", "rows", "vectors"), [("drop", 1, 1), ("null", 2, 1), ("fill", 2, 1)]
)
def test_the_policy_for_vectors_also_tells_what_a_failed_row_becomes(
    words: embow.Table, letters: Any, policy: Any, rows: int, vectors: int
) -> None:
    """Unless ``on_error`` of the call says otherwise."""
    letters.refuse.add("bad")
    data = [{"text": "good"}, {"text": "bad"}]
    report = words.add(data, on_bad_vectors=policy)
    assert (report.rows, len(report.failed)) == (rows, 1)
    assert words.to_arrow()["vector"].null_count == rows - vectors
    with pytest.raises(EmbowError, match="refused 'bad'"):
        words.add(data, on_bad_vectors=policy, on_error="raise")


@pytest.mark.parametrize(
    "ask",
    [
        lambda table: table.search().where("s = '\ud800'").to_list(),
        lambda table: table.delete("s = '\udc80'"),
        lambda table: table.merge_insert(None),
        lambda table: table.merge_insert(5),
        lambda table: table.tags.create("\ud800", 1),
    ],
)
def test_what_is_no_text_is_refused_in_words(tmp_path: Path, ask: Callable[[Any], Any]) -> None:
    """And the words can be printed."""
    table = embow.connect(tmp_path / "db").create_table("t", [{"id": 1, "s": "x"}])
    with pytest.raises(embow.errors.EmbowError) as caught:
        ask(table)
    assert str(caught.value).encode()


def test_no_number_of_rows_is_too_many(tmp_path: Path) -> None:
    """Whoever wants all of them names a number as he likes."""
    rows = pa.table({"id": [1], "v": pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2))})
    table = embow.connect(tmp_path / "db").create_table("t", rows)
    assert len(table.search().limit(10**30).to_list()) == 1
    assert len(table.search([1.0, 2.0]).limit(10**30).to_list()) == 1
    assert table.search().offset(10**30).limit(10**30).to_list() == []


def test_a_name_no_table_can_have_is_not_found(tmp_path: Path) -> None:
    """As any other that is not there."""
    with pytest.raises(embow.errors.TableNotFoundError):
        embow.connect(tmp_path / "db").open_table("\ud800")
