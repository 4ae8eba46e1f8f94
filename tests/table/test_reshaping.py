"""Columns are added, changed and dropped: one version each, and nobody sees half of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

import embow
from embow._table.entries import DROPPED
from embow._table.truth import migration
from embow.embeddings._bindings import is_signed
from embow.embeddings._trust import SIGNATURE_KEY
from embow.errors import (
    CommitConflictError,
    ConfigurationError,
    DataError,
    EmbowError,
    PredicateError,
    SchemaError,
    UnknownColumnError,
)

ROWS = [{"id": 1, "price": 2.5, "note": "a"}, {"id": 2, "price": 4.0, "note": None}]


@pytest.fixture
def prices(db: embow.Database) -> embow.Table:
    """Two rows, of which one has a null."""
    schema = pa.schema(
        [
            pa.field("id", pa.int64(), nullable=False),
            pa.field("price", pa.float64(), nullable=False),
            ("note", pa.string()),
        ]
    )
    return db.create_table("prices", ROWS, schema)


ADDED: list[tuple[Any, pa.DataType, list[Any]]] = [
    ({"new": "price * 2"}, pa.float64(), [5.0, 8.0]),
    ({"new": "cast(null as bigint)"}, pa.int64(), [None, None]),
    ({"new": "'text'"}, pa.string(), ["text", "text"]),
    ({"new": lambda rows: [n + 1 for n in rows["id"].to_pylist()]}, pa.int64(), [2, 3]),
    ({"new": lambda rows: pa.array([[1.0, 2.0]] * len(rows), pa.list_(pa.float32(), 2))}, None, []),
    (pa.field("new", pa.int32()), pa.int32(), [None, None]),
    ([pa.field("new", pa.int32())], pa.int32(), [None, None]),
    (pa.schema({"new": pa.string()}), pa.string(), [None, None]),
]


@pytest.mark.parametrize(("new", "data_type", "values"), ADDED)
def test_a_column_of_each_form_is_one_version(
    prices: embow.Table, new: Any, data_type: pa.DataType | None, values: list[Any]
) -> None:
    """Its values are there, earlier versions do not have it, and later rows may bring it."""
    assert prices.add_columns(new).version == prices.version == 2
    assert prices.schema.names == ["id", "price", "note", "new"]
    if data_type is not None:
        assert prices.schema.field("new").type == data_type
        assert prices.to_arrow()["new"].to_pylist() == values
    prices.add([{"id": 3, "price": 1.0}])
    assert prices.to_arrow()["new"].to_pylist()[2] is None
    prices.checkout(1)
    assert prices.schema.names == ["id", "price", "note"]
    assert prices.to_arrow().to_pylist() == ROWS


def test_an_empty_table_takes_expressions(db: embow.Database) -> None:
    """Their type is known without a row; that of a function's values is to be said."""
    table = db.create_table("t", schema=pa.schema({"n": pa.int64()}))
    table.add_columns({"m": "n * 2"})
    assert table.schema.field("m").type == pa.int64()
    with pytest.raises(SchemaError, match="has no rows to compute it from"):
        table.add_columns({"k": lambda rows: rows["n"]})


REFUSED: list[tuple[Any, type[EmbowError], str]] = [
    (lambda t: t.add_columns({"id": "1"}), SchemaError, "2 columns are named 'id'"),
    (lambda t: t.add_columns({"_rowid": "1"}), SchemaError, "_rowid"),
    (lambda t: t.add_columns({"x": "null"}), SchemaError, "all its values are null"),
    (lambda t: t.add_columns({"x": "prize"}), PredicateError, "Did you mean 'price'"),
    (lambda t: t.add_columns({"x": lambda rows: [1]}), DataError, "1 values for 2 rows"),
    (lambda t: t.add_columns(pa.field("x", pa.int8(), nullable=False)), SchemaError, "no value"),
    (lambda t: t.add_columns({}), ConfigurationError, "add_columns takes"),
    (lambda t: t.add_columns("x"), ConfigurationError, "add_columns takes"),
    (lambda t: t.add_columns({"x": 5}), ConfigurationError, "add_columns takes"),
    (lambda t: t.drop_columns(["nots"]), UnknownColumnError, "Did you mean 'note'"),
    (lambda t: t.drop_columns(["id", "price", "note"]), SchemaError, "without a column"),
    (lambda t: t.alter_columns(), ConfigurationError, "what to change"),
    (lambda t: t.alter_columns("id"), ConfigurationError, "takes dicts"),
    (lambda t: t.alter_columns({"path": "id", "renam": "x"}), ConfigurationError, "rename"),
    (lambda t: t.alter_columns({"path": "id", "rename": 5}), ConfigurationError, "must be a str"),
    (lambda t: t.alter_columns({"path": "id", "metadata": {"a": 1}}), ConfigurationError, "texts"),
    (lambda t: t.alter_columns(*[{"path": "id"}] * 2), ConfigurationError, "changed twice"),
    (lambda t: t.alter_columns({"path": "iid", "rename": "x"}), UnknownColumnError, "'id'"),
    (lambda t: t.alter_columns({"path": "note", "rename": "id"}), SchemaError, "2 columns"),
    (lambda t: t.alter_columns({"path": "note", "nullable": False}), DataError, "holds nulls"),
    (
        lambda t: t.alter_columns({"path": "note", "data_type": pa.int64()}),
        DataError,
        "Row 0, column 'note'",
    ),
]


@pytest.mark.parametrize(("call", "kind", "says"), REFUSED)
def test_what_cannot_be_is_refused_and_nothing_changes(
    prices: embow.Table, call: Any, kind: type[EmbowError], says: str
) -> None:
    """The message says what is wrong; there is no new version."""
    with pytest.raises(kind, match=says):
        call(prices)
    assert prices.version == 1
    assert prices.to_arrow().to_pylist() == ROWS


def test_what_a_function_of_the_user_raises_comes_through(prices: embow.Table) -> None:
    """And nothing changes."""

    def broken(rows: pa.RecordBatch) -> Any:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        prices.add_columns({"x": broken})
    assert prices.version == 1


def test_several_changes_of_columns_are_one_version(prices: embow.Table) -> None:
    """Names may be exchanged; type, nullability and metadata change with them."""
    prices.alter_columns(
        {"path": "id", "rename": "price", "nullable": True, "metadata": {"unit": "größe"}},
        {"path": "price", "rename": "id", "data_type": pa.float32()},
    )
    assert prices.version == 2
    assert prices.schema.field("price").metadata == {b"unit": "größe".encode()}
    assert prices.schema.field("id").type == pa.float32()
    assert prices.schema.field("price").nullable
    rows = [{"price": 1, "id": 2.5, "note": "a"}, {"price": 2, "id": 4.0, "note": None}]
    assert prices.to_arrow().to_pylist() == rows
    assert prices.search().where("id > 3").select(["price"]).to_list() == [{"price": 2}]
    prices.alter_columns({"path": "price", "metadata": {}})
    assert not prices.schema.field("price").metadata
    assert prices.alter_columns({"path": "price", "nullable": True}).version == 3


def test_a_column_that_is_never_null_refuses_rows_without_it(prices: embow.Table) -> None:
    """From the version on in which that was said."""
    prices.update("note is null", {"note": "b"})
    prices.alter_columns({"path": "note", "nullable": False})
    with pytest.raises(DataError, match="note"):
        prices.add([{"id": 3, "price": 1.0}])
    prices.restore(1)
    prices.add([{"id": 3, "price": 1.0}])


def test_a_name_that_was_dropped_can_be_used_again(prices: embow.Table) -> None:
    """Its former values are not seen again, also once files were merged; versions have them."""
    prices.drop_columns(["note"])
    prices.add_columns({"note": "id * 10"})
    prices.optimize()
    assert prices.to_arrow()["note"].to_pylist() == [10, 20]
    prices.checkout(1)
    assert prices.to_arrow().to_pylist() == ROWS
    prices.checkout_latest()
    prices.drop_columns("note")
    prices.optimize(timedelta(0))
    prices.add_columns({"note": "'new'"})
    assert prices.to_arrow()["note"].to_pylist() == ["new", "new"]
    assert prices.check().ok
    columns = prices._handle.look()
    assert columns.names["note"] not in columns.dropped


def test_what_was_dropped_is_gone_after_optimize(prices: embow.Table) -> None:
    """The engine keeps no column that nothing names."""
    prices.drop_columns(["note"])
    prices.optimize(timedelta(0))
    with prices._handle.snapshot() as snapshot:
        assert snapshot.schema.names == ["id", "price"]
        assert snapshot.metadata[DROPPED] == '["note"]'


# -- functions ------------------------------------------------------------------------------------


def test_a_rename_keeps_functions_defaults_and_ways_back(db: embow.Database, letters: Any) -> None:
    """Adding embeds, searching embeds the query, a migration can be rolled back."""
    function = letters.create()

    class Words(embow.Model):
        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()
        tag: str = "none"

    words = db.create_table("words", [{"text": "fig"}], Words)
    words.migrate("vector", letters.create(scale=2.0))
    renames = {"text": "Text", "vector": "größe", "tag": "label"}
    words.alter_columns(*({"path": old, "rename": new} for old, new in renames.items()))
    assert words.schema.names == list(renames.values())
    words.add([{"Text": "plum"}])
    assert words.search("plum").limit(1).to_list()[0]["_distance"] == 0
    assert words.to_arrow()["label"].to_pylist() == ["none", "none"]
    words.update("Text = 'fig'", {"Text": "kiwi"})
    assert words.verify().ok
    words.rollback("größe")
    assert words.embedding_functions["größe"].source_column == "Text"
    assert words.repair().embedded > 0
    assert words.verify().ok


def test_a_name_that_had_vectors_gets_others(words: embow.Table, letters: Any) -> None:
    """Also of the same model: those that were renamed or dropped are not taken up."""
    words.add([{"text": "fig", "tag": "plum"}])
    words.migrate("vector", letters.create(scale=2.0))
    words.alter_columns({"path": "vector", "rename": "old"})
    words.add_embedding("vector", "tag", letters.create(scale=2.0))
    physical = words._handle.look().names
    assert physical["old"] != physical["vector"]
    assert words.search("plum", "vector").limit(1).to_list()[0]["_distance"] == 0
    assert words.search("fig", "old").limit(1).to_list()[0]["_distance"] == 0
    words.drop_columns(["vector"])
    words.add_embedding("vector", "text", letters.create(scale=2.0))
    columns = words._handle.look()
    assert columns.names["vector"] not in columns.dropped
    words.optimize(timedelta(0))
    assert words.search("fig", "vector").limit(1).to_list()[0]["_distance"] == 0
    assert words.verify().ok


def test_a_rename_keeps_what_the_user_signed(
    db: embow.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function that another process of the user made is as trusted under another name."""
    from embow.embeddings import _bindings as bindings

    monkeypatch.setattr(bindings, "requests_of", lambda cls, settings: [Asked()])
    function = db_function()

    class Words(embow.Model):
        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()

    words = db.create_table("words", schema=Words)
    monkeypatch.setattr(bindings.Binding, "made_here", lambda self: False)
    words.alter_columns({"path": "text", "rename": "word"})
    columns = words._handle.look()
    assert is_signed(columns.bindings, columns.metadata.get(SIGNATURE_KEY))
    assert not is_signed(columns.bindings, "v1:00")


class Asked:
    """Something a setting asks for."""

    setting, value = "base_url", "https://example.com"


def db_function() -> Any:
    """Return a function whose settings are asked about."""
    from embow.embeddings import get_registry

    return get_registry().get("letters").create()


def test_dropping_a_vector_takes_its_function_along(words: embow.Table) -> None:
    """Alone, and together with its source; the source alone is refused."""
    words.add([{"text": "fig", "tag": "1"}])
    with pytest.raises(SchemaError, match=r"drop_columns\(\['text', 'vector'\]\)"):
        words.drop_columns(["text"])
    words.drop_columns(["vector"])
    assert words.embedding_functions == {}
    words.add([{"text": "plum"}])
    words.optimize(timedelta(0))
    with words._handle.snapshot() as snapshot:
        assert snapshot.schema.names == ["text", "tag"]
    words.drop_columns(["text"])
    assert words.schema.names == ["tag"]


def test_a_dropped_vector_comes_back_with_its_version(words: embow.Table) -> None:
    """Function and vectors are those of before."""
    words.add([{"text": "fig"}])
    version = words.version
    words.drop_columns(["text", "vector"])
    words.restore(version)
    assert words.search("fig").limit(1).to_list()[0]["_distance"] == 0
    assert words.verify().ok


@pytest.mark.parametrize("name", ["text", "vector"])
def test_the_type_of_what_is_embedded_stays(words: embow.Table, name: str) -> None:
    """The message says what to do instead."""
    with pytest.raises(SchemaError, match="migrate"):
        words.alter_columns({"path": name, "data_type": pa.large_binary()})


def test_columns_of_failed_rows_stay_until_these_are_in(words: embow.Table, letters: Any) -> None:
    """A retry would not know what their columns are called now."""
    letters.refuse.add("bad")
    words.add([{"text": "bad", "tag": "1"}], on_error="quarantine")
    for call in (
        lambda: words.drop_columns(["tag"]),
        lambda: words.alter_columns({"path": "tag", "rename": "label"}),
    ):
        with pytest.raises(SchemaError, match="retry_failed"):
            call()
    letters.refuse.clear()
    words.add_columns({"n": "1"})
    words.retry_failed()
    words.alter_columns({"path": "tag", "rename": "label"})
    assert words.to_arrow()["label"].to_pylist() == ["1"]


# -- rows that bring columns ----------------------------------------------------------------------


@pytest.mark.parametrize("form", ["list", "generator", "arrow", "reader"])
def test_rows_bring_columns_where_they_are_told_to(prices: embow.Table, form: str) -> None:
    """What was there has null in them; without being told, they are refused."""
    rows: Any = [{"id": 3, "price": 1.0, "stock": 7}, {"id": 4, "price": 1.0, "stock": None}]
    forms = {
        "list": lambda: rows,
        "generator": lambda: (row for row in rows),
        "arrow": lambda: pa.Table.from_pylist(rows),
        "reader": lambda: pa.Table.from_pylist(rows).to_reader(),
    }
    with pytest.raises(UnknownColumnError, match="stock"):
        prices.add(forms[form]())
    prices.add(forms[form](), dry_run=True, new_columns=True)
    assert prices.version == 1
    report = prices.add(forms[form](), new_columns=True)
    assert report.version == prices.version == 2
    assert prices.to_arrow()["stock"].to_pylist() == [None, None, 7, None]
    prices.add(forms[form](), new_columns=True)
    assert prices.count_rows() == 6


def test_new_rows_and_their_columns_replace_everything_at_once(prices: embow.Table) -> None:
    """The old rows go, and what comes in has its columns."""
    prices.add([{"id": 3, "price": 1.0, "stock": 7}], mode="overwrite", new_columns=True)
    assert prices.version == 2
    assert prices.to_arrow()["stock"].to_pylist() == [7]


def test_rows_that_wait_can_be_thrown_away(words: embow.Table, letters: Any) -> None:
    """Some by a condition, or all; then columns can be renamed, and the table is as it was."""
    letters.refuse |= {"bad", "worse"}
    assert words.discard_failed() == 0
    words.add([{"text": "bad"}, {"text": "worse"}, {"text": "bad"}], on_error="quarantine")
    version, rows = words.version, len(words)
    with pytest.raises(PredicateError, match="errors"):
        words.discard_failed("errors = 'x'")
    assert words.discard_failed("text = 'bad' AND failed_column = 'text'") == 2
    assert words.failed_rows()["text"].to_pylist() == ["worse"]
    assert words.discard_failed() == 1
    assert (words.failed_rows().num_rows, words.version, len(words)) == (0, version, rows)
    words.alter_columns({"path": "tag", "rename": "label"})
    letters.refuse.clear()
    assert words.retry_failed().rows == 0


def test_rows_that_fail_keep_the_columns_they_brought(words: embow.Table, letters: Any) -> None:
    """They wait with them, and come in with them."""
    letters.refuse.add("bad")
    words.add([{"text": "bad", "n": 1}], on_error="quarantine", new_columns=True)
    assert words.failed_rows()["n"].to_pylist() == [1]
    letters.refuse.clear()
    words.retry_failed()
    assert words.to_arrow()["n"].to_pylist()[-1] == 1


# -- races ----------------------------------------------------------------------------------------


def racing(table: embow.Table, change: Any, rows: list[dict[str, Any]]) -> Any:
    """Add rows, and change the table after they were staged and before they are committed."""
    changed = []

    def data() -> Any:
        yield from rows
        if not changed:
            changed.append(change())

    return table.add(data())


def test_a_writer_that_began_before_a_column_came_in_is_fitted(prices: embow.Table) -> None:
    """Its rows have null there; nothing is lost."""
    racing(prices, lambda: prices.add_columns({"x": "id"}), [{"id": 3, "price": 1.0}])
    assert prices.to_arrow()["x"].to_pylist() == [1, 2, None]


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.drop_columns(["note"]),
        lambda t: t.alter_columns({"path": "note", "rename": "remark"}),
        lambda t: t.alter_columns({"path": "price", "data_type": pa.float32()}),
        lambda t: t.alter_columns({"path": "price", "nullable": True}),
        lambda t: [t.add_columns({"x": "1"}), t.alter_columns({"path": "x", "nullable": False})],
    ],
)
def test_a_writer_that_began_before_another_change_conflicts(
    prices: embow.Table, change: Any
) -> None:
    """It is told to add again; nothing is stored half."""
    with pytest.raises(CommitConflictError, match="add the rows again"):
        racing(prices, lambda: change(prices), [{"id": 3, "price": 1.0, "note": "n"}])
    assert prices.count_rows() == 2


class Watched(list[dict[str, Any]]):
    """Rows; after each reading of all of them something happens."""

    def __init__(self, rows: list[dict[str, Any]], happens: list[Any]) -> None:
        super().__init__(rows)
        self.happens = happens

    def __iter__(self) -> Any:
        """Yield the rows."""
        yield from super().__iter__()
        if self.happens:
            self.happens.pop(0)()


def test_two_writers_bring_the_same_column_at_once(prices: embow.Table) -> None:
    """The second is written again, for the column that is there by then."""
    row = {"price": 1.0, "stock": 7}

    def other() -> None:
        prices.add([{**row, "id": 4}], new_columns=True)

    prices.add(Watched([{**row, "id": 3}], [other]), new_columns=True)
    assert (prices.version, prices.schema.names.count("stock")) == (3, 1)
    stock = prices.to_arrow().select(["id", "stock"]).to_pylist()
    assert [each["stock"] for each in sorted(stock, key=lambda each: each["id"])] == [
        None,
        None,
        7,
        7,
    ]


def test_a_stream_that_brings_a_column_conflicts_with_a_change(prices: embow.Table) -> None:
    """It cannot be read again, so its user is told to."""

    batch = pa.record_batch({"id": [3], "price": [1.0], "stock": [7]})

    def batches() -> Any:
        yield batch
        yield batch
        prices.add_columns({"x": "1"})

    with pytest.raises(CommitConflictError, match="add the rows again"):
        prices.add(pa.RecordBatchReader.from_batches(batch.schema, batches()), new_columns=True)
    assert prices.count_rows() == 2
    assert "stock" not in prices.schema.names


def test_a_change_sees_rows_that_came_in_meanwhile(prices: embow.Table) -> None:
    """A column is computed again for all rows where another writer was faster."""
    added = []

    def twice(rows: pa.RecordBatch) -> Any:
        if not added:
            added.append(prices.add([{"id": 3, "price": 9.0}]))
        return [2 * n for n in rows["id"].to_pylist()]

    prices.add_columns({"twice": twice})
    assert prices.to_arrow()["twice"].to_pylist() == [2, 4, 6]


def test_what_a_broken_off_migration_left_goes_with_the_name(
    words: embow.Table, letters: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could not be taken up under another one."""
    words.add([{"text": "fig"}])

    def broken(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(migration.Backfill, "catch_up", broken)
    with pytest.raises(KeyboardInterrupt):
        words.migrate("vector", letters.create(scale=2.0))
    monkeypatch.undo()
    words.alter_columns({"path": "vector", "rename": "embedded"})
    words.optimize(timedelta(0))
    with words._handle.snapshot() as snapshot:
        assert snapshot.schema.names == ["text", "vector", "tag", "_embow_hash_vector"]
    words.migrate("embedded", letters.create(scale=2.0))
    assert words.verify().ok


@pytest.mark.parametrize("name", ["text", "vector"])
def test_a_migration_does_not_bring_back_what_was_renamed(
    words: embow.Table, letters: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Its switch conflicts where its columns are called something else by now."""
    words.add([{"text": "fig"}])
    begin = migration.Backfill.begin

    def late(self: Any, snapshot: Any) -> Any:
        change = begin(self, snapshot)
        if name in words.schema.names:
            words.alter_columns({"path": name, "rename": "other"})
        return change

    monkeypatch.setattr(migration.Backfill, "begin", late)
    with pytest.raises((CommitConflictError, UnknownColumnError)):
        words.migrate("vector", letters.create(scale=2.0))
    assert sorted(words.schema.names) == sorted({"text", "vector", "tag", "other"} - {name})
    assert words.verify().ok


# -- tables of other programs ---------------------------------------------------------------------


@pytest.fixture
def foreign(tmp_path: Any) -> Any:
    """A table whose column was stored by another program as one that is never null."""
    from embow.engines._local import LocalEngine
    from embow.engines.contract import EngineOptions

    engine = LocalEngine(str(tmp_path / "db"), EngineOptions())
    schema = pa.schema([pa.field("n", pa.int64(), nullable=False), ("m", pa.string())])
    engine.create_table("t", schema, [pa.record_batch({"n": [1], "m": ["x"]}, schema)])
    engine.close()
    with embow.connect(tmp_path / "db") as db:
        yield db.open_table("t")


def test_what_another_program_stored_as_never_null_is_renamed_at_most(foreign: Any) -> None:
    """To drop or rewrite it would leave a column that later rows have no value for."""
    calls: list[Any] = [
        lambda: foreign.drop_columns(["n"]),
        lambda: foreign.alter_columns({"path": "n", "nullable": True}),
        lambda: foreign.alter_columns({"path": "n", "data_type": pa.string()}),
    ]
    for call in calls:
        with pytest.raises(SchemaError, match="Copy the table"):
            call()
    foreign.alter_columns({"path": "n", "rename": "number", "metadata": {"a": "b"}})
    foreign.drop_columns(["m"])
    foreign.add([{"number": 2}])
    foreign.optimize(timedelta(0))
    assert foreign.to_arrow().to_pylist() == [{"number": 1}, {"number": 2}]
    with pytest.raises(DataError, match="number"):
        foreign.add([{"number": None}])
