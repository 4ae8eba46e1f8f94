"""What is searched for, as vectors: one query or several, of one vector each or of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines.contract import VectorKind
from embow.errors import BadVectorError

NOTHING = "There is nothing to search for: the list is empty. search() without it reads rows."

_MAY_BE = (int, float, np.number, Sequence, np.ndarray)
_ARE_NOT = (str, bytes)
"""Types of what a vector, or a list of vectors, may and may not hold."""


@dataclass(frozen=True, slots=True)
class Queries:
    """Vectors as a column compares them.

    Attributes:
        vectors: Of all queries, shape ``(vectors, ndims)``.
        sizes: How many of them each query has; ``None``: one each.
        several: Whether the user asked for several things, told apart in the result.
    """

    vectors: NDArray[Any]
    sizes: tuple[int, ...] | None
    several: bool

    def __len__(self) -> int:
        return len(self.vectors) if self.sizes is None else len(self.sizes)


@dataclass(frozen=True, slots=True)
class Asked:
    """Vectors as the user gave them.

    What a matrix stands for shows where the column is known: several queries, or, where a row has
    several vectors, one query of several.

    Attributes:
        arrays: Shape ``(vectors, ndims)`` each; several only where lists of matrices were given.
        depth: 1 for one vector, 2 for a matrix, 3 for several matrices.
    """

    arrays: tuple[NDArray[Any], ...]
    depth: int

    @property
    def ndims(self) -> int:
        """Length of the vectors."""
        return int(self.arrays[0].shape[1])

    def __str__(self) -> str:
        shapes = [each.shape if self.depth > 1 else each.shape[1:] for each in self.arrays]
        return f"<vectors {', '.join(map(str, shapes))}>"

    def fits(self, kind: VectorKind) -> bool:
        """Return whether vectors of this kind can be compared with these."""
        return self.ndims == kind.ndims and (kind.multi or self.depth < 3)

    def on(self, kind: VectorKind) -> Queries:
        """Return the queries that these are for a kind of column.

        Raises:
            BadVectorError: A number is larger than those of the column can be.
        """
        vectors = _numbers(np.concatenate(self.arrays), kind)
        if not kind.multi:
            return Queries(vectors, None, self.depth == 2)
        return Queries(vectors, tuple(map(len, self.arrays)), self.depth == 3)


def queries_of(vectors: NDArray[Any], *, several: bool) -> Queries:
    """Return the queries whose vectors a function made, an array of one or several for each."""
    if vectors.dtype != object:
        return Queries(vectors, None, several)
    return Queries(np.concatenate(list(vectors)), tuple(map(len, vectors)), several)


def asked(query: Any) -> Asked | None:
    """Return the vectors that a query is, ``None`` where it is something else.

    Raises:
        BadVectorError: They hold NaN or infinity, or there are none.
    """
    if isinstance(query, (pa.Array, pa.ChunkedArray)):
        query = query.to_pylist()
    if isinstance(query, np.ndarray) and query.dtype.kind in "fiu":
        return _checked([query], query.ndim) if query.ndim in (1, 2, 3) else None
    if not isinstance(query, (Sequence, np.ndarray)) or isinstance(query, (str, bytes, bytearray)):
        return None
    if not len(query):
        raise BadVectorError(NOTHING)
    types = set(map(type, query))  # Of values there may be thousands, of types there are few.
    if not all(issubclass(each, _MAY_BE) and not issubclass(each, _ARE_NOT) for each in types):
        return None
    try:
        array = _read(query)
        if array is not None:
            return _checked([array], array.ndim) if array.ndim in (1, 2, 3) else None
        parts = [_read(each) for each in query]
    except OverflowError as exc:
        raise BadVectorError("The query vector holds a number that is too large.") from exc
    matrices = [each for each in parts if each is not None and each.ndim == 2]
    same = len(matrices) == len(parts) and len({each.shape[1] for each in matrices}) == 1
    return _checked(matrices, 3) if same else None


def _read(numbers: Any) -> NDArray[np.float64] | None:
    """Return lists of equal lengths as an array, ``None`` where they are none."""
    try:
        return np.asarray(numbers, dtype=np.float64)
    except (ValueError, TypeError):
        return None


def _checked(arrays: list[NDArray[Any]], depth: int) -> Asked:
    found: list[NDArray[Any]] = []
    for array in arrays:
        if not array.size:
            raise BadVectorError(NOTHING)
        if not np.isfinite(array).all():
            raise BadVectorError("The query vector holds NaN or infinity.")
        found.extend(array if array.ndim == 3 else [array])
    if not found:
        raise BadVectorError(NOTHING)
    return Asked(tuple(map(np.atleast_2d, found)), depth)


def _numbers(vectors: NDArray[Any], kind: VectorKind) -> NDArray[Any]:
    """Return vectors as float32; as float64 where the column's numbers need as many digits."""
    if kind.dtype.itemsize == 8:
        return vectors.astype(np.float64)
    with np.errstate(over="ignore"):
        single: NDArray[np.float32] = vectors.astype(np.float32)
    if not np.isfinite(single).all():
        raise BadVectorError("The query vector holds a number that is too large.")
    return single
