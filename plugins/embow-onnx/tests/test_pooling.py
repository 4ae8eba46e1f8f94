"""Pooling looks at tokens, never at padding."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from embow_onnx.pooling import Pooling, pool, unit_length

HIDDEN = np.array([[[1, -4], [3, -2], [9, 9]], [[5, 1], [6, 2], [7, 3]]], dtype=np.float32)
MASK = np.array([[1, 1, 0], [1, 1, 1]], dtype=np.int64)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("mean", [[2, -3], [6, 2]]),
        ("cls", [[1, -4], [5, 1]]),
        ("max", [[3, -2], [7, 3]]),
        ("lasttoken", [[3, -2], [7, 3]]),
    ],
)
def test_pooling(pooling: Any, expected: list[list[float]]) -> None:
    """Each kind gives the vectors worked out by hand."""
    np.testing.assert_allclose(pool(HIDDEN, MASK, pooling), expected)


@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_padding_does_not_count(pooling: Any) -> None:
    """What stands where the padding is changes nothing."""
    other = HIDDEN.copy()
    other[0, 2] = np.nan if pooling != "mean" else 1e6
    np.testing.assert_array_equal(pool(other, MASK, pooling), pool(HIDDEN, MASK, pooling))


def test_unit_length_leaves_zero_alone() -> None:
    """A zero vector stays zero and is not divided by zero."""
    vectors = np.array([[3, 4], [0, 0]], dtype=np.float32)
    np.testing.assert_allclose(unit_length(vectors), [[0.6, 0.8], [0, 0]])
