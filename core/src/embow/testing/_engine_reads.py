"""The part of the engine suite about scans and searches."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

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
from embow.engines.predicate import parse_predicate
from embow.errors import (
    BadVectorError,
    DataError,
    UnknownColumnError,
)
from embow.testing._engine_base import (
    SCHEMA,
    EngineTests,
    batch,
    nearest,
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


class SearchSuite(EngineTests):
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
