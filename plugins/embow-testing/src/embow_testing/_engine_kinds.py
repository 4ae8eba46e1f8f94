"""The part of the engine suite about kinds of vector: number types, several a row, in structs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from embow.engines.contract import (
    DISTANCE,
    Capability,
    Engine,
    EngineTable,
    Metric,
    Snapshot,
    VectorKind,
    VectorQuery,
    vector_kind,
)
from embow.engines.predicate import parse_predicate
from embow.errors import BadVectorError, DataError
from embow_testing._engine_base import EngineTests, put
from embow_testing._engine_search import distance, ranked

TYPES = (pa.float16(), pa.float32(), pa.float64(), pa.int8(), pa.uint8())
CASES = [(each, metric) for each in TYPES for metric in VectorKind(1, each).metrics]
NAN = float("nan")

Several = Sequence[Sequence[float] | None] | None
"""What a row of a multi-vector column holds."""

SEVERAL: list[Several] = [
    [[1, 0], [0, 1]],
    [],
    None,
    [[2, 2]],
    [[-1, 0], None, [0.5, 3]],
    [[NAN, 1]],
    [[0, 0]],
    [[3, -1], [NAN, 0], [2, 2]],
    [None],
    [[1, 0], [0, 1], [1, 0]],
]
"""Lists with every oddity; some are equally far from anything."""


def several_distance(metric: Metric, row: Several, query: Sequence[Sequence[float]]) -> float:
    """Return a distance by its definition; NaN where the row has no vector to compare."""
    held = [each for each in row or () if each is not None and not np.isnan(each).any()]
    if not held:
        return NAN
    return sum(min(distance(metric, vector, each) for vector in held) for each in query)


def several_ranked(
    metric: Metric, rows: Sequence[Several], query: Sequence[Sequence[float]]
) -> list[tuple[float, int]]:
    """Return distances with positions, nearest first, equal ones in row order."""
    found = [
        (float(np.float32(several_distance(metric, row, query))), at) for at, row in enumerate(rows)
    ]
    return sorted(each for each in found if not np.isnan(each[0]))


def filled(engine: Engine, field: pa.Field, values: Sequence[Any], first: int) -> EngineTable:
    """Return a table of ``id`` and one column, written in two commits."""
    if reason := engine.supports(field):
        pytest.skip(reason)
    columns = [pa.array(range(len(values)), pa.int64()), pa.array(values, field.type)]
    data = pa.record_batch(columns, schema=pa.schema([pa.field("id", pa.int64()), field]))
    table = engine.create_table("kinds", data.schema, [data.slice(0, first)])
    put(table, data.slice(first))
    return table


def searched(snapshot: Snapshot, column: str, query: Any, **options: Any) -> list[tuple[Any, ...]]:
    """Return distances and ids of one search for a vector, or for several as one query."""
    vectors = np.atleast_2d(np.array(query, np.float64))
    sizes = (len(vectors),) if len(vectors) > 1 else None
    search = VectorQuery(column, vectors, options.pop("k", 50), sizes=sizes, **options)
    (found,) = snapshot.search(search)
    return list(zip(found[DISTANCE].to_pylist(), found["id"].to_pylist(), strict=True))


def same(found: list[tuple[Any, ...]], expected: list[tuple[float, int]]) -> None:
    """Require the rows of a model in their order, and its distances."""
    assert [row for _, row in found] == [row for _, row in expected]
    assert [d for d, _ in found] == pytest.approx([d for d, _ in expected], abs=1e-5, rel=1e-6)


class KindSuite(EngineTests):
    """Vectors of every kind are compared as their kind says."""

    @pytest.mark.parametrize(("value", "metric"), CASES, ids=lambda each: str(each))
    def test_any_vectors_agree_with_the_model(
        self, engine: Engine, metric: Metric, value: pa.DataType
    ) -> None:
        """Many rows of every number type, with offset and ``k``; the query is not rounded."""
        random = np.random.default_rng(7)
        low = 0 if value == pa.uint8() else -100
        vectors = random.integers(low, 100, (150, 4)).tolist()
        table = filled(engine, pa.field("vector", pa.list_(value, 4)), vectors, 100)
        query = [3.0, 20.0, 50.0, 9.0] if metric == "hamming" else [3.0, -20.5, 50.0, 9.0]
        with table.snapshot() as snapshot:
            found = searched(snapshot, "vector", query, metric=metric, k=20, offset=5)
        same(found, ranked(metric, vectors, query)[5:25])

    @pytest.mark.parametrize("value", TYPES[:-1], ids=str)
    def test_only_bytes_are_compared_bit_by_bit(self, engine: Engine, value: pa.DataType) -> None:
        """Numbers have no bits that differ; the sentence names what can be asked."""
        table = filled(engine, pa.field("vector", pa.list_(value, 2)), [[1, 2]], 1)
        with table.snapshot() as snapshot, pytest.raises(DataError, match="cosine, dot"):
            searched(snapshot, "vector", [1, 2], metric="hamming")

    @pytest.mark.parametrize("query", [[0.5, 1], [-1, 1], [256, 1]])
    def test_what_is_no_byte_has_no_bits(self, engine: Engine, query: list[float]) -> None:
        """Nothing is rounded or cut to make it one."""
        table = filled(engine, pa.field("vector", pa.list_(pa.uint8(), 2)), [[1, 2]], 1)
        with table.snapshot() as snapshot, pytest.raises(BadVectorError, match="0 to 255"):
            searched(snapshot, "vector", query, metric="hamming")

    @pytest.mark.parametrize("query", [[[1, 2]], [[1, 2], [0, -1]], [[0, 0], [1, 0], [1, 0]]])
    @pytest.mark.parametrize("metric", VectorKind(1, pa.float32()).metrics)
    def test_several_vectors_a_row_agree_with_the_model(
        self, engine: Engine, metric: Metric, query: list[list[float]]
    ) -> None:
        """Empty lists, nulls and vectors that are none included; some rows came later."""
        self.needs(Capability.MULTIVECTOR)
        field = pa.field("several", pa.list_(pa.list_(pa.float32(), 2)))
        expected = several_ranked(metric, SEVERAL, query)
        with filled(engine, field, SEVERAL, 4).snapshot() as snapshot:
            same(searched(snapshot, "several", query, metric=metric), expected)
            cut = searched(snapshot, "several", query, metric=metric, k=3, offset=1)
            same(cut, expected[1:4])
            low, high = expected[1][0], expected[-1][0]
            bounds = {"metric": metric, "distance_range": (low, high)}
            kept = searched(snapshot, "several", query, **bounds)
            assert [row for _, row in kept] == [row for d, row in expected if low <= d < high]

    @pytest.mark.parametrize(("value", "metric"), CASES, ids=lambda each: str(each))
    def test_several_vectors_of_any_type_agree_with_the_model(
        self, engine: Engine, metric: Metric, value: pa.DataType
    ) -> None:
        """Lists of every length, large lists too."""
        self.needs(Capability.MULTIVECTOR)
        random = np.random.default_rng(3)
        low = 0 if value == pa.uint8() else -50
        rows = [random.integers(low, 50, (n % 4, 3)).tolist() for n in range(40)]
        query = random.integers(0, 50, (3, 3)).tolist()
        kind = VectorKind(3, value, multi=True, large=value == pa.float32())
        table = filled(engine, pa.field("several", kind.arrow_type), rows, 30)
        with table.snapshot() as snapshot:
            found = searched(snapshot, "several", query, metric=metric)
        same(found, several_ranked(metric, rows, query))

    def test_a_condition_and_row_ids_restrict_several_vectors(self, engine: Engine) -> None:
        """Only the rows that pass are compared."""
        self.needs(Capability.MULTIVECTOR)
        field = pa.field("several", pa.list_(pa.list_(pa.float32(), 2)))
        query = [[1.0, 2.0], [2.0, 0.0]]
        with filled(engine, field, SEVERAL, 4).snapshot() as snapshot:
            condition = parse_predicate("id >= 3", snapshot.schema)
            wanted = snapshot.row_ids(parse_predicate("id <> 7", snapshot.schema))
            found = searched(snapshot, "several", query, predicate=condition, row_ids=wanted)
        expected = several_ranked("l2", SEVERAL, query)
        same(found, [each for each in expected if each[1] >= 3 and each[1] != 7])

    def test_queries_of_several_vectors_are_answered_in_order(self, engine: Engine) -> None:
        """One result for each, however many vectors it has."""
        self.needs(Capability.MULTIVECTOR)
        field = pa.field("several", pa.list_(pa.list_(pa.float32(), 2)))
        queries = [[[1.0, 0.0], [0.0, 1.0]], [[2.0, 2.0]], [[3.0, -1.0], [0.0, 0.0], [1.0, 1.0]]]
        vectors = np.array([each for query in queries for each in query], np.float32)
        with filled(engine, field, SEVERAL, 4).snapshot() as snapshot:
            results = snapshot.search(VectorQuery("several", vectors, 50, sizes=(2, 1, 3)))
            alone = snapshot.search(VectorQuery("several", vectors, 50))
        for found, query in zip(results, queries, strict=True):
            expected = [row for _, row in several_ranked("l2", SEVERAL, query)]
            assert found["id"].to_pylist() == expected
        assert len(alone) == len(vectors)

    @pytest.mark.parametrize("sizes", [(2,), (0, 3), (1, 1)])
    def test_sizes_that_do_not_fit_are_refused(
        self, engine: Engine, sizes: tuple[int, ...]
    ) -> None:
        """Queries have at least one vector, and all vectors belong to one."""
        self.needs(Capability.MULTIVECTOR)
        field = pa.field("several", pa.list_(pa.list_(pa.float32(), 2)))
        query = VectorQuery("several", np.ones((3, 2), np.float32), 1, sizes=sizes)
        with (
            filled(engine, field, SEVERAL, 4).snapshot() as snapshot,
            pytest.raises(BadVectorError),
        ):
            snapshot.search(query)

    def test_one_vector_a_row_is_compared_with_one(self, engine: Engine) -> None:
        """A query of several vectors needs rows of several."""
        table = filled(engine, pa.field("vector", pa.list_(pa.float32(), 2)), [[1, 2]], 1)
        with table.snapshot() as snapshot, pytest.raises(BadVectorError, match="one vector a row"):
            searched(snapshot, "vector", [[1, 2], [3, 4]])

    @pytest.mark.parametrize("path", ["image.small", "image.deep.large"])
    def test_vectors_within_structs_are_searched_by_their_path(
        self, engine: Engine, path: str
    ) -> None:
        """A row whose struct or vector is null is not found."""
        one = pa.list_(pa.float32(), 2)
        deep = pa.struct([pa.field("large", one), pa.field("n", pa.int64())])
        image = pa.struct([pa.field("small", one), pa.field("deep", deep)])
        vectors = [[1, 2], [3, 1], None, [0, 0], [1, 2], [-1, 5]]
        values: list[Any] = [{"small": each, "deep": {"large": each, "n": 1}} for each in vectors]
        values[3] = None
        vectors[3] = None
        with filled(engine, pa.field("image", image), values, 3).snapshot() as snapshot:
            found = searched(snapshot, path, [1.0, 1.0], metric="cosine")
            condition = parse_predicate("id > 0", snapshot.schema)
            some = searched(snapshot, path, [1.0, 1.0], metric="cosine", predicate=condition)
            expected = ranked("cosine", vectors, [1.0, 1.0])
            same(found, expected)
            same(some, [each for each in expected if each[1] > 0])
            with pytest.raises(DataError, match=r"image\.small.*image\.deep\.large"):
                searched(snapshot, "image.little", [1.0, 1.0])

    def test_lists_without_a_length_are_no_vectors(self, engine: Engine) -> None:
        """Nothing says how long a query must be."""
        assert vector_kind(pa.list_(pa.float32())) is None
        table = filled(engine, pa.field("v", pa.list_(pa.float32())), [[1, 2]], 1)
        with table.snapshot() as snapshot, pytest.raises(DataError, match="fixed length"):
            searched(snapshot, "v", [1, 2])
