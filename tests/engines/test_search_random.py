"""Searches of every shape over rows of every kind, against plain numpy."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from embow.engines._local import LocalEngine
from embow.engines._local import search as searching
from embow.engines._local.products import Fastest
from embow.engines._local.threads import side_by_side, thread_count
from embow.engines.contract import DISTANCE, ROW_ID, EngineOptions, Metric
from embow.engines.predicate import parse_predicate
from nearest import METRICS, brute_force
from steps import remove, search

KINDS = ("ties", "ordinary", "hardly differ", "of any length")


@dataclass(frozen=True)
class Case:
    """A table and a search.

    Attributes:
        kind: Of rows.
        special: Of every ten rows or so, one is zero, not a number, huge, tiny or null.
        deleted: Every so many-th row is deleted; 0 for none.
        passing: The filter lets this many of ten rows pass; 10 for no filter.
    """

    seed: int
    rows: int
    queries: int
    k: int
    offset: int
    kind: str
    special: bool
    deleted: int
    passing: int
    metric: Metric
    bounds: tuple[float | None, float | None]
    block_rows: int


CASES = st.builds(
    Case,
    seed=st.integers(0, 2**16),
    rows=st.integers(1, 700),
    queries=st.sampled_from([1, 1, 2, 3, 5, 17, 70]),
    k=st.sampled_from([0, 1, 3, 10, 300]),
    offset=st.sampled_from([0, 0, 2, 40]),
    kind=st.sampled_from(KINDS),
    special=st.booleans(),
    deleted=st.sampled_from([0, 2, 7]),
    passing=st.sampled_from([10, 10, 8, 1, 0]),
    metric=st.sampled_from(METRICS),
    bounds=st.sampled_from([(None, None), (0.9, None), (None, 1.1), (0.5, 3.0)]),
    block_rows=st.sampled_from([16, 100, 1000]),
)


def make_matrix(case: Case) -> NDArray[np.float32]:
    """Return the vectors of a case."""
    random = np.random.default_rng(case.seed)
    matrix = random.standard_normal((case.rows, 6))
    if case.kind == "ties":
        matrix = np.round(matrix)
    if case.kind == "hardly differ":
        matrix = matrix[0] + 1e-6 * matrix
    if case.kind == "of any length":
        matrix *= 10 ** random.uniform(-3, 3, (case.rows, 1))
    if case.special:
        for at in range(case.seed % 7, case.rows, 9):
            matrix[at] = [0, np.nan, 1e30, 1e-30, 3e38][at % 5]
    return matrix.astype(np.float32)


def check(engine: LocalEngine, case: Case) -> None:
    """Compare every answer with the model's."""
    matrix = make_matrix(case)
    null = np.arange(case.rows) % 11 == 5 if case.special else np.zeros(case.rows, bool)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), 6, mask=pa.array(null))
    data = pa.record_batch({"id": pa.array(range(case.rows)), "vector": vectors})
    table = engine.create_table("t", data.schema, [data])
    alive = np.ones(case.rows, bool)
    if case.deleted:
        remove(table, f"id % {case.deleted} = 1")
        alive = np.arange(case.rows) % case.deleted != 1
    condition = None
    usable = alive & ~null
    if case.passing < 10:
        condition = parse_predicate(f"id % 10 < {case.passing}", data.schema)
        usable &= np.arange(case.rows) % 10 < case.passing
    finite = matrix[np.isfinite(matrix).all(axis=1)]
    queries = np.resize(np.concatenate([finite, np.zeros((1, 6), np.float32)]), (case.queries, 6))
    found = search(
        table,
        "vector",
        queries,
        case.k,
        case.metric,
        offset=case.offset,
        distance_range=case.bounds,
        predicate=condition,
        columns=["id"],
        with_row_id=True,
    )
    engine.drop_table("t")
    assert len(found) == case.queries
    for query, answer in zip(queries, found, strict=True):
        rows, distances = expected(matrix, query, usable, case)
        assert answer["id"].to_pylist() == rows
        assert answer[DISTANCE].to_pylist() == distances
        assert answer.column_names == ["id", DISTANCE, ROW_ID]


def expected(
    matrix: NDArray[np.float32], query: NDArray[np.float32], usable: NDArray[np.bool_], case: Case
) -> tuple[list[int], list[float]]:
    """Return the rows and distances that the documented rules give."""
    distances = brute_force(matrix, query, case.metric)
    lower, upper = case.bounds
    wanted = usable & ~np.isnan(distances) & ~np.isnan(matrix).any(axis=1)
    if lower is not None:
        wanted &= distances >= lower
    if upper is not None:
        wanted &= distances < upper
    order = np.argsort(distances, kind="stable")
    rows = order[wanted[order]][case.offset : case.offset + case.k]
    return rows.tolist(), distances[rows].tolist()


@settings(deadline=None, max_examples=150)
@given(case=CASES)
def test_every_search_finds_what_plain_numpy_finds(
    tmp_path_factory: pytest.TempPathFactory, case: Case
) -> None:
    """Many queries, ties, rows that are no numbers, deleted ones, ranges and filters."""
    folder = str(tmp_path_factory.mktemp("search"))
    engine = LocalEngine(folder, EngineOptions({"block_rows": case.block_rows, "small_rows": 1}))
    check(engine, case)
    engine.close()


@settings(deadline=None, max_examples=50)
@given(case=CASES)
def test_it_does_not_matter_how_many_rows_are_scored_at_a_time(
    tmp_path_factory: pytest.TempPathFactory, case: Case
) -> None:
    """Blocks are cut, and joined, anywhere."""
    folder = str(tmp_path_factory.mktemp("search"))
    engine = LocalEngine(folder, EngineOptions({"block_rows": case.block_rows, "small_rows": 1}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "_SCORES", 50 * case.queries)
        check(engine, case)
    engine.close()


@settings(deadline=None, max_examples=50)
@given(case=CASES, threads=st.integers(2, 5))
def test_it_does_not_matter_how_many_threads_score(
    tmp_path_factory: pytest.TempPathFactory, case: Case, threads: int
) -> None:
    """Pieces are scored side by side, and considered in their order."""
    folder = str(tmp_path_factory.mktemp("search"))
    engine = LocalEngine(folder, EngineOptions({"block_rows": case.block_rows, "small_rows": 1}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "_LARGE", 0)
        patch.setenv("OMP_NUM_THREADS", str(threads))
        check(engine, case)
    engine.close()


@pytest.mark.parametrize(
    ("setting", "threads"), [("3", 3), ("4,2", 4), ("", None), ("0", None), ("many", None)]
)
def test_the_usual_setting_says_how_many_threads(
    monkeypatch: pytest.MonkeyPatch, setting: str, threads: int | None
) -> None:
    """What is no number leaves one for each core that the process may use."""
    monkeypatch.setenv("OMP_NUM_THREADS", setting)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(7), raising=False)
    assert thread_count() == (threads or 7)


def test_work_side_by_side_is_side_by_side_and_in_order() -> None:
    """Two items are at work at the same moment; results come in the order of the items."""
    together = threading.Barrier(2)

    def work(item: int) -> int:
        if item < 2:
            together.wait(30)
        return item * item

    found = list(side_by_side(work, iter(range(20)), 2))
    assert found == [(item, item * item) for item in range(20)]


def test_an_error_on_a_thread_is_raised() -> None:
    """It ends the scan, and the threads with it."""

    def work(item: int) -> int:
        raise ValueError(f"item {item}")

    before = threading.active_count()
    with pytest.raises(ValueError, match="item 0"):
        list(side_by_side(work, range(9), 3))
    assert threading.active_count() == before


@pytest.mark.parametrize("best", range(3))
def test_the_way_that_took_least_time_stays(best: int) -> None:
    """Each gets its turns; one slow turn of the best does not count against it."""
    now = [0.0]
    turns: list[int] = []

    def way(number: int) -> Callable[..., None]:
        def go(units: NDArray[Any], matrix: NDArray[Any], out: NDArray[Any]) -> None:
            disturbed = 10.0 if number == best and turns.count(number) == 0 else 0.0
            turns.append(number)
            now[0] += (1.0 if number == best else 2.0) + disturbed

        return go

    fastest = Fastest([way(number) for number in range(3)], clock=lambda: now[0])
    small, large = np.zeros((4, 4), np.float32), np.zeros((2**18, 1), np.float32)
    fastest(small, small, small)
    assert turns == [0]
    for _ in range(40):
        fastest(small, large, small)
    assert turns[-6:] == [best] * 6
    fastest(small, small, small)
    assert turns[-1] == best
