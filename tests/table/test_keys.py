"""A primary key: rows found by it, and never two rows of one key, whoever brings them."""

from __future__ import annotations

import datetime
from typing import Annotated, Any

import pyarrow as pa
import pytest

import embow
from embow.engines.contract import EngineTable
from embow.errors import (
    CommitConflictError,
    ConfigurationError,
    DataError,
    DuplicateKeyError,
    SchemaError,
)


@pytest.fixture
def keyed(db: embow.Database) -> embow.Table:
    """Three rows, told apart by number."""
    rows = [{"id": n, "name": f"row {n}"} for n in (1, 2, 3)]
    return db.create_table("keyed", rows, primary_key="id")


@pytest.fixture
def pairs(db: embow.Database) -> embow.Table:
    """Rows told apart by two columns, as a model says."""

    class Pairs(embow.Model):
        group: Annotated[str, "a group"] = embow.KeyField()
        number: int = embow.KeyField(default=0)
        value: float | None = None

    rows = [Pairs(group="a", number=1), Pairs(group="a", number=2), Pairs(group="b", number=1)]
    return db.create_table("pairs", rows, Pairs)


def test_rows_are_had_by_key(keyed: embow.Table, pairs: embow.Table) -> None:
    """In the order of the keys; what is not there is left out, and twice is once."""
    assert keyed.primary_key == ("id",)
    assert keyed.get([3, 1, 9, 3])["id"].to_pylist() == [3, 1]
    assert keyed.get(2).to_pylist() == [{"id": 2, "name": "row 2"}]
    assert keyed.get([]).to_pylist() == []
    assert keyed.get(pa.array([2]))["name"].to_pylist() == ["row 2"]
    assert keyed.get([1]).schema == keyed.schema
    assert pairs.primary_key == ("group", "number")
    assert pairs.get(("a", 2))["number"].to_pylist() == [2]
    wanted: list[Any] = [{"number": 1, "group": "b"}, ("a", 1)]
    assert pairs.get(wanted)["group"].to_pylist() == ["b", "a"]
    keyed.checkout(1)
    assert keyed.get(1).num_rows == 1


def test_a_key_is_never_null(keyed: embow.Table, pairs: embow.Table) -> None:
    """Its columns say so in the schema, and rows without it are refused."""
    assert not keyed.schema.field("id").nullable
    with pytest.raises(DataError, match="id"):
        keyed.add([{"id": None, "name": "x"}])
    with pytest.raises(DataError, match="id"):
        keyed.update("id = 1", values_sql={"id": "cast(null as bigint)"})
    with pytest.raises(DataError, match="group"):
        pairs.upsert([{"number": 1}])


def test_upsert_changes_and_adds(keyed: embow.Table, pairs: embow.Table) -> None:
    """In one version; columns that are left out stay."""
    done = keyed.upsert([{"id": 3, "name": "new"}, {"id": 4, "name": "added"}])
    assert (done.num_updated_rows, done.num_inserted_rows, done.version) == (1, 1, 2)
    assert keyed.get([3, 4])["name"].to_pylist() == ["new", "added"]
    pairs.upsert([{"group": "a", "number": 1, "value": 0.5}])
    pairs.upsert([{"group": "a", "number": 1}])
    assert pairs.get(("a", 1))["value"].to_pylist() == [0.5]
    with pytest.raises(DataError, match="same key"):
        keyed.upsert([{"id": 7, "name": "x"}, {"id": 7, "name": "y"}])


def test_rows_are_deleted_by_key(keyed: embow.Table, pairs: embow.Table) -> None:
    """Those that are not there are no error."""
    assert keyed.delete(keys=[1, 9]).num_deleted_rows == 1
    assert pairs.delete(keys=("a", 1)).num_deleted_rows == 1
    with pytest.raises(ConfigurationError, match="not both"):
        keyed.delete("id = 1", keys=[1])
    with pytest.raises(ConfigurationError, match="needs a condition"):
        keyed.delete()


TWICE: list[Any] = [
    lambda t: t.add([{"id": 3, "name": "x"}]),
    lambda t: t.add([{"id": 7, "name": "x"}, {"id": 7, "name": "y"}]),
    lambda t: t.add({"id": n, "name": "x"} for n in [*range(10, 20_000), 11]),
    lambda t: t.add([{"id": 7, "name": "x"}] * 2, mode="overwrite"),
    lambda t: t.update("id = 1", {"id": 2}),
    lambda t: t.update("id > 1", {"id": 9}),
    lambda t: t.update(values_sql={"id": "id % 2"}),
    lambda t: t.merge_insert("name").when_not_matched_insert_all().execute([{"id": 1, "name": ""}]),
    lambda t: (
        t.merge_insert("name").when_matched_update_all().execute([{"id": 1, "name": "row 2"}])
    ),
]


@pytest.mark.parametrize("call", TWICE)
def test_no_way_leads_to_two_rows_of_one_key(keyed: embow.Table, call: Any) -> None:
    """Within the data and against what is stored; nothing is changed."""
    with pytest.raises(DuplicateKeyError, match="id="):
        call(keyed)
    assert keyed.version == 1


def test_keys_may_move_among_rows(keyed: embow.Table) -> None:
    """A row that goes makes room for its key in the same commit."""
    keyed.update(values_sql={"id": "id + 1"})
    merge = keyed.merge_insert("name").when_matched_update_all()
    merge.execute([{"name": "row 1", "id": 3}, {"name": "row 2", "id": 2}])
    assert keyed.get([2, 3, 4])["name"].to_pylist() == ["row 2", "row 1", "row 3"]
    keyed.add([{"id": 3, "name": "only"}], mode="overwrite")
    assert keyed.primary_key == ("id",)
    assert keyed.count_rows() == 1


def test_a_duplicate_is_refused_before_it_is_paid_for(db: embow.Database, letters: Any) -> None:
    """The provider is not asked for a row that cannot come in."""
    function = letters.create()

    class Words(embow.Model):
        id: int = embow.KeyField()
        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()

    words = db.create_table("words", [{"id": 1, "text": "fig"}], Words)
    letters.sent.clear()
    with pytest.raises(DuplicateKeyError):
        words.add([{"id": 1, "text": "plum"}])
    assert letters.sent == []
    letters.refuse.add("bad")
    words.add([{"id": 2, "text": "bad"}], on_error="quarantine")
    letters.refuse.clear()
    words.add([{"id": 2, "text": "kiwi"}])
    with pytest.raises(DuplicateKeyError):
        words.retry_failed()
    words.delete(keys=2)
    words.retry_failed()
    assert words.get(2)["text"].to_pylist() == ["bad"]
    assert words.verify().ok


def test_a_table_without_a_key_says_how_to_have_one(db: embow.Database) -> None:
    """Each of the calls that need it."""
    table = db.create_table("t", [{"n": 1}])
    assert table.primary_key == ()
    calls: list[Any] = [
        lambda: table.get(1),
        lambda: table.upsert([{"n": 1}]),
        lambda: table.delete(keys=1),
    ]
    for call in calls:
        with pytest.raises(ConfigurationError, match="primary_key="):
            call()


def test_keys_that_do_not_fit_are_named(keyed: embow.Table, pairs: embow.Table) -> None:
    """Of another type, or of too few columns."""
    with pytest.raises(DataError, match="id"):
        keyed.get("one")
    with pytest.raises(DataError, match="group, number"):
        pairs.get("a")
    with pytest.raises(DataError, match="group, number"):
        pairs.get({"group": "a"})


@pytest.mark.parametrize("data_type", [pa.float64(), pa.list_(pa.int64()), pa.null()])
def test_what_cannot_be_a_key_is_refused(db: embow.Database, data_type: pa.DataType) -> None:
    """Numbers with a point have two zeros, and lists cannot be compared."""
    with pytest.raises(SchemaError, match="primary key"):
        db.create_table("t", schema=pa.schema({"k": data_type}), primary_key="k")


KEYS = {
    pa.string(): "größe",
    pa.large_string(): "x",
    pa.binary(): b"\xff",
    pa.binary(2): b"ab",
    pa.bool_(): True,
    pa.date32(): datetime.date(2020, 1, 1),
    pa.timestamp("us"): datetime.datetime(2020, 1, 1),
    pa.uint8(): 255,
}


@pytest.mark.parametrize("data_type", KEYS, ids=str)
def test_keys_of_each_type_work(db: embow.Database, data_type: pa.DataType) -> None:
    """They are found, and refused a second time."""
    value = KEYS[data_type]
    schema = pa.schema({"k": data_type, "n": pa.int64()})
    table = db.create_table("t", [{"k": value, "n": 1}], schema, primary_key="k")
    assert table.get([value])["n"].to_pylist() == [1]
    with pytest.raises(DuplicateKeyError):
        table.add([{"k": value}])
    assert table.upsert([{"k": value, "n": 2}]).num_updated_rows == 1
    assert table.delete(keys=[value]).num_deleted_rows == 1


def test_opening_with_another_key_is_refused(db: embow.Database, keyed: embow.Table) -> None:
    """With the same one it opens."""
    schema = keyed.schema
    assert db.create_table("keyed", schema=schema, exist_ok=True, primary_key="id").version == 1
    with pytest.raises(SchemaError, match="has the primary key id"):
        db.create_table("keyed", schema=schema, exist_ok=True, primary_key=["id", "name"])


def test_the_key_follows_a_rename(keyed: embow.Table) -> None:
    """It may not be dropped, made nullable or given another type."""
    keyed.alter_columns({"path": "id", "rename": "number"})
    assert keyed.primary_key == ("number",)
    with pytest.raises(DuplicateKeyError, match="number=1"):
        keyed.add([{"number": 1, "name": "x"}])
    calls: list[Any] = [
        lambda: keyed.drop_columns(["number"]),
        lambda: keyed.alter_columns({"path": "number", "nullable": True}),
        lambda: keyed.alter_columns({"path": "number", "data_type": pa.int32()}),
    ]
    for call in calls:
        with pytest.raises(SchemaError, match="primary key"):
            call()


def test_of_two_that_add_one_key_at_the_same_time_one_is_refused(keyed: embow.Table) -> None:
    """The one that commits later looks again; a key of its own comes in all the same."""
    inside: list[Any] = []

    def rows(key: int) -> Any:
        yield {"id": key, "name": "late"}
        if not inside:
            inside.append(keyed.add([{"id": 7, "name": "early"}]))

    with pytest.raises(DuplicateKeyError, match="id=7"):
        keyed.add(rows(7))
    inside.clear()
    keyed.delete(keys=7)
    keyed.add(rows(8))
    assert keyed.get([7, 8])["name"].to_pylist() == ["early", "late"]


def test_a_key_can_be_declared_later(db: embow.Database) -> None:
    """Where no two rows have the same and none is null; and taken back."""
    table = db.create_table("t", [{"a": 1, "b": 1}, {"a": 1, "b": 2}])
    with pytest.raises(DuplicateKeyError, match="a=1"):
        table.set_primary_key("a")
    assert table.set_primary_key(["a", "b"]).version == 2
    assert table.set_primary_key(["a", "b"]).version == 2
    assert not table.schema.field("a").nullable
    with pytest.raises(DuplicateKeyError):
        table.add([{"a": 1, "b": 2}])
    table.set_primary_key(None)
    table.add([{"a": 1, "b": 2}])
    table.add_columns({"c": "cast(null as bigint)"})
    with pytest.raises(DataError, match="holds nulls"):
        table.set_primary_key("c")
    assert table.primary_key == ()


def test_a_writer_that_began_before_there_was_a_key_conflicts(db: embow.Database) -> None:
    """Its rows were not compared."""
    table = db.create_table("t", [{"a": 1}])

    def rows() -> Any:
        yield {"a": 1}
        table.set_primary_key("a")

    with pytest.raises(CommitConflictError):
        table.add(rows())
    assert table.count_rows() == 1


def test_an_update_and_an_add_of_one_key_do_not_both_come_in(
    keyed: embow.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The update looks again where a row came in before its commit."""
    commit = EngineTable.commit

    def late(self: EngineTable, change: Any) -> Any:
        monkeypatch.undo()
        keyed.add([{"id": 7, "name": "early"}])
        return commit(self, change)

    monkeypatch.setattr(EngineTable, "commit", late)
    with pytest.raises(DuplicateKeyError, match="id=7"):
        keyed.update("id = 1", {"id": 7})
    assert keyed.get([1, 7])["name"].to_pylist() == ["row 1", "early"]
