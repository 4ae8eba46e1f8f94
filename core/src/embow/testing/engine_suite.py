"""What every storage engine must do, as pytest classes.

An engine's tests subclass `EngineSuite` and provide the fixture ``engine``::

    class TestMyEngine(EngineSuite):
        @pytest.fixture
        def engine(self, tmp_path):
            engine = MyEngine(str(tmp_path), EngineOptions())
            yield engine
            engine.close()

Tests of a capability that the engine does not declare are skipped.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from embow.engines.base import (
    DISTANCE,
    ROW_ID,
    Capability,
    Engine,
    EngineTable,
    Metric,
    ScanQuery,
    VectorQuery,
)
from embow.engines.predicate import Predicate, parse_predicate
from embow.errors import (
    BadVectorError,
    CommitConflictError,
    DataError,
    SchemaError,
    TableExistsError,
    TableNotFoundError,
    UnknownColumnError,
)

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("text", pa.string()),
        pa.field("vector", pa.list_(pa.float32(), 3)),
    ],
    metadata={b"owner": b"suite"},
)

Row = dict[str, Any]


def rows(*numbers: int) -> list[Row]:
    """Return rows of `SCHEMA` with distinct vectors."""
    return [{"id": n, "text": f"t{n}", "vector": [float(n), 1.0, 0.0]} for n in numbers]


def batch(data: Sequence[Row], schema: pa.Schema = SCHEMA) -> pa.RecordBatch:
    """Return rows as one record batch."""
    return pa.RecordBatch.from_pylist(list(data), schema=schema)


def ids(table: EngineTable, predicate: Predicate | None = None) -> list[int]:
    """Return the ``id`` of all rows, in the order of a scan."""
    query = ScanQuery(columns=["id"], predicate=predicate)
    found: list[int] = table.scan(query).read_all()["id"].to_pylist()
    return found


def row_ids(table: EngineTable, where: str) -> list[int]:
    """Return the row ids of the rows that satisfy a condition."""
    query = ScanQuery(
        columns=["id"], predicate=parse_predicate(where, table.schema()), with_row_id=True
    )
    found: list[int] = table.scan(query).read_all()[ROW_ID].to_pylist()
    return found


def nearest(
    table: EngineTable, vector: Sequence[float], k: int, metric: Metric = "l2", **options: Any
) -> pa.Table:
    """Return the result of one search."""
    query = np.array([vector], np.float32)
    return table.search(VectorQuery("vector", query, k, metric, **options))[0]


VALUES: dict[str, pa.Array] = {
    "bool": pa.array([True, None, False]),
    "int8": pa.array([-128, None, 127], pa.int8()),
    "uint64": pa.array([2**64 - 1, None, 0], pa.uint64()),
    "float16": pa.array([1.5, None, -2.0], pa.float16()),
    "float64": pa.array([1e300, None, -0.0]),
    "decimal": pa.array([Decimal("1.25"), None, Decimal("-3.00")], pa.decimal128(10, 2)),
    "text": pa.array(["", None, "\u00e9\n"]),
    "large text": pa.array(["a", None, "b"], pa.large_string()),
    "bytes": pa.array([b"\x00", None, b""]),
    "fixed bytes": pa.array([b"ab", None, b"cd"], pa.binary(2)),
    "date": pa.array([dt.date(1969, 1, 1), None, dt.date(2030, 2, 3)]),
    "time": pa.array([dt.time(1, 2, 3), None, dt.time(0)]),
    "timestamp": pa.array([dt.datetime(2020, 1, 1), None, dt.datetime(1960, 1, 1)]),
    "zoned": pa.array([0, None, 1], pa.timestamp("us", "Europe/Berlin")),
    "duration": pa.array([dt.timedelta(days=1), None, dt.timedelta(0)]),
    "null": pa.nulls(3),
    "list": pa.array([[1, None], None, []]),
    "vector": pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float32(), 2)),
    "struct": pa.array([{"a": 1, "b": {"c": "x"}}, None, {"a": None, "b": None}]),
    "map": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int64())),
    "dictionary": pa.array(["x", None, "y"]).dictionary_encode(),
    "nested dictionary": pa.StructArray.from_arrays(
        [pa.array(["x", None, "y"]).dictionary_encode()], names=["kind"]
    ),
    "list of structs": pa.array([[{"a": 1}], None, []]),
}
"""One array for each type that must round trip."""


class _Base:
    @pytest.fixture
    def table(self, engine: Engine) -> EngineTable:
        """Return a table of five rows, ids 0 to 4."""
        return engine.create_table("t", SCHEMA, [batch(rows(0, 1, 2, 3, 4))], overwrite=False)

    @staticmethod
    def needs(engine: Engine, capability: Capability) -> None:
        """Skip where the engine does not declare a capability."""
        if capability not in engine.capabilities:
            pytest.skip(f"the engine has no {capability.name}")


class DatabaseSuite(_Base):
    """Tables come, go and are found."""

    def test_a_new_database_has_no_tables(self, engine: Engine) -> None:
        """Nothing is there before something was created."""
        assert engine.table_names() == []

    def test_names_are_sorted(self, engine: Engine) -> None:
        """Names come in alphabetical order whatever the order of creation."""
        for name in ("b", "a", "c"):
            engine.create_table(name, SCHEMA, [], overwrite=False)
        assert engine.table_names() == ["a", "b", "c"]

    def test_a_taken_name_is_refused(self, engine: Engine, table: EngineTable) -> None:
        """Creating over a table needs ``overwrite``."""
        with pytest.raises(TableExistsError, match="'t'"):
            engine.create_table("t", SCHEMA, [], overwrite=False)

    def test_overwriting_replaces_schema_and_rows(self, engine: Engine, table: EngineTable) -> None:
        """With ``overwrite`` neither old rows nor old columns remain."""
        schema = pa.schema({"other": pa.int8()})
        made = engine.create_table("t", schema, [], overwrite=True)
        assert (made.schema(), made.count_rows()) == (schema, 0)

    def test_an_unknown_table_names_what_there_is(self, engine: Engine, table: EngineTable) -> None:
        """A misspelt name is answered with the tables there are."""
        with pytest.raises(TableNotFoundError, match="'tt'"):
            engine.open_table("tt")

    def test_dropping_frees_the_name(self, engine: Engine, table: EngineTable) -> None:
        """A dropped table's name can be used again, for an empty table."""
        engine.drop_table("t")
        assert engine.create_table("t", SCHEMA, [], overwrite=False).count_rows() == 0

    def test_dropping_an_unknown_table_is_refused(self, engine: Engine) -> None:
        """There must be something to drop."""
        with pytest.raises(TableNotFoundError):
            engine.drop_table("t")

    def test_a_handle_of_a_dropped_table_says_so(self, engine: Engine, table: EngineTable) -> None:
        """A table that was dropped is not read as an empty one."""
        engine.drop_table("t")
        with pytest.raises(TableNotFoundError):
            table.count_rows()

    def test_renaming_keeps_the_rows(self, engine: Engine, table: EngineTable) -> None:
        """The new name leads to the same rows, the old one to nothing."""
        self.needs(engine, Capability.RENAME_TABLE)
        engine.rename_table("t", "u")
        assert (engine.table_names(), ids(engine.open_table("u"))) == (["u"], [0, 1, 2, 3, 4])

    def test_renaming_onto_a_table_is_refused(self, engine: Engine, table: EngineTable) -> None:
        """A rename never replaces another table."""
        self.needs(engine, Capability.RENAME_TABLE)
        engine.create_table("u", SCHEMA, [], overwrite=False)
        with pytest.raises(TableExistsError):
            engine.rename_table("t", "u")

    def test_creation_that_fails_leaves_no_table(self, engine: Engine) -> None:
        """Rows that cannot be read make no table."""

        def failing() -> Iterator[pa.RecordBatch]:
            yield batch(rows(1))
            raise RuntimeError("source broke")

        with pytest.raises(RuntimeError, match="source broke"):
            engine.create_table("t", SCHEMA, failing(), overwrite=False)
        assert engine.table_names() == []


class WriteSuite(_Base):
    """Rows go in and out, whole commits at a time."""

    def test_a_schema_comes_back_with_its_metadata(self, table: EngineTable) -> None:
        """Types, nullability and metadata are kept."""
        assert table.schema().equals(SCHEMA, check_metadata=True)

    def test_appended_rows_come_last(self, table: EngineTable) -> None:
        """A scan is in insertion order."""
        table.append([batch(rows(7, 6)), batch(rows(5))])
        assert ids(table) == [0, 1, 2, 3, 4, 7, 6, 5]

    def test_an_append_reports_its_rows(self, table: EngineTable) -> None:
        """The commit counts rows and names the version a reader then sees."""
        commit = table.append([batch(rows(5, 6))])
        assert (commit.rows_added, commit.version) == (2, table.version())

    def test_versions_grow(self, table: EngineTable) -> None:
        """Each commit has a higher version."""
        before = table.version()
        assert table.append([batch(rows(5))]).version > before

    def test_an_append_that_fails_adds_nothing(self, table: EngineTable) -> None:
        """Batches before the failure are not kept."""

        def failing() -> Iterator[pa.RecordBatch]:
            yield batch(rows(5))
            raise RuntimeError("source broke")

        with pytest.raises(RuntimeError, match="source broke"):
            table.append(failing())
        assert ids(table) == [0, 1, 2, 3, 4]

    def test_an_empty_append_is_harmless(self, table: EngineTable) -> None:
        """No batches and empty batches add no rows."""
        assert table.append([batch([])]).rows_added == 0

    def test_an_unknown_column_is_refused(self, table: EngineTable) -> None:
        """A column the table lacks is not dropped silently."""
        extra = pa.RecordBatch.from_pylist([{"id": 1, "txt": "a"}])
        with pytest.raises(UnknownColumnError, match="txt"):
            table.append([extra])

    def test_another_type_is_refused(self, table: EngineTable) -> None:
        """The message names the column."""
        wrong = pa.RecordBatch.from_pylist([{"id": 1, "text": 5}])
        with pytest.raises(SchemaError, match="text"):
            table.append([wrong])

    def test_null_in_a_column_that_must_have_a_value_is_refused(self, table: EngineTable) -> None:
        """Nullability is kept."""
        with pytest.raises(DataError, match="id"):
            table.append([pa.RecordBatch.from_pylist([{"text": "a"}])])

    def test_a_guard_that_holds_lets_rows_in(self, table: EngineTable) -> None:
        """Metadata that did not change is no obstacle."""
        guard = {b"owner": b"suite", b"absent": None}
        assert table.append([batch(rows(5))], guard=guard).rows_added == 1

    def test_a_guard_that_fails_keeps_rows_out(self, table: EngineTable) -> None:
        """Rows made under other metadata are refused."""
        with pytest.raises(CommitConflictError, match="owner"):
            table.append([batch(rows(5))], guard={b"owner": b"other"})

    def test_deleting_removes_what_matches(self, table: EngineTable) -> None:
        """Only the rows that satisfy the condition go."""
        commit = table.delete(parse_predicate("id IN (1, 3)", table.schema()))
        assert (ids(table), commit.rows_removed) == ([0, 2, 4], 2)

    def test_deleting_nothing_keeps_the_version(self, table: EngineTable) -> None:
        """A condition that no row satisfies changes nothing."""
        before = table.version()
        assert table.delete(parse_predicate("id > 9", table.schema())).version == before

    def test_replacing_removes_and_adds(self, engine: Engine, table: EngineTable) -> None:
        """One commit takes rows out by id and puts others in."""
        self.needs(engine, Capability.REPLACE)
        table.replace(row_ids(table, "id < 2"), [batch(rows(9))])
        assert ids(table) == [2, 3, 4, 9]

    def test_replacing_rows_that_are_gone_is_a_conflict(
        self, engine: Engine, table: EngineTable
    ) -> None:
        """An update based on a row that another writer removed is refused, and adds nothing."""
        self.needs(engine, Capability.REPLACE)
        stale = row_ids(table, "id < 2")
        table.delete(parse_predicate("id = 1", table.schema()))
        with pytest.raises(CommitConflictError):
            table.replace(stale, [batch(rows(9))])
        assert ids(table) == [0, 2, 3, 4]

    def test_replace_obeys_its_guard(self, engine: Engine, table: EngineTable) -> None:
        """A changed entry of the metadata stops a replacement too."""
        self.needs(engine, Capability.REPLACE)
        with pytest.raises(CommitConflictError):
            table.replace(row_ids(table, "id = 1"), [], guard={b"owner": None})

    def test_row_ids_survive_optimize(self, engine: Engine, table: EngineTable) -> None:
        """A replacement may be prepared before the data are reorganised."""
        self.needs(engine, Capability.REPLACE)
        known = row_ids(table, "id >= 3")
        table.delete(parse_predicate("id = 0", table.schema()))
        table.optimize()
        table.replace(known, [batch(rows(9))])
        assert ids(table) == [1, 2, 9]

    def test_overwriting_replaces_everything(self, table: EngineTable) -> None:
        """Old rows and the old schema are gone in one commit."""
        schema = pa.schema({"id": pa.int32()})
        table.overwrite(schema, [pa.RecordBatch.from_pylist([{"id": 8}], schema=schema)])
        assert (table.schema(), ids(table)) == (schema, [8])

    def test_optimizing_changes_no_row(self, table: EngineTable) -> None:
        """The same rows are there, in the same order."""
        table.append([batch(rows(5))])
        table.delete(parse_predicate("id = 2", table.schema()))
        table.optimize()
        assert ids(table) == [0, 1, 3, 4, 5]


class ReadSuite(_Base):
    """Rows are counted and read."""

    def test_counting_obeys_a_condition(self, table: EngineTable) -> None:
        """Only rows that satisfy it are counted."""
        assert table.count_rows(parse_predicate("id >= 3", table.schema())) == 2

    def test_a_scan_returns_values_unchanged(self, table: EngineTable) -> None:
        """What went in comes out."""
        assert table.scan(ScanQuery()).read_all().to_pylist() == rows(0, 1, 2, 3, 4)

    def test_a_scan_selects_columns_in_order(self, table: EngineTable) -> None:
        """Columns come as asked for, not as stored."""
        query = ScanQuery(columns=["text", "id"])
        assert table.scan(query).schema.names == ["text", "id"]

    def test_a_scan_of_an_unknown_column_is_refused(self, table: EngineTable) -> None:
        """The answer names the column."""
        with pytest.raises(UnknownColumnError, match="nope"):
            table.scan(ScanQuery(columns=["nope"])).read_all()

    def test_limit_and_offset_count_rows_that_pass(self, table: EngineTable) -> None:
        """They apply after the condition."""
        condition = parse_predicate("id != 1", table.schema())
        query = ScanQuery(columns=["id"], predicate=condition, offset=1, limit=2)
        assert table.scan(query).read_all()["id"].to_pylist() == [2, 3]

    def test_rows_by_id_come_in_the_order_asked(self, table: EngineTable) -> None:
        """Row ids select and order."""
        wanted = row_ids(table, "id IN (1, 4)")[::-1]
        query = ScanQuery(columns=["id"], row_ids=wanted)
        assert table.scan(query).read_all()["id"].to_pylist() == [4, 1]

    def test_a_running_scan_does_not_see_later_commits(self, table: EngineTable) -> None:
        """A reader keeps its version while others append, delete and optimize."""
        reader = table.scan(ScanQuery(columns=["id"]))
        table.append([batch(rows(5))])
        table.delete(parse_predicate("id < 3", table.schema()))
        table.optimize()
        assert reader.read_all()["id"].to_pylist() == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize("name", sorted(VALUES))
    def test_values_of_each_type_round_trip(self, engine: Engine, name: str) -> None:
        """Type, values and nulls come back, from small and from joined pieces."""
        array = VALUES[name]
        data = pa.record_batch([array], names=["value"])
        table = engine.create_table("v", data.schema, [data], overwrite=False)
        table.append([data.slice(0, 1)])
        table.optimize()
        found = table.scan(ScanQuery()).read_all()
        expected = array.to_pylist() + array.slice(0, 1).to_pylist()
        assert (found.schema, found["value"].to_pylist()) == (data.schema, expected)


class SearchSuite(_Base):
    """The nearest rows, exactly."""

    @pytest.mark.parametrize(
        ("metric", "expected"),
        [
            ("l2", [0.0, 1.0, 1.0]),
            ("dot", [-8.0, -6.0, -4.0]),
            ("cosine", [0.0, 1 - 7 / 50**0.5, 1 - 9 / 85**0.5]),
        ],
    )
    def test_distances_follow_the_metric(
        self, engine: Engine, table: EngineTable, metric: Metric, expected: list[float]
    ) -> None:
        """Smaller is nearer, by the documented formulas."""
        self.needs(engine, Capability.SEARCH)
        found = nearest(table, [2.0, 1.0, 0.0], 3, metric)[DISTANCE].to_pylist()
        assert found == pytest.approx(expected, abs=1e-6)

    def test_equal_distances_come_in_row_order(self, engine: Engine, table: EngineTable) -> None:
        """Of rows equally far, the one inserted first is first."""
        self.needs(engine, Capability.SEARCH)
        table.append([batch(rows(4, 0))])
        assert nearest(table, [2.0, 1.0, 0.0], 7)["id"].to_pylist() == [2, 1, 3, 0, 4, 4, 0]

    def test_rows_without_a_vector_are_never_found(
        self, engine: Engine, table: EngineTable
    ) -> None:
        """Null vectors do not count, even when fewer than ``k`` remain."""
        self.needs(engine, Capability.SEARCH)
        table.append([batch([{"id": 9, "text": None, "vector": None}])])
        assert nearest(table, [2.0, 1.0, 0.0], 9).num_rows == 5

    def test_a_condition_is_applied_before_scoring(
        self, engine: Engine, table: EngineTable
    ) -> None:
        """``k`` rows come back as long as ``k`` rows satisfy it."""
        self.needs(engine, Capability.SEARCH)
        condition = parse_predicate("id > 2", table.schema())
        found = nearest(table, [0.0, 1.0, 0.0], 2, predicate=condition)
        assert found["id"].to_pylist() == [3, 4]

    def test_deleted_rows_are_not_found(self, engine: Engine, table: EngineTable) -> None:
        """A deletion counts at once."""
        self.needs(engine, Capability.SEARCH)
        table.delete(parse_predicate("id = 2", table.schema()))
        assert nearest(table, [2.0, 1.0, 0.0], 1)["id"].to_pylist() == [1]

    def test_offset_skips_the_nearest(self, engine: Engine, table: EngineTable) -> None:
        """The rows that follow come back."""
        self.needs(engine, Capability.SEARCH)
        assert nearest(table, [0.0, 1.0, 0.0], 2, offset=2)["id"].to_pylist() == [2, 3]

    def test_a_distance_range_includes_its_lower_end_only(
        self, engine: Engine, table: EngineTable
    ) -> None:
        """``lower <= distance < upper``."""
        self.needs(engine, Capability.SEARCH)
        found = nearest(table, [0.0, 1.0, 0.0], 9, distance_range=(1.0, 9.0))
        assert found["id"].to_pylist() == [1, 2]

    def test_many_queries_are_answered_in_order(self, engine: Engine, table: EngineTable) -> None:
        """One result each."""
        self.needs(engine, Capability.SEARCH)
        vectors = np.array([[4, 1, 0], [0, 1, 0]], np.float32)
        found = table.search(VectorQuery("vector", vectors, 1))
        assert [each["id"].to_pylist() for each in found] == [[4], [0]]

    def test_columns_are_selected(self, engine: Engine, table: EngineTable) -> None:
        """Only the columns asked for come back, then the distance and the row id."""
        self.needs(engine, Capability.SEARCH)
        found = nearest(table, [0.0, 1.0, 0.0], 1, columns=["text"], with_row_id=True)
        assert set(found.schema.names) == {"text", DISTANCE, ROW_ID}

    def test_another_number_of_dimensions_is_refused(
        self, engine: Engine, table: EngineTable
    ) -> None:
        """The message names both numbers."""
        self.needs(engine, Capability.SEARCH)
        with pytest.raises(BadVectorError, match=r"3 dim.*\(1, 2\)"):
            nearest(table, [0.0, 1.0], 1)

    def test_a_column_that_is_no_vector_is_refused(
        self, engine: Engine, table: EngineTable
    ) -> None:
        """The message names the vector columns there are."""
        self.needs(engine, Capability.SEARCH)
        query = VectorQuery("text", np.zeros((1, 3), np.float32), 1)
        with pytest.raises(DataError, match="Vector columns: vector"):
            table.search(query)

    def test_an_empty_table_finds_nothing(self, engine: Engine) -> None:
        """No rows, no error."""
        self.needs(engine, Capability.SEARCH)
        empty = engine.create_table("e", SCHEMA, [], overwrite=False)
        assert nearest(empty, [0.0, 1.0, 0.0], 3).num_rows == 0


class EvolutionSuite(_Base):
    """The schema changes; the rows stay."""

    def test_metadata_is_replaced(self, engine: Engine, table: EngineTable) -> None:
        """The new entries are there, the old ones are not."""
        self.needs(engine, Capability.SCHEMA_EVOLUTION)
        table.set_metadata({b"a": b"b"}, expected=table.schema())
        assert table.schema().metadata == {b"a": b"b"}

    def test_metadata_based_on_an_old_schema_is_a_conflict(
        self, engine: Engine, table: EngineTable
    ) -> None:
        """Of two writers that start from one schema, the second must look again."""
        self.needs(engine, Capability.SCHEMA_EVOLUTION)
        stale = table.schema()
        table.set_metadata({b"a": b"b"}, expected=stale)
        with pytest.raises(CommitConflictError):
            table.set_metadata({b"a": b"c"}, expected=stale)

    def test_a_column_is_added_by_row_id(self, engine: Engine, table: EngineTable) -> None:
        """Values arrive in any order; rows not mentioned get null."""
        self.needs(engine, Capability.SCHEMA_EVOLUTION)
        known = row_ids(table, "id IN (1, 3)")
        values = pa.record_batch({ROW_ID: pa.array(known[::-1]), "n": pa.array([30, 10])})
        table.add_column(pa.field("n", pa.int64()), [values])
        found = table.scan(ScanQuery(columns=["n"])).read_all()["n"].to_pylist()
        assert found == [None, 10, None, 30, None]

    def test_an_added_vector_column_is_searchable(self, engine: Engine, table: EngineTable) -> None:
        """The values count in a search at once, also for rows appended later."""
        self.needs(engine, Capability.SCHEMA_EVOLUTION | Capability.SEARCH)
        field = pa.field("v2", pa.list_(pa.float32(), 2))
        vectors = pa.array([[1.0, 0.0]], field.type)
        data = pa.record_batch([pa.array(row_ids(table, "id = 3")), vectors], names=[ROW_ID, "v2"])
        table.add_column(field, [data])
        table.append([pa.RecordBatch.from_pylist([{"id": 9, "v2": [1.0, 1.0]}], table.schema())])
        query = VectorQuery("v2", np.array([[1, 1]], np.float32), 5)
        assert table.search(query)[0]["id"].to_pylist() == [9, 3]

    def test_renaming_keeps_values(self, engine: Engine, table: EngineTable) -> None:
        """The column is found under its new name."""
        self.needs(engine, Capability.SCHEMA_EVOLUTION)
        table.alter_columns(rename={"text": "label"})
        found = table.scan(ScanQuery(columns=["label"])).read_all()["label"].to_pylist()
        assert found == ["t0", "t1", "t2", "t3", "t4"]

    def test_a_name_set_free_can_be_given_at_once(self, engine: Engine, table: EngineTable) -> None:
        """Dropping comes before renaming: this is how a rebuilt column takes over."""
        self.needs(engine, Capability.SCHEMA_EVOLUTION)
        field = pa.field("new", pa.string())
        data = {ROW_ID: pa.array(row_ids(table, "true")), "new": pa.array(list("abcde"))}
        table.add_column(field, [pa.record_batch(data)])
        table.alter_columns(drop=["text"], rename={"new": "text"})
        found = table.scan(ScanQuery(columns=["text"])).read_all()["text"].to_pylist()
        assert found == list("abcde")

    def test_a_dropped_column_stays_away(self, engine: Engine, table: EngineTable) -> None:
        """A column added later under its name starts empty."""
        self.needs(engine, Capability.SCHEMA_EVOLUTION)
        table.alter_columns(drop=["text"])
        table.add_column(pa.field("text", pa.string()), [])
        found = table.scan(ScanQuery(columns=["text"])).read_all()["text"].to_pylist()
        assert found == [None] * 5

    def test_altering_an_old_version_is_a_conflict(
        self, engine: Engine, table: EngineTable
    ) -> None:
        """A change prepared on a version that has passed is refused."""
        self.needs(engine, Capability.SCHEMA_EVOLUTION)
        before = table.version()
        table.append([batch(rows(5))])
        with pytest.raises(CommitConflictError):
            table.alter_columns(drop=["text"], expected_version=before)

    def test_altering_an_unknown_column_is_refused(
        self, engine: Engine, table: EngineTable
    ) -> None:
        """The message names it."""
        self.needs(engine, Capability.SCHEMA_EVOLUTION)
        with pytest.raises(UnknownColumnError, match="nope"):
            table.alter_columns(rename={"nope": "x"})


class EngineSuite(DatabaseSuite, WriteSuite, ReadSuite, SearchSuite, EvolutionSuite):
    """Everything the contract asks for."""
