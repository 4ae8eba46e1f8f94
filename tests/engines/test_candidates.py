"""What may be among the nearest is kept, however wrong the estimates are within their bounds."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embow.engines._local.distance import Piece, Scores
from embow.engines._local.nearest import Candidates
from embow.engines._local.vectors import Vectors

NO_VECTORS = cast("Vectors", None)


@given(
    seed=st.integers(0, 2**16),
    queries=st.sampled_from([1, 2, 9]),
    k=st.integers(1, 12),
    error=st.sampled_from([0.0, 0.01, 0.3, np.inf]),
    lower=st.sampled_from([None, 0.0, 0.5]),
    upper=st.sampled_from([None, 0.4, 1.0]),
    masked=st.booleans(),
    most=st.sampled_from([6, 400]),
)
def test_the_nearest_are_always_among_the_candidates(
    seed: int,
    queries: int,
    k: int,
    error: float,
    lower: float | None,
    upper: float | None,
    masked: bool,
    most: int,
) -> None:
    """Estimates lie as far off as they may; some rows are unknown, some do not count."""
    random = np.random.default_rng(seed)
    candidates = Candidates(queries, k, (lower, upper))
    wanted: list[list[tuple[float, int, int]]] = [[] for _ in range(queries)]
    for part in range(6):
        rows = int(random.integers(1, most))
        true = np.round(random.random((queries, rows)), 2).astype(np.float32)
        off = random.choice([-1, 0, 1], (queries, rows)) * (0 if np.isinf(error) else error)
        unknown = np.unique(random.integers(0, rows, 2))
        mask = random.random(rows) < 0.5 if masked else None
        distance = (true + off * 0.999).astype(np.float32)
        distance[:, unknown] = np.inf
        if np.isinf(error):  # Nothing is known of any row.
            distance[:] = 0
        counts = np.ones(rows, bool) if mask is None else mask
        known = unknown[counts[unknown]]
        scores = Scores(distance, np.full(queries, error), known, mask)
        candidates.add(scores, [Piece(part, NO_VECTORS, slice(0, rows), rows, mask)])
        usable = counts & (true >= (lower or 0)) & (true < (upper or 2))
        for query, row in np.argwhere(usable).tolist():
            wanted[query].append((float(true[query, row]), part, row))
    found = candidates.found()
    kept = set(zip(found.query.tolist(), found.part.tolist(), found.position.tolist(), strict=True))
    for query, each in enumerate(wanted):
        nearest = {(query, part, row) for _, part, row in sorted(each)[:k]}
        assert nearest <= kept
    assert found.query.tolist() == sorted(found.query.tolist())


@pytest.mark.parametrize("queries", [1, 3])
def test_what_is_far_away_is_not_kept(queries: int) -> None:
    """Of many rows little more than the nearest remain to be computed exactly."""
    candidates = Candidates(queries, 5, (None, None))
    for part in range(20):
        random = np.random.default_rng(part)
        scores = Scores(
            random.random((queries, 5000)).astype(np.float32),
            np.full(queries, 1e-6),
            np.empty(0, np.intp),
        )
        candidates.add(scores, [Piece(part, NO_VECTORS, slice(0, 5000), 5000)])
    assert len(candidates.found().query) < 8 * queries


def test_rows_that_may_fall_out_set_no_limit() -> None:
    """One that may lie below the range does not push another out that is within it."""
    candidates = Candidates(1, 1, (0.5, None))
    for part, distance in enumerate([0.45, 1.1]):  # In truth 0.45 and 0.9.
        scores = Scores(np.float32([[distance]]), np.array([0.3]), np.empty(0, np.intp))
        candidates.add(scores, [Piece(part, NO_VECTORS, slice(0, 1), 1)])
    assert 1 in candidates.found().part
