"""Joining two lists by ranks or scores, beside the same written as plain loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embow.errors import ConfigurationError, UnsupportedOperationError
from embow.rerankers import LinearCombinationReranker, MRRReranker, Reranker, RRFReranker
from embow.rerankers._base import columns_read

Scored = list[tuple[int, float]]


def nearest(rows: Scored) -> pa.Table:
    """Return the result of a vector search."""
    return _result(rows, "_distance")


def fitting(rows: Scored) -> pa.Table:
    """Return the result of a text search."""
    return _result(rows, "_score")


def _result(rows: Scored, measure: str) -> pa.Table:
    ids = [row_id for row_id, _ in rows]
    return pa.table(
        {
            "_rowid": pa.array(ids, pa.int64()),
            "text": pa.array([f"text {row_id}" for row_id in ids], pa.string()),
            measure: pa.array([value for _, value in rows], pa.float32()),
        }
    )


def scored(result: pa.Table) -> dict[int, float]:
    """Return the relevance of each row, in order."""
    return {row["_rowid"]: row["_relevance_score"] for row in result.to_pylist()}


NEAR = nearest([(1, 0.1), (2, 0.4), (3, 1.0)])
FIT = fitting([(3, 1.0), (4, 0.5), (1, 0.0)])


@pytest.mark.parametrize(
    ("reranker", "expected"),
    [
        (RRFReranker(), {1: 0.032266457, 3: 0.032266457, 2: 0.01612903, 4: 0.01612903}),
        (LinearCombinationReranker(), {1: 0.63, 2: 0.42, 3: 0.30, 4: 0.15}),
        (LinearCombinationReranker(weight=0.3, fill=0.5), {3: 0.7, 2: 0.53, 4: 0.5, 1: 0.27}),
        (MRRReranker(), {1: 2 / 3, 3: 2 / 3, 2: 0.25, 4: 0.25}),
        (MRRReranker(0.7, 0.3), {1: 0.8, 3: 0.53333336, 2: 0.35, 4: 0.15}),
    ],
    ids=["rrf", "linear", "linear .3", "mrr", "mrr .7"],
)
def test_scores_are_lancedbs(reranker: Reranker, expected: dict[int, float]) -> None:
    """Scores and order are those that LanceDB 0.40 gives for the same two results."""
    found = scored(reranker.rerank_hybrid("q", NEAR, FIT))
    assert list(found) == list(expected)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("reranker", "near", "fit"),
    [
        (RRFReranker(), [1 / 61, 1 / 62, 1 / 63], [1 / 61, 1 / 62, 1 / 63]),
        (LinearCombinationReranker(), [0.9, 0.6, 0.0], [1.0, 0.5, 0.0]),
        (MRRReranker(), [0.5, 0.25, 1 / 6], [0.5, 0.25, 1 / 6]),
    ],
    ids=["rrf", "linear", "mrr"],
)
def test_one_empty_half_leaves_the_other(
    reranker: Reranker, near: list[float], fit: list[float]
) -> None:
    """Where one half finds nothing the other's rows come in its order, as in LanceDB."""
    none_near, none_fit = NEAR.slice(0, 0), FIT.slice(0, 0)
    alone = scored(reranker.rerank_hybrid("q", NEAR, none_fit))
    assert alone == pytest.approx(dict(zip([1, 2, 3], near, strict=True)))
    alone = scored(reranker.rerank_hybrid("q", none_near, FIT))
    assert alone == pytest.approx(dict(zip([3, 4, 1], fit, strict=True)))
    empty = reranker.rerank_hybrid("q", none_near, none_fit)
    assert empty.num_rows == 0
    assert empty.schema.field("_relevance_score").type == pa.float32()


def test_weights_say_what_each_list_counts() -> None:
    """A weighted fusion of ranks; there is one weight for each list."""
    weighted = scored(RRFReranker(weights=(0.7, 0.3)).rerank_hybrid("q", NEAR, FIT))
    assert weighted[1] == pytest.approx(0.7 / 61 + 0.3 / 63)
    with pytest.raises(ConfigurationError, match="2 weights for 3 results"):
        RRFReranker(weights=(0.7, 0.3)).rerank_multivector([NEAR, NEAR, NEAR])


def test_all_scores_are_returned_where_asked_for() -> None:
    """``return_score="all"`` keeps what both halves said, null where one did not find the row."""
    rows = RRFReranker(return_score="all").rerank_hybrid("q", NEAR, FIT).to_pylist()
    found = {row["_rowid"]: (row["_distance"], row["_score"]) for row in rows}
    assert found[1] == (pytest.approx(0.1), 0.0)
    assert found[2] == (pytest.approx(0.4), None)
    assert found[4] == (None, 0.5)
    shown = RRFReranker().rerank_hybrid("q", NEAR, FIT).schema.names
    assert shown == ["_rowid", "text", "_relevance_score"]


def test_several_vector_searches_are_joined() -> None:
    """Of several results each row comes once; RRF adds up, MRR takes the mean over all lists."""
    second = NEAR.slice(1)
    found = scored(RRFReranker().rerank_multivector([NEAR, second], "q"))
    assert found == pytest.approx({2: 1 / 62 + 1 / 61, 3: 1 / 63 + 1 / 62, 1: 1 / 61})
    found = scored(MRRReranker().rerank_multivector([NEAR, second]))
    assert found == pytest.approx({2: 0.75, 1: 0.5, 3: 5 / 12})
    for reranker in (RRFReranker(), MRRReranker()):
        with pytest.raises(ValueError, match="must not be empty"):
            reranker.rerank_multivector([])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RRFReranker(K=0), "K must be greater than 0"),
        (lambda: RRFReranker(weights=(1, -1)), "must not be negative"),
        (lambda: RRFReranker(return_score="score"), "either 'relevance' or 'all'"),  # type: ignore[arg-type]
        (lambda: MRRReranker(0.5, 0.6), "must equal 1.0"),
        (lambda: LinearCombinationReranker(weight=2), "between 0 and 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Callable[[], Any], message: str) -> None:
    """The message names the setting."""
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_one_list_is_not_joined() -> None:
    """Arithmetic over lists says so where there is one."""
    with pytest.raises(UnsupportedOperationError, match=r"RRFReranker.*a vector search"):
        RRFReranker().rerank_vector("q", NEAR)
    with pytest.raises(NotImplementedError, match=r"a text search.*hybrid"):
        MRRReranker().rerank_fts("q", FIT)


@pytest.mark.parametrize("kind", [RRFReranker, MRRReranker, LinearCombinationReranker])
def test_no_row_is_read_unless_a_subclass_looks_at_it(kind: type[Reranker]) -> None:
    """Arithmetic reads ids and numbers; a subclass that changes a method is handed the rows."""

    class Looks(kind):  # type: ignore[misc, valid-type]
        """Changes the method."""

        def rerank_hybrid(self, query: str, vector_results: Any, fts_results: Any) -> Any:
            """Do as the base."""
            return super().rerank_hybrid(query, vector_results, fts_results)

    assert columns_read(kind(), "rerank_hybrid") == ()
    assert columns_read(Looks(), "rerank_hybrid") is None


def test_rows_are_told_apart_by_their_ids() -> None:
    """A result without ``_rowid`` is refused with what to do."""
    with pytest.raises(ConfigurationError, match=r"with_row_id\(\)"):
        RRFReranker().rerank_hybrid("q", NEAR.drop_columns("_rowid"), FIT)


# -- beside plain loops -------------------------------------------------------------------

numbers = st.floats(0, 1, width=32)
lists = st.lists(
    st.tuples(st.integers(0, 12), numbers), max_size=12, unique_by=lambda pair: pair[0]
)


def plain(
    parts: Sequence[tuple[dict[int, float], float]], first: Sequence[int]
) -> list[tuple[int, float]]:
    """Return rows and scores, the best first: a loop over dictionaries."""
    scores = {row: sum(gains.get(row, absent) for gains, absent in parts) for row in first}
    return sorted(scores.items(), key=lambda pair: -pair[1])


def order_of(near: Scored, fit: Scored) -> list[int]:
    """Return the rows of two lists, each once, as they come."""
    return list(dict.fromkeys(row for row, _ in [*near, *fit]))


def agrees(result: pa.Table, expected: list[tuple[int, float]]) -> None:
    """Fail where scores differ, or two rows whose scores differ stand the wrong way around."""
    found = scored(result)
    assert found == pytest.approx(dict(expected), abs=1e-6)
    assert result.column("_relevance_score").to_pylist() == sorted(found.values(), reverse=True)


@given(near=lists, fit=lists, k=st.integers(1, 100), weights=st.tuples(numbers, numbers))
def test_rrf_is_a_sum_over_ranks(
    near: Scored, fit: Scored, k: int, weights: tuple[float, float]
) -> None:
    """For any two lists, the scores are those of a loop."""
    parts = [
        ({row: weight / (k + rank) for rank, (row, _) in enumerate(rows, 1)}, 0.0)
        for rows, weight in zip((near, fit), weights, strict=True)
    ]
    reranker = RRFReranker(K=k, weights=weights)
    found = reranker.rerank_hybrid("q", nearest(near), fitting(fit))
    agrees(found, plain(parts, order_of(near, fit)))


@given(near=lists, fit=lists, weight=st.floats(0, 1), fill=st.floats(0, 1))
def test_the_linear_combination_is_a_weighted_sum(
    near: Scored, fit: Scored, weight: float, fill: float
) -> None:
    """For any two lists, the scores are those of a loop."""
    used = weight if near and fit else float(bool(near))
    parts = [
        ({row: used * (1 - value) for row, value in near}, used * (1 - fill)),
        ({row: (1 - used) * value for row, value in fit}, (1 - used) * (1 - fill)),
    ]
    reranker = LinearCombinationReranker(weight, fill)
    found = reranker.rerank_hybrid("q", nearest(near), fitting(fit))
    agrees(found, plain(parts, order_of(near, fit)))


@given(several=st.lists(lists, min_size=1, max_size=4))
def test_mrr_is_a_mean_over_lists(several: list[Scored]) -> None:
    """For any number of lists, the scores are those of a loop."""
    share = 1 / len(several)
    parts = [
        ({row: share / rank for rank, (row, _) in enumerate(rows, 1)}, 0.0) for rows in several
    ]
    first = list(dict.fromkeys(row for rows in several for row, _ in rows))
    found = MRRReranker().rerank_multivector([nearest(rows) for rows in several])
    agrees(found, plain(parts, first))


@given(near=lists, fit=lists)
def test_merging_keeps_each_row_once_with_all_that_is_known(near: Scored, fit: Scored) -> None:
    """Rows come in the order they first stand in; both halves' numbers are kept, else null."""
    merged = RRFReranker().merge_results(nearest(near), fitting(fit))
    distances, scores = dict(near), dict(fit)
    rows = merged.to_pylist()
    assert [row["_rowid"] for row in rows] == order_of(near, fit)
    for row in rows:
        assert row["_distance"] == distances.get(row["_rowid"])
        assert row["_score"] == scores.get(row["_rowid"])
        assert row["text"] == f"text {row['_rowid']}"
    assert not np.isnan([row["_score"] or 0.0 for row in rows]).any()
