"""The part of the engine suite about reading rows, and the values that come back."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from embow.engines.contract import ROW_ID, Capability, Engine, EngineTable, ScanQuery
from embow.engines.predicate import parse_predicate
from embow.errors import UnknownColumnError
from embow_testing._engine_base import (
    SCHEMA,
    EngineTests,
    add,
    batch,
    put,
    read,
    remove,
    row_ids,
    rows,
)

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


class ReadSuite(EngineTests):
    """Rows are counted, read and located."""

    def test_a_scan_is_in_insertion_order(self, table: EngineTable) -> None:
        """Also from several commits."""
        self.needs(Capability.ORDERED_SCAN)
        add(table, 9, 8)
        add(table, 7)
        with table.snapshot() as snapshot:
            assert read(snapshot) == [0, 1, 2, 3, 4, 9, 8, 7]

    def test_a_scan_selects_columns_in_order(self, table: EngineTable) -> None:
        """Columns come as asked for, the row id last."""
        with table.snapshot() as snapshot:
            query = ScanQuery(columns=["text", "id"], with_row_id=True)
            assert snapshot.scan(query).schema.names == ["text", "id", ROW_ID]
            assert snapshot.scan(ScanQuery()).schema.names == SCHEMA.names

    def test_a_scan_of_no_column_keeps_the_row_ids(self, table: EngineTable) -> None:
        """They are int64, distinct, and the same each time."""
        with table.snapshot() as snapshot:
            found = snapshot.scan(ScanQuery(columns=[], with_row_id=True)).read_all()
            assert found.schema.field(ROW_ID).type == pa.int64()
            assert found[ROW_ID].to_pylist() == snapshot.row_ids().tolist()
            assert len(set(found[ROW_ID].to_pylist())) == 5

    def test_a_scan_of_an_unknown_column_is_refused(self, table: EngineTable) -> None:
        """The answer names the column."""
        with table.snapshot() as snapshot, pytest.raises(UnknownColumnError, match="nope"):
            snapshot.scan(ScanQuery(columns=["nope"])).read_all()

    @pytest.mark.parametrize(
        ("limit", "offset", "expected"),
        [(2, 1, [2, 3]), (None, 2, [3, 4]), (0, 0, []), (9, 9, []), (3, 0, [0, 2, 3])],
    )
    def test_limit_and_offset_count_rows_that_pass(
        self, table: EngineTable, limit: int | None, offset: int, expected: list[int]
    ) -> None:
        """They apply after the condition."""
        self.needs(Capability.ORDERED_SCAN)
        condition = parse_predicate("id != 1", SCHEMA)
        query = ScanQuery(columns=["id"], predicate=condition, offset=offset, limit=limit)
        with table.snapshot() as snapshot:
            assert snapshot.scan(query).read_all()["id"].to_pylist() == expected

    def test_rows_by_id_come_in_the_order_asked(self, table: EngineTable) -> None:
        """Row ids select and order; those that are gone are skipped."""
        with table.snapshot() as snapshot:
            wanted = [int(row_ids(snapshot, f"id = {n}")[0]) for n in (4, 2, 1)]
        remove(table, "id = 2")
        with table.snapshot() as snapshot:
            query = ScanQuery(columns=["id"], row_ids=[*wanted, 10**9])
            assert snapshot.scan(query).read_all()["id"].to_pylist() == [4, 1]

    def test_row_ids_are_never_given_again(self, table: EngineTable) -> None:
        """Not after the last rows were removed, nor after optimize."""
        with table.snapshot() as snapshot:
            before = set(snapshot.row_ids().tolist())
        remove(table, "id > 2")
        table.optimize()
        add(table, 3, 4)
        with table.snapshot() as snapshot:
            assert before.isdisjoint(row_ids(snapshot, "id > 2").tolist())

    @pytest.mark.parametrize("name", sorted(VALUES))
    def test_values_of_each_type_round_trip(self, engine: Engine, name: str) -> None:
        """Type, values and nulls come back, from small and from joined pieces."""
        array = VALUES[name]
        data = pa.record_batch([array], names=["value"])
        if reason := engine.supports(data.schema.field(0)):
            pytest.skip(reason)
        table = engine.create_table("v", data.schema, [data])
        put(table, data.slice(0, 1))
        table.optimize()
        with table.snapshot() as snapshot:
            found = snapshot.scan(ScanQuery()).read_all()
        expected = array.to_pylist() + array.slice(0, 1).to_pylist()
        assert found.schema == data.schema
        assert sorted(map(repr, found["value"].to_pylist())) == sorted(map(repr, expected))


KEYS = pa.schema({"a": pa.int64(), "b": pa.string()})


class CheckSuite(EngineTests):
    """Everything that is stored can be read at once, to see whether it is whole."""

    def test_a_whole_table_has_no_damage(self, table: EngineTable) -> None:
        """After additions and removals; where there are versions, each is read."""
        add(table, 7, 8)
        remove(table, "id = 7")
        report = table.check()
        assert report.ok
        assert report.damages == ()
        versions = Capability.VERSIONS in table.capabilities
        assert report.versions == (len(table.versions()) if versions else 1)


class LocateSuite(EngineTests):
    """Rows are found by their key."""

    def test_rows_are_found_by_their_key(self, table: EngineTable) -> None:
        """Positions among the keys with row ids, by row id ascending."""
        with table.snapshot() as snapshot:
            positions, found = snapshot.locate(pa.record_batch({"id": [9, 3, 0]}))
            expected = row_ids(snapshot, "id IN (0, 3)").tolist()
        assert (positions.tolist(), found.tolist()) == ([2, 1], expected)

    def test_several_columns_and_nulls(self, engine: Engine) -> None:
        """All columns of a key must be equal; a null is equal to nothing; one key finds many."""
        data = pa.record_batch(
            {"a": [1, 1, None, 2, 1], "b": ["x", "y", "x", None, "x"]}, schema=KEYS
        )
        table = engine.create_table("k", KEYS, [data])
        keys = pa.record_batch({"a": [2, None, 1, 7], "b": [None, "x", "x", "x"]}, schema=KEYS)
        with table.snapshot() as snapshot:
            positions, found = snapshot.locate(keys)
            expected = row_ids(snapshot, "a = 1 AND b = 'x'").tolist()
        assert (positions.tolist(), found.tolist()) == ([2, 2], expected)

    def test_nothing_is_found_in_nothing(self, engine: Engine, table: EngineTable) -> None:
        """No rows, no keys and missing keys give two empty arrays."""
        keys = pa.record_batch({"id": [77]})
        with engine.create_table("e", SCHEMA).snapshot() as empty:
            assert [len(each) for each in empty.locate(keys)] == [0, 0]
        with table.snapshot() as snapshot:
            assert [len(each) for each in snapshot.locate(keys)] == [0, 0]
            assert [len(each) for each in snapshot.locate(keys.slice(1))] == [0, 0]

    def test_an_unknown_key_column_is_refused(self, table: EngineTable) -> None:
        """The answer names the column."""
        with table.snapshot() as snapshot, pytest.raises(UnknownColumnError, match="nope"):
            snapshot.locate(pa.record_batch({"nope": [1]}))

    def test_removed_rows_are_not_located(self, table: EngineTable) -> None:
        """A key that came back is found once, at its new row."""
        remove(table, "id = 3")
        add(table, 3)
        with table.snapshot() as snapshot:
            _, found = snapshot.locate(batch(rows(3)).select(["id"]))
            assert found.tolist() == row_ids(snapshot, "id = 3").tolist()
