"""From one vector a token to one vector a text."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Pooling = Literal["mean", "cls", "max", "lasttoken"]
Floats = NDArray[np.float32]

_TINY = 1e-12
"""Smallest length divided by, as in torch's ``normalize``."""


def pool(hidden: Floats, mask: NDArray[np.int64], pooling: Pooling) -> Floats:
    """Return one vector a text.

    Args:
        hidden: Token vectors, shape ``(texts, tokens, n)``.
        mask: 1 for a token, 0 for padding at the end, shape ``(texts, tokens)``.
        pooling: How the tokens of a text are put together.

    Returns:
        Array of shape ``(texts, n)``.
    """
    pooled: Floats
    if pooling == "cls":
        pooled = hidden[:, 0]
    elif pooling == "lasttoken":
        pooled = hidden[np.arange(len(hidden)), mask.sum(axis=1) - 1]
    elif pooling == "max":
        pooled = np.max(hidden, axis=1, where=mask[:, :, None] == 1, initial=-np.inf)
    else:
        pooled = _mean(hidden, mask)
    return pooled


def _mean(hidden: Floats, mask: NDArray[np.int64]) -> Floats:
    weights = mask.astype(np.float32)
    weights /= weights.sum(axis=1, keepdims=True)
    averaged: Floats = np.matmul(weights[:, None, :], hidden)[:, 0]
    return averaged


def unit_length(vectors: Floats) -> Floats:
    """Return the vectors scaled to length 1; a zero vector stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Floats = vectors / np.maximum(lengths, _TINY)
    return scaled
