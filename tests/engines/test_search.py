"""Search finds exactly what brute force finds, whatever the numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from embow.engines._local import LocalEngine
from embow.engines._local.blocks import Block
from embow.engines._local.distance import Piece, prepare, score
from embow.engines._local.vectors import make_vectors
from embow.engines.contract import DISTANCE, Metric, exact_distances
from embow.engines.predicate import parse_predicate
from nearest import METRICS, brute_force
from steps import search

TYPES = {
    "float16": pa.float16(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "uint8": pa.uint8(),
    "int8": pa.int8(),
}


def vector_array(matrix: NDArray[Any], arrow_type: pa.DataType) -> pa.Array:
    """Return a matrix as a vector column."""
    flat = pa.array(matrix.ravel(), arrow_type)
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])


def table_of(engine: LocalEngine, matrix: NDArray[Any], arrow_type: pa.DataType) -> Any:
    """Return a table with the rows of a matrix."""
    data = pa.record_batch(
        {"id": pa.array(range(len(matrix))), "vector": vector_array(matrix, arrow_type)}
    )
    return engine.create_table("t", data.schema, [data])


def expect(
    table: Any, matrix: NDArray[Any], query: NDArray[np.float32], metric: Metric, k: int
) -> None:
    """Check that a search returns the rows and distances of brute force, ties in row order."""
    distances = brute_force(matrix, query, metric)
    order = np.argsort(distances, kind="stable")[:k]
    found = search(table, "vector", query[None], k, metric)[0]
    assert found["id"].to_pylist() == order.tolist()
    assert found[DISTANCE].to_pylist() == distances[order].tolist()


@pytest.mark.parametrize("name", list(TYPES))
@pytest.mark.parametrize("metric", METRICS)
def test_each_number_type_is_searched_exactly(
    open_engine: Callable[..., LocalEngine], name: str, metric: Metric
) -> None:
    """Rows in files, over many blocks."""
    random = np.random.default_rng(0)
    matrix = random.integers(0, 100, (500, 7)).astype(TYPES[name].to_pandas_dtype())
    table = table_of(open_engine(block_rows=64, small_rows=1), matrix, TYPES[name])
    expect(table, matrix, random.standard_normal(7).astype(np.float32), metric, 20)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1.0, 1e12, 1e30], ids=lambda scale: f"{scale:g}")
def test_vectors_that_hardly_differ_are_told_apart(
    open_engine: Callable[..., LocalEngine], metric: Metric, scale: float
) -> None:
    """Cancellation in float32 does not change the order, at any scale."""
    random = np.random.default_rng(1)
    centre = random.standard_normal(16)
    matrix = ((centre + 1e-6 * random.standard_normal((300, 16))) * scale).astype(np.float32)
    table = table_of(open_engine(block_rows=50, small_rows=1), matrix, pa.float32())
    expect(table, matrix, (centre * scale).astype(np.float32), metric, 10)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", [1e-42, 1e-25, 1e25, 1e37], ids=lambda scale: f"{scale:g}")
def test_rows_far_from_ordinary_are_searched_exactly(
    open_engine: Callable[..., LocalEngine], metric: Metric, scale: float
) -> None:
    """Squares of such numbers overflow or vanish in float32; the query is an ordinary one."""
    random = np.random.default_rng(6)
    matrix = (random.standard_normal((100, 5)) * scale).astype(np.float32)
    table = table_of(open_engine(block_rows=32, small_rows=1), matrix, pa.float32())
    expect(table, matrix, random.standard_normal(5).astype(np.float32), metric, 10)


@pytest.mark.parametrize("metric", METRICS)
def test_an_outlier_hides_nothing(open_engine: Callable[..., LocalEngine], metric: Metric) -> None:
    """One huge, one tiny and one zero vector among ordinary ones."""
    random = np.random.default_rng(2)
    matrix = random.standard_normal((200, 8)).astype(np.float32)
    matrix[10] *= 1e25
    matrix[20] *= 1e-25
    matrix[30] = 0
    table = table_of(open_engine(block_rows=64, small_rows=1), matrix, pa.float32())
    expect(table, matrix, random.standard_normal(8).astype(np.float32), metric, 200)


def test_equal_vectors_come_in_row_order(open_engine: Callable[..., LocalEngine]) -> None:
    """Ties over many blocks, wherever a row stands in its block."""
    matrix = np.tile(np.linspace(-1, 1, 13, dtype=np.float32), (331, 1))
    table = table_of(open_engine(block_rows=50, small_rows=1), matrix, pa.float32())
    expect(table, matrix, np.ones(13, np.float32), "cosine", 40)


@pytest.mark.parametrize("metric", METRICS)
def test_a_zero_query_has_a_defined_answer(
    open_engine: Callable[..., LocalEngine], metric: Metric
) -> None:
    """It is at cosine distance 1 from everything."""
    matrix = np.eye(5, dtype=np.float32)
    table = table_of(open_engine(), matrix, pa.float32())
    expect(table, matrix, np.zeros(5, np.float32), metric, 5)


@pytest.mark.parametrize(
    ("where", "keep"),
    [
        ("id % 10 = 3", lambda n: n % 10 == 3),
        ("id % 10 != 3", lambda n: n % 10 != 3),
        ("id < 0", lambda n: False),
    ],
)
def test_filtered_rows_are_searched_exactly(
    open_engine: Callable[..., LocalEngine], where: str, keep: Callable[[int], bool]
) -> None:
    """Few rows are copied and scored, many are scored in place; both give the same."""
    matrix = np.random.default_rng(3).standard_normal((400, 6)).astype(np.float32)
    table = table_of(open_engine(block_rows=64, small_rows=1), matrix, pa.float32())
    condition = parse_predicate(where, table.snapshot().schema)
    passing = [n for n in range(400) if keep(n)]
    distances = brute_force(matrix, matrix[0], "l2")
    found = search(table, "vector", matrix[:1], 15, "l2", predicate=condition)[0]
    assert found["id"].to_pylist() == sorted(passing, key=lambda n: (distances[n], n))[:15]


def test_a_distance_range_is_searched_exactly(open_engine: Callable[..., LocalEngine]) -> None:
    """The lower end skips the nearest rows without costing the ones behind them."""
    matrix = np.random.default_rng(4).standard_normal((400, 6)).astype(np.float32)
    table = table_of(open_engine(block_rows=64, small_rows=1), matrix, pa.float32())
    distances = brute_force(matrix, matrix[0], "l2")
    wanted = [n for n in np.argsort(distances, kind="stable").tolist() if 5 <= distances[n] < 9]
    found = search(table, "vector", matrix[:1], 20, offset=5, distance_range=(5.0, 9.0))[0]
    assert found["id"].to_pylist() == wanted[5:25]


def test_many_queries_are_answered_as_one_by_one(
    open_engine: Callable[..., LocalEngine],
) -> None:
    """More queries than are scored at once."""
    matrix = np.random.default_rng(5).standard_normal((300, 6)).astype(np.float32)
    table = table_of(open_engine(block_rows=64, small_rows=1), matrix, pa.float32())
    together = search(table, "vector", matrix[:150], 5, "dot")
    alone = [search(table, "vector", matrix[n : n + 1], 5, "dot")[0] for n in range(150)]
    assert together == alone


@settings(deadline=None)
@given(
    numbers=st.lists(
        st.lists(
            st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3
        ),
        min_size=1,
        max_size=12,
    ),
    query=st.lists(
        st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3
    ),
    metric=st.sampled_from(METRICS),
    wide=st.booleans(),
)
def test_scores_are_within_their_error(
    numbers: list[list[float]], query: list[float], metric: Metric, wide: bool
) -> None:
    """No true distance lies outside the bounds by which rows are left out, for any numbers."""
    matrix = np.array(numbers, np.float64 if wide else np.float32)
    vectors = make_vectors(vector_array(matrix, pa.float64() if wide else pa.float32()), None)
    one = np.array([query], np.float32)
    queries = prepare(one, metric, matrix.dtype)
    exact = exact_distances(queries.exact[0], matrix, metric).astype(np.float64)
    every = np.arange(len(matrix))
    for rows in (slice(0, len(matrix)), every):
        scores = score(queries, [Piece(0, vectors, rows, len(matrix))])
        known = np.setdiff1d(every, scores.unknown)
        with np.errstate(invalid="ignore"):
            gap = np.abs(scores.distance[0, known].astype(np.float64) - exact[known])
        slack = scores.error[0] + np.abs(exact[known]) * 1e-6
        assert ((gap <= slack) | np.isinf(slack)).all()


def test_norms_are_stored_with_the_vectors(
    open_engine: Callable[..., LocalEngine],
) -> None:
    """A reader that opens the file does not read every vector once more for its norm."""
    matrix = np.array([[3.0, 4.0], [0.0, 1.0]], np.float32)
    table = table_of(open_engine(small_rows=1), matrix, pa.float32())
    block: Block = table.latest().parts[0].block
    (stored,) = (name for name in block.columns if name.endswith(".norm"))
    assert block.columns[stored].to_pylist() == [5.0, 1.0]
