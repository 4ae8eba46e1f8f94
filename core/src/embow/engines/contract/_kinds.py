"""Kinds of vector: what a column holds a row, where it lies, and what it is compared by.

A row of a column has one vector, or, in a *multi-vector* column, any number of them. Either way a
query is one vector or several, and its distance to a row is the sum, over the query's vectors, of
the distance to the nearest vector of the row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow._processes import cached_property
from embow.engines._paths import places_of
from embow.schema._masks import validity

Mask = NDArray[np.bool_]

Metric = Literal["l2", "cosine", "dot", "hamming"]
"""``l2`` is the squared Euclidean distance, ``cosine`` is 1 - cosine similarity, ``dot`` is
1 - inner product, ``hamming`` the number of bits that differ: in each, smaller is nearer."""

METRICS: tuple[Metric, ...] = get_args(Metric)
_OF_NUMBERS: tuple[Metric, ...] = ("l2", "cosine", "dot")


@dataclass(frozen=True)
class VectorKind:
    """How a column keeps vectors.

    Attributes:
        ndims: Numbers of a vector; bytes, where they are packed bits.
        value_type: Arrow type of the numbers.
        multi: Whether a row has a list of vectors.
        large: Whether that list has 64-bit offsets.
    """

    ndims: int
    value_type: pa.DataType
    multi: bool = False
    large: bool = False

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type of the numbers."""
        numbers: np.dtype[Any] = np.dtype(self.value_type.to_pandas_dtype())
        return numbers

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """What such vectors can be compared by; the first where nothing is said.

        Bytes may be packed bits, which only ``hamming`` compares, and that is their first.
        """
        return ("hamming", *_OF_NUMBERS) if self.dtype == np.uint8 else _OF_NUMBERS

    @property
    def arrow_type(self) -> pa.DataType:
        """The type of the column."""
        one = pa.list_(self.value_type, self.ndims)
        if not self.multi:
            return one
        return pa.large_list(one) if self.large else pa.list_(one)

    @property
    def nbytes(self) -> int:
        """Bytes of one vector."""
        return self.ndims * self.dtype.itemsize

    def resized(self, ndims: int) -> VectorKind:
        """Return the same kind for vectors of another length."""
        return replace(self, ndims=ndims)

    def __str__(self) -> str:
        return f"{'lists of ' if self.multi else ''}{self.ndims} x {self.value_type}"


@lru_cache(1024)
def vector_kind(arrow_type: pa.DataType) -> VectorKind | None:
    """Return how a column of this type keeps vectors; ``None`` where it keeps none."""
    large = pa.types.is_large_list(arrow_type)
    if large or pa.types.is_list(arrow_type):
        one = vector_kind(arrow_type.value_type)
        return None if one is None or one.multi else replace(one, multi=True, large=large)
    if not pa.types.is_fixed_size_list(arrow_type) or arrow_type.list_size == 0:
        return None
    value = arrow_type.value_type
    if not (pa.types.is_floating(value) or pa.types.is_integer(value)):
        return None
    return VectorKind(arrow_type.list_size, value)


def is_vector(arrow_type: pa.DataType) -> bool:
    """Return whether a column of this type holds one vector a row."""
    kind = vector_kind(arrow_type)
    return kind is not None and not kind.multi


@lru_cache(256)
def vector_kinds(schema: pa.Schema) -> dict[str, VectorKind]:
    """Return every vector column of a schema, those within structs by their path, ``image.small``.

    Columns of the schema itself come first.
    """
    found = dict(_kinds_of(schema, ""))
    return dict(sorted(found.items(), key=lambda each: each[0] not in schema.names))


def _kinds_of(fields: Any, before: str) -> Iterator[tuple[str, VectorKind]]:
    for field in fields:
        kind = vector_kind(field.type)
        if kind is not None:
            yield before + field.name, kind
        elif pa.types.is_struct(field.type):
            yield from _kinds_of(field.type, f"{before}{field.name}.")


@dataclass(frozen=True, slots=True)
class RowVectors:
    """The vectors of some rows.

    Attributes:
        matrix: Shape ``(vectors, ndims)``, in the numbers of the column.
        valid: Vectors that can be compared; ``None``: all.
        offsets: Where the vectors of each row begin, and where the last ones end, shape
            ``(rows + 1,)``; ``None``: one a row.
    """

    matrix: NDArray[Any]
    valid: Mask | None = None
    offsets: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.matrix) if self.offsets is None else len(self.offsets) - 1

    def take(self, rows: NDArray[np.intp]) -> RowVectors:
        """Return the vectors of some rows, copied."""
        if self.offsets is None:
            valid = None if self.valid is None else self.valid[rows]
            return RowVectors(self.matrix[rows], valid)
        starts, counts = self.offsets[rows], np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        at = np.repeat(starts - offsets[:-1], counts) + np.arange(offsets[-1])
        return RowVectors(self.matrix[at], None if self.valid is None else self.valid[at], offsets)


def row_vectors(column: pa.Array, path: str = "") -> RowVectors:
    """Return the vectors of an Arrow column without copying their numbers.

    Args:
        column: A vector column, or the column of structs that has one.
        path: Of the vector column, from the name of ``column`` on; it may be left out for a vector
            column itself.
    """
    valid = _there(column)
    for at in places_of(column.type, path) or ():
        column = column.field(at)
        valid = _both(valid, _there(column))
    if pa.types.is_fixed_size_list(column.type):
        return RowVectors(*_fixed(column, valid))
    offsets = _offsets(column)
    inner = column.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
    lists = None if valid is None else np.repeat(valid, np.diff(offsets))
    return RowVectors(*_fixed(inner, _both(lists, _there(inner))), offsets - offsets[0])


def _offsets(column: pa.Array) -> NDArray[np.int64]:
    """Return where the lists of a column begin among its values, and where the last one ends."""
    buffer = column.buffers()[1]
    if buffer is None:
        return np.zeros(len(column) + 1, np.int64)
    wide = pa.types.is_large_list(column.type)
    every = np.frombuffer(buffer, np.int64 if wide else np.int32)
    return every[column.offset : column.offset + len(column) + 1].astype(np.int64)


def _fixed(column: pa.Array, valid: Mask | None) -> tuple[NDArray[Any], Mask | None]:
    """Return fixed lists as a matrix, and which hold numbers only."""
    size, dtype = column.type.list_size, np.dtype(column.type.value_type.to_pandas_dtype())
    numbers = column.values.slice(column.offset * size, len(column) * size)
    whole = _there(numbers)
    if whole is not None:
        valid = _both(valid, np.asarray(whole.reshape(-1, size).all(axis=1)))
    buffer = numbers.buffers()[-1]
    if buffer is None:
        return np.zeros((len(column), size), dtype), valid
    flat = np.frombuffer(buffer, dtype)[numbers.offset : numbers.offset + len(numbers)]
    return flat.reshape(len(column), size), valid


def _there(array: pa.Array) -> Mask | None:
    return validity(array) if array.null_count else None


def _both(one: Mask | None, other: Mask | None) -> Mask | None:
    if one is None or other is None:
        return other if one is None else one
    return np.asarray(one & other)
