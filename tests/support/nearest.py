"""Nearest neighbours as anyone would compute them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from embow.engines.contract import Metric

METRICS: tuple[Metric, ...] = ("l2", "cosine", "dot")


def brute_force(
    matrix: NDArray[Any], query: NDArray[np.float32], metric: Metric
) -> NDArray[np.float32]:
    """Return distances by the documented formulas, in float64."""
    rows, one = matrix.astype(np.float64), query.astype(np.float64)
    with np.errstate(all="ignore"):
        if metric == "l2":
            return ((rows - one) ** 2).sum(axis=1).astype(np.float32)
        products = (rows * one).sum(axis=1)
        if metric == "dot":
            return (1 - products).astype(np.float32)
        lengths = np.sqrt((rows**2).sum(axis=1)) * np.sqrt((one**2).sum())
        cosine = np.where(lengths > 0, products / np.where(lengths > 0, lengths, 1), 0)
        return np.clip(1 - cosine, 0, 2).astype(np.float32)
