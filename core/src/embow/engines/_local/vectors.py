"""Vector columns as matrices, and the norms stored beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines.contract import row_vectors

NORM_SUFFIX = ".norm"
"""Added to the stored name of a vector column: the stored Euclidean norms, float32."""

_TAME = (1e-15, 1e15)

_OUTLIER = 64
"""Times the median norm of a block."""

_TINY = 1e-40
_CONVERTED = 4096
"""Rows turned to float64 at a time."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """The vectors of one block.

    Attributes:
        matrix: Shape ``(vectors, dimensions)``, as stored; a view of mapped memory.
        norms: Euclidean norms, float32, shape ``(vectors,)``.
        divisors: The same with 1 for 0, to divide by.
        valid: Which of them are there, and not null; ``None`` when all are.
        odd: Positions whose norm is so large, small or not finite that float32 scores cannot be
            trusted, or would spoil the error bound of the others.
        reach: Largest norm of the others.
        offsets: Where the vectors of each row begin, and where the last ones end; ``None``: one a
            row.
    """

    matrix: NDArray[Any]
    norms: NDArray[np.float32]
    divisors: NDArray[np.float32]
    valid: NDArray[np.bool_] | None
    odd: NDArray[np.intp]
    reach: float
    offsets: NDArray[np.int64] | None = None


def make_vectors(array: pa.Array, norms: pa.Array | None, path: str = "") -> Vectors:
    """Return the vectors of a column; norms are computed where none are stored.

    Args:
        array: The column.
        norms: What is stored beside it.
        path: Of the vectors, where the column holds structs.
    """
    found = row_vectors(array, path)
    matrix = found.matrix
    lengths = _norms(matrix) if norms is None else _flat(norms, np.dtype(np.float32))
    long = lengths > 0
    divisors = lengths if long.all() else np.where(long, lengths, np.float32(1))
    return Vectors(matrix, lengths, divisors, found.valid, *_bounds(lengths), found.offsets)


def _bounds(lengths: NDArray[np.float32]) -> tuple[NDArray[np.intp], float]:
    plain = is_tame(lengths) | (lengths == 0)
    if plain.any():
        plain &= lengths <= _OUTLIER * max(float(np.median(lengths[plain])), _TAME[0])
    reach = float(lengths[plain].max(initial=0))
    return np.flatnonzero(~plain), reach


def is_tame(norms: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which vectors neither overflow nor vanish when float32 numbers are squared."""
    return (norms > _TAME[0]) & (norms < _TAME[1])


def norm_array(array: pa.Array) -> pa.Array:
    """Return the norms of a vector column, to be stored beside it."""
    norms = _norms(row_vectors(array).matrix)
    return pa.Array.from_buffers(pa.float32(), len(norms), [None, pa.py_buffer(norms)])


def _flat(array: pa.Array, dtype: np.dtype[Any]) -> NDArray[Any]:
    buffer = array.buffers()[-1]
    if buffer is None:
        return np.zeros(len(array), dtype)
    return np.frombuffer(buffer, dtype)[array.offset : array.offset + len(array)]


def _norms(matrix: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        if matrix.dtype != np.float32:
            return _norms_float64(matrix)
        squares = np.einsum("ij,ij->i", matrix, matrix)
        norms: NDArray[np.float32] = np.sqrt(squares)
        odd = np.flatnonzero(~is_tame(norms))
        if len(odd):
            norms[odd] = _norms_float64(matrix[odd])
    return norms


def _norms_float64(matrix: NDArray[Any]) -> NDArray[np.float32]:
    norms = np.empty(len(matrix), np.float32)
    for start in range(0, len(matrix), _CONVERTED):
        wide = matrix[start : start + _CONVERTED].astype(np.float64)
        exact = np.sqrt(np.einsum("ij,ij->i", wide, wide))
        # What is not zero must not become zero in float32: zero has a meaning of its own.
        norms[start : start + _CONVERTED] = np.where(exact > 0, np.maximum(exact, _TINY), exact)
    return norms
