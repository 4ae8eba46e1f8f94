"""Vectors for tests: made from the words of a text, so that alike texts get alike vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

_OWN_WEIGHT = 0.2
"""Share of a text's own random direction: keeps texts of the same words apart."""


def text_vector(text: str, ndims: int) -> Vectors:
    """Return the unit vector of one text, float32 of shape ``(ndims,)``.

    Texts that share words point in a similar direction; two different texts never agree.
    """
    total = _direction(f"\0{text}", ndims) * _OWN_WEIGHT
    for word in text.lower().split():
        total = total + _word_direction(word, ndims)
    return np.asarray(total / np.linalg.norm(total), dtype=np.float32)


def embed_values(values: Sequence[Any], ndims: int) -> Vectors:
    """Return unit vectors of any values, shape ``(n, ndims)``; text counts, else its repr."""
    rows = [text_vector(v if isinstance(v, str) else repr(v), ndims) for v in values]
    return np.stack(rows) if rows else np.empty((0, ndims), dtype=np.float32)


@lru_cache(maxsize=2048)
def _word_direction(word: str, ndims: int) -> Vectors:
    return _direction(word, ndims)


def _direction(key: str, ndims: int) -> Vectors:
    digest = hashlib.shake_128(key.encode(errors="surrogatepass")).digest(2 * ndims)
    values = np.frombuffer(digest, dtype="<i2").astype(np.float32) + np.float32(0.5)
    return np.asarray(values / np.linalg.norm(values), dtype=np.float32)
