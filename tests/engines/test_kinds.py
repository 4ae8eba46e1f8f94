"""Several vectors a row, and narrow numbers: what is left out unseen is never among the nearest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from embow.engines._local import LocalEngine, products
from embow.engines._local.products import put_products
from embow.engines.contract import (
    DISTANCE,
    Metric,
    VectorKind,
    VectorQuery,
    row_distances,
    row_vectors,
)
from embow.engines.predicate import parse_predicate
from steps import search

METRICS = VectorKind(1, pa.float32()).metrics


def lists_of(
    random: np.random.Generator, rows: int, value: pa.DataType, scale: float = 1
) -> pa.Array:
    """Return lists of up to five vectors, some null, some empty, with a few odd vectors."""
    counts = random.integers(0, 6, rows)
    matrix = random.standard_normal((int(counts.sum()), 6)) * 20
    if pa.types.is_floating(value) and value != pa.float16():
        matrix *= scale
        matrix[::97] *= 1e20
        matrix[5::89] *= 1e-25
    matrix[7::83] = 0
    flat = pa.array(matrix.ravel().astype(value.to_pandas_dtype()), value)
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    mask = pa.array(random.random(rows) < 0.05)
    return pa.ListArray.from_arrays(offsets, pa.FixedSizeListArray.from_arrays(flat, 6), mask=mask)


def expected(column: pa.Array, query: NDArray[Any], metric: Metric) -> list[tuple[float, int]]:
    """Return distances and rows of the exact model, nearest first, ties in row order."""
    distances = row_distances(query.astype(np.float64), row_vectors(column), metric)
    return sorted((float(d), row) for row, d in enumerate(distances) if not np.isnan(d))


@pytest.mark.parametrize("value", [pa.float32(), pa.float16(), pa.float64(), pa.int8()], ids=str)
@pytest.mark.parametrize("metric", METRICS)
def test_lists_of_vectors_are_searched_exactly(
    open_engine: Callable[..., LocalEngine], metric: Metric, value: pa.DataType
) -> None:
    """Over many blocks, whole and by few rows, for queries of one vector and of many."""
    random = np.random.default_rng(3)
    column = lists_of(random, 700, value)
    data = pa.record_batch({"id": pa.array(range(700)), "v": column})
    table = open_engine(block_rows=64, small_rows=1).create_table("t", data.schema, [data])
    sizes = (1, 40, 3)
    vectors = (random.standard_normal((44, 6)) * 20).astype(np.float32)
    parts = np.split(vectors, np.cumsum(sizes)[:-1])
    for where, keep in (("id >= 0", 1), ("id % 3 != 0", 2), ("id % 7 = 1", 3)):
        condition = parse_predicate(where, data.schema)
        found = search(table, "v", vectors, 30, metric, sizes=sizes, predicate=condition)
        for result, query in zip(found, parts, strict=True):
            fits = {1: lambda n: True, 2: lambda n: n % 3 != 0, 3: lambda n: n % 7 == 1}[keep]
            wanted = [each for each in expected(column, query, metric) if fits(each[1])][:30]
            assert result["id"].to_pylist() == [row for _, row in wanted]
            assert result[DISTANCE].to_pylist() == [distance for distance, _ in wanted]


@pytest.mark.parametrize("scale", [1e-30, 1e25], ids=str)
def test_lists_far_from_ordinary_are_searched_exactly(
    open_engine: Callable[..., LocalEngine], scale: float
) -> None:
    """Squares of such numbers overflow or vanish in float32."""
    column = lists_of(np.random.default_rng(4), 200, pa.float64(), scale)
    data = pa.record_batch({"v": column})
    table = open_engine(block_rows=32, small_rows=1).create_table("t", data.schema, [data])
    query = np.random.default_rng(5).standard_normal((3, 6))
    for metric in METRICS:
        (found,) = search(table, "v", query, 200, metric, sizes=(3,))
        wanted = [distance for distance, _ in expected(column, query, metric)]
        assert found[DISTANCE].to_pylist() == wanted


def test_rows_of_more_vectors_than_are_scored_at_once(
    open_engine: Callable[..., LocalEngine],
) -> None:
    """A row stays whole however many vectors it has and the query has."""
    random = np.random.default_rng(6)
    counts = [3000, 0, 1, 5000, 2]
    rows = [random.standard_normal((count, 4)).astype(np.float32) for count in counts]
    kind = VectorKind(4, pa.float32(), multi=True, large=True)
    data = pa.record_batch([pa.array([r.tolist() for r in rows], kind.arrow_type)], ["v"])
    table = open_engine(block_rows=2, small_rows=1).create_table("t", data.schema, [data])
    query = random.standard_normal((200, 4)).astype(np.float32)
    (found,) = search(table, "v", query, 5, "cosine", sizes=(200,))
    wanted = expected(data.column(0), query, "cosine")
    assert found[DISTANCE].to_pylist() == [distance for distance, _ in wanted]


def test_vectors_within_structs_are_scored_as_others_are(
    open_engine: Callable[..., LocalEngine],
) -> None:
    """Over many blocks, some of them null, alone and by few rows."""
    random = np.random.default_rng(8)
    matrix = random.standard_normal((500, 6)).astype(np.float32)
    inner = pa.FixedSizeListArray.from_arrays(
        pa.array(matrix.ravel()), 6, mask=pa.array(random.random(500) < 0.1)
    )
    mask = pa.array(random.random(500) < 0.1)
    column = pa.StructArray.from_arrays([inner], names=["e"], mask=mask)
    data = pa.record_batch({"id": pa.array(range(500)), "s": column})
    table = open_engine(block_rows=64, small_rows=1).create_table("t", data.schema, [data])
    distances = row_distances(matrix[:1].astype(np.float64), row_vectors(column, "s.e"), "l2")
    order = [n for n in np.argsort(distances, kind="stable").tolist() if distances[n] >= 0]
    (found,) = search(table, "s.e", matrix[:1], 600, "l2")
    assert found["id"].to_pylist() == order
    some = parse_predicate("id % 9 = 2", data.schema)
    (few,) = search(table, "s.e", matrix[:1], 600, "l2", predicate=some)
    assert few["id"].to_pylist() == [n for n in order if n % 9 == 2]


halves = st.floats(width=16, allow_nan=False, allow_infinity=False)


@settings(deadline=None)
@given(
    rows=st.lists(st.lists(halves, min_size=5, max_size=5), min_size=1, max_size=6),
    queries=st.lists(
        st.lists(st.floats(-1, 1, width=32), min_size=5, max_size=5), min_size=1, max_size=3
    ),
    shortcut=st.booleans(),
)
def test_products_of_narrow_floats_are_those_of_wide_ones(
    rows: list[list[float]], queries: list[list[float]], shortcut: bool
) -> None:
    """Also of the smallest there are, with the shortcut and without."""
    matrix, units = np.array(rows, np.float16), np.array(queries, np.float32)
    out = np.empty((len(rows), len(queries)), np.float32)
    with pytest.MonkeyPatch.context() as patch:
        if not shortcut:
            patch.setattr(products, "_keeps_small_numbers", lambda: False)
        put_products(units, matrix, out)
    wide = matrix.astype(np.float64)
    bound = 10 * 2**-24 * (np.abs(wide) @ np.abs(units.T.astype(np.float64)))
    assert (np.abs(out - wide @ units.T.astype(np.float64)) <= bound + 1e-37).all()


def test_narrow_queries_are_refused_by_no_engine(engine: LocalEngine) -> None:
    """A query of another float type than the column's is compared as it is."""
    data = pa.record_batch([pa.array([[1.0, 2.0]], pa.list_(pa.float16(), 2))], ["v"])
    table = engine.create_table("t", data.schema, [data])
    with table.snapshot() as snapshot:
        for dtype in (np.float16, np.float32, np.float64):
            query = VectorQuery("v", np.array([[1, 2]], dtype), 1)
            assert snapshot.search(query)[0][DISTANCE].to_pylist() == [0]
