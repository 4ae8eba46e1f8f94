"""The part of the engine suite about searches and filters, beside plain models of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from embow.engines.contract import (
    DISTANCE,
    ROW_ID,
    Change,
    Engine,
    EngineTable,
    Metric,
    ScanQuery,
    VectorKind,
    VectorQuery,
)
from embow.engines.predicate import evaluate, parse_predicate
from embow.errors import BadVectorError, DataError, UnknownColumnError
from embow_testing._engine_base import (
    SCHEMA,
    EngineTests,
    add,
    batch,
    nearest,
    put,
    remove,
    row_ids,
    rows,
)
from embow_testing._engine_filters import BATCH, FILTERS

METRICS: tuple[Metric, ...] = VectorKind(3, pa.float32()).metrics
NAN = float("nan")
ODD: list[list[float] | None] = [
    [1, 0, 0],
    [0, 0, 0],
    None,
    [NAN, 1, 0],
    [2, 2, 1],
    [-1, 0, 0],
    [0, 0, 0],
    [1, 0, 0],
    [0.5, -3, 8],
]
"""Vectors with every oddity; some are equally far from anything."""


def distance(metric: Metric, vector: Sequence[float], query: Sequence[float]) -> float:
    """Return a distance by its definition."""
    if metric == "hamming":
        return sum((int(a) ^ int(b)).bit_count() for a, b in zip(vector, query, strict=True))
    product = math.fsum(a * b for a, b in zip(vector, query, strict=True))
    if metric == "l2":
        return math.fsum((a - b) ** 2 for a, b in zip(vector, query, strict=True))
    if metric == "dot":
        return 1 - product
    norms = math.hypot(*vector) * math.hypot(*query)
    return 1 if norms == 0 else 1 - product / norms


def ranked(
    metric: Metric, vectors: Sequence[Sequence[float] | None], query: Sequence[float]
) -> list[tuple[float, int]]:
    """Return distances with positions, nearest first, equal ones in row order."""
    found = [
        (float(np.float32(distance(metric, vector, query))), position)
        for position, vector in enumerate(vectors)
        if vector is not None and not any(map(math.isnan, vector))
    ]
    return sorted(found)


class SearchSuite(EngineTests):
    """The nearest rows, exactly."""

    @pytest.mark.parametrize("query", [[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    @pytest.mark.parametrize("metric", METRICS)
    def test_null_nan_and_zero_vectors_follow_the_rules(
        self, engine: Engine, metric: Metric, query: list[float]
    ) -> None:
        """Each metric agrees with its definition, ties in row order; some rows came later."""
        data = batch([{"id": n, "vector": vector} for n, vector in enumerate(ODD)])
        table = engine.create_table("odd", SCHEMA, [data.slice(0, 5)])
        put(table, data.slice(5))
        expected = ranked(metric, ODD, query)
        with table.snapshot() as snapshot:
            found = nearest(snapshot, query, 20, metric)
        assert found["id"].to_pylist() == [position for _, position in expected]
        assert found.schema.field(DISTANCE).type == pa.float32()
        assert found[DISTANCE].to_pylist() == pytest.approx([d for d, _ in expected], abs=1e-6)

    def test_equal_distances_come_in_row_order(self, table: EngineTable) -> None:
        """Of rows equally far, the one inserted first is first, also where ``k`` cuts."""
        add(table, 4, 0)
        with table.snapshot() as snapshot:
            found = nearest(snapshot, [2.0, 1.0, 0.0], 7, with_row_id=True)
            assert found["id"].to_pylist() == [2, 1, 3, 0, 4, 4, 0]
            for k in range(7):
                cut = nearest(snapshot, [2.0, 1.0, 0.0], k, with_row_id=True)
                assert cut[ROW_ID].to_pylist() == found[ROW_ID].to_pylist()[:k]

    def test_a_condition_is_applied_before_scoring(self, table: EngineTable) -> None:
        """``k`` rows come back as long as ``k`` rows satisfy it."""
        with table.snapshot() as snapshot:
            condition = parse_predicate("id > 2", snapshot.schema)
            found = nearest(snapshot, [0.0, 1.0, 0.0], 2, predicate=condition)
        assert found["id"].to_pylist() == [3, 4]

    def test_row_ids_restrict_and_combine_with_a_condition(self, table: EngineTable) -> None:
        """Only the rows named are scored, in whatever order they are named."""
        with table.snapshot() as snapshot:
            wanted = row_ids(snapshot, "id IN (1, 3, 4)")[::-1]
            condition = parse_predicate("id <> 3", snapshot.schema)
            found = nearest(snapshot, [3.0, 1.0, 0.0], 9, row_ids=wanted, predicate=condition)
            assert found["id"].to_pylist() == [4, 1]
            assert nearest(snapshot, [3.0, 1.0, 0.0], 9, row_ids=wanted[:0]).num_rows == 0

    def test_removed_rows_are_not_found(self, table: EngineTable) -> None:
        """A removal counts at once."""
        remove(table, "id = 2")
        with table.snapshot() as snapshot:
            assert nearest(snapshot, [2.0, 1.0, 0.0], 1)["id"].to_pylist() == [1]

    def test_offset_skips_the_nearest(self, table: EngineTable) -> None:
        """The rows that follow come back, and none past the end."""
        with table.snapshot() as snapshot:
            found = nearest(snapshot, [0.0, 1.0, 0.0], 2, offset=2)
            assert found["id"].to_pylist() == [2, 3]
            assert nearest(snapshot, [0.0, 1.0, 0.0], 2, offset=9).num_rows == 0

    @pytest.mark.parametrize(
        ("bounds", "expected"),
        [((1.0, 9.0), [1, 2]), ((4.0, None), [2, 3, 4]), ((None, 1.0), [0]), ((2.0, 2.0), [])],
    )
    def test_a_distance_range_includes_its_lower_end_only(
        self,
        table: EngineTable,
        bounds: tuple[float | None, float | None],
        expected: list[int],
    ) -> None:
        """``lower <= distance < upper``."""
        with table.snapshot() as snapshot:
            found = nearest(snapshot, [0.0, 1.0, 0.0], 9, distance_range=bounds)
            assert found["id"].to_pylist() == expected
            cut = nearest(snapshot, [0.0, 1.0, 0.0], 1, distance_range=bounds, offset=1)
            assert cut["id"].to_pylist() == expected[1:2]

    def test_many_queries_are_answered_in_order(self, table: EngineTable) -> None:
        """One result each."""
        vectors = np.array([[4, 1, 0], [0, 1, 0]], np.float32)
        with table.snapshot() as snapshot:
            found = snapshot.search(VectorQuery("vector", vectors, 1))
        assert [each["id"].to_pylist() for each in found] == [[4], [0]]

    def test_columns_are_selected(self, table: EngineTable) -> None:
        """The columns asked for, then the distance, then the row id."""
        with table.snapshot() as snapshot:
            found = nearest(snapshot, [0.0, 1.0, 0.0], 1, columns=["text"], with_row_id=True)
            assert found.schema.names == ["text", DISTANCE, ROW_ID]
            assert found[ROW_ID].to_pylist() == row_ids(snapshot, "id = 0").tolist()
            alone = nearest(snapshot, [0.0, 1.0, 0.0], 2, columns=[])
            assert (alone.column_names, alone.num_rows) == ([DISTANCE], 2)
            everything = nearest(snapshot, [0.0, 1.0, 0.0], 1)
            assert everything.schema.names == [*SCHEMA.names, DISTANCE]
            assert everything.drop_columns([DISTANCE]).to_pylist() == rows(0)

    def test_a_question_that_does_not_fit_is_refused(self, table: EngineTable) -> None:
        """Before anything is read, in words that help."""
        one = np.zeros((1, 3), np.float32)
        cases: list[tuple[VectorQuery, type[Exception], str]] = [
            (VectorQuery("vector", one[:, :2], 1), BadVectorError, r"3 dim.*\(1, 2\)"),
            (VectorQuery("vector", one + np.inf, 1), BadVectorError, "inf"),
            (VectorQuery("text", one, 1), DataError, "Vector columns: vector"),
            (VectorQuery("nope", one, 1), UnknownColumnError, "nope"),
            (VectorQuery("vector", one, 1, columns=["nope"]), UnknownColumnError, "nope"),
        ]
        with table.snapshot() as snapshot:
            for query, error, words in cases:
                with pytest.raises(error, match=words):
                    snapshot.search(query)

    def test_an_empty_table_finds_nothing(self, engine: Engine) -> None:
        """No rows, no error."""
        with engine.create_table("e", SCHEMA).snapshot() as snapshot:
            assert nearest(snapshot, [0.0, 1.0, 0.0], 3).num_rows == 0


class FilterSuite(EngineTests):
    """Every engine has every filter."""

    @pytest.fixture
    def mixed(self, engine: Engine) -> EngineTable:
        """Return a table of `BATCH` twice, in two commits, without one of the rows."""
        kept = [each.name for each in BATCH.schema if engine.supports(each) is None]
        place = pa.array([[float(n)] for n in range(len(BATCH))], pa.list_(pa.float32(), 1))
        data = BATCH.select(kept).append_column("place", place)
        table = engine.create_table("mixed", data.schema, [data])
        with table.snapshot() as snapshot:
            staged = table.write([data], base=snapshot.base)
            change = Change(snapshot.base, add=[staged], remove=snapshot.row_ids()[1:2])
        table.commit(change)
        return table

    def test_every_filter_gives_the_rows_of_its_evaluation(self, mixed: EngineTable) -> None:
        """Scan, count, row ids and search agree with ``embow.engines.predicate``."""
        wrong: list[tuple[str, Any]] = []
        with mixed.snapshot() as snapshot:
            everything = snapshot.scan(ScanQuery(with_row_id=True)).read_all().combine_chunks()
            whole = everything.to_batches()[0]
            every_id = np.asarray(everything[ROW_ID])
            for sql, _ in FILTERS:
                predicate = parse_predicate(sql, BATCH.schema)
                if not set(predicate.columns) <= set(snapshot.schema.names):
                    continue
                expected = every_id[evaluate(predicate, whole)].tolist()
                scan = ScanQuery(columns=[], predicate=predicate, with_row_id=True)
                vectors = np.zeros((1, 1), np.float32)
                search = VectorQuery("place", vectors, 99, predicate=predicate, with_row_id=True)
                found = {
                    "scan": snapshot.scan(scan).read_all()[ROW_ID].to_pylist(),
                    "row_ids": snapshot.row_ids(predicate).tolist(),
                    "search": sorted(snapshot.search(search)[0][ROW_ID].to_pylist()),
                    "count": list(range(snapshot.count_rows(predicate))),
                }
                wanted = dict.fromkeys(found, expected) | {"count": list(range(len(expected)))}
                if found != wanted:
                    wrong.append((sql, found))
        assert wrong == []

    def test_a_filter_restricts_the_rows_asked_for(self, mixed: EngineTable) -> None:
        """With row ids the order asked for stays, and limit and offset come last."""
        with mixed.snapshot() as snapshot:
            predicate = parse_predicate("A_b >= 3", snapshot.schema)
            asked = snapshot.row_ids()[::-1]
            expected = [row for row in asked.tolist() if row in snapshot.row_ids(predicate)]
            query = ScanQuery(
                columns=["A_b"],
                predicate=predicate,
                row_ids=asked,
                with_row_id=True,
                offset=1,
                limit=2,
            )
            assert snapshot.scan(query).read_all()[ROW_ID].to_pylist() == expected[1:3]

    def test_a_filter_of_an_unknown_column_is_refused(self, table: EngineTable) -> None:
        """It was made for another table."""
        predicate = parse_predicate("A_b = 1", BATCH.schema)
        with table.snapshot() as snapshot, pytest.raises(UnknownColumnError, match="A_b"):
            snapshot.scan(ScanQuery(predicate=predicate)).read_all()
