"""Vectors the user brings: fitted to the column, checked, and mended by policy.

Called by ``conform``; knows Arrow and numpy and nothing of functions. In numpy the vectors of a
column are an array of shape ``(rows, ndims)``, or, where a row has several, one of objects, each an
array of shape ``(vectors, ndims)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from embow.engines.contract import VectorKind, row_vectors, vector_kind
from embow.errors import BadVectorError, ConfigurationError, DataError
from embow.schema._masks import as_mask as as_mask
from embow.schema._masks import bitmap_of
from embow.schema._masks import flags as flags
from embow.schema._masks import validity as validity

OnBadVectors = Literal["error", "drop", "fill", "null"]


@dataclass(frozen=True, slots=True)
class BadVectorPolicy:
    """What happens to vectors of the wrong length, or with NaN or infinity.

    Attributes:
        mode: ``error`` refuses the call; ``drop`` leaves the rows out; ``fill`` cuts or pads
            with ``fill_value`` and replaces unusable numbers by it; ``null`` stores no vector.
        fill_value: Number for ``fill``.
    """

    mode: OnBadVectors = "error"
    fill_value: float = 0.0

    def __post_init__(self) -> None:
        if self.mode not in get_args(OnBadVectors):
            raise ConfigurationError(
                f"on_bad_vectors={self.mode!r} is not known; use 'error', 'drop', 'fill' or 'null'."
            )
        if not isinstance(self.fill_value, (int, float)) or not math.isfinite(self.fill_value):
            raise ConfigurationError(f"fill_value={self.fill_value!r} must be a finite number.")

    @property
    def on_error(self) -> str | None:
        """What the policy says about vectors that a function makes; ``None`` where nothing."""
        return {"drop": "skip", "null": "null", "fill": "null"}.get(self.mode)


def vector_array(
    values: NDArray[Any], valid: NDArray[np.bool_], data_type: pa.DataType
) -> pa.Array:
    """Wrap vectors as an Arrow column, where they lie if they can stay there.

    Raises:
        DataError: A number does not fit the column.
    """
    kind = kind_of(data_type)
    if not kind.multi:
        return _fixed_lists(_checked(values, valid, kind), valid, data_type)
    there = [each for each, kept in zip(values, valid, strict=True) if kept]
    counts = np.zeros(len(values), np.int64)
    counts[valid] = list(map(len, there))
    matrix = np.concatenate(there) if there else np.empty((0, kind.ndims), kind.dtype)
    return _lists(_checked(matrix, None, kind), counts, valid, kind)


def _checked(
    matrix: NDArray[Any], valid: NDArray[np.bool_] | None, kind: VectorKind
) -> NDArray[Any]:
    """Return vectors in the numbers of a column, which hold all that are there."""
    if matrix.dtype == kind.dtype:
        return matrix
    numbers, fits = _as_numbers(matrix, kind.dtype)
    bad = np.flatnonzero(~fits if valid is None else ~fits & valid)
    if len(bad):
        raise DataError(
            f"A vector {_misfit(matrix[bad[0]], kind)}. Declare its column with a wider type."
        )
    return numbers


def vector_values(column: pa.Array) -> NDArray[Any]:
    """Return the vectors of a column; null rows hold junk."""
    vectors = row_vectors(column)
    if vectors.offsets is None:
        return vectors.matrix
    parts = np.empty(len(vectors), object)
    for row, matrix in enumerate(np.split(vectors.matrix, vectors.offsets[1:-1])):
        parts[row] = matrix
    return parts


def kind_of(data_type: pa.DataType) -> VectorKind:
    """Return the kind of a type that is known to be one of vectors."""
    kind = vector_kind(data_type)
    assert kind is not None
    return kind


def _fixed_lists(
    values: NDArray[Any], valid: NDArray[np.bool_] | None, data_type: pa.DataType
) -> pa.FixedSizeListArray:
    count, ndims = values.shape
    flat = np.ascontiguousarray(values, dtype=data_type.value_type.to_pandas_dtype()).reshape(-1)
    child = pa.Array.from_buffers(
        data_type.value_type, count * ndims, [None, pa.py_buffer(flat)], null_count=0
    )
    return pa.FixedSizeListArray.from_buffers(data_type, count, [_bitmap(valid)], children=[child])


def _lists(
    matrix: NDArray[Any], counts: NDArray[np.int64], valid: NDArray[np.bool_], kind: VectorKind
) -> pa.Array:
    """Return so many vectors a row, of those given one after the other."""
    data_type = kind.arrow_type
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64 if kind.large else np.int32)
    child = _fixed_lists(matrix, None, data_type.value_type)
    buffers = [_bitmap(valid), pa.py_buffer(offsets)]
    return pa.Array.from_buffers(data_type, len(counts), buffers, children=[child])


def _bitmap(valid: NDArray[np.bool_] | None) -> pa.Buffer | None:
    return None if valid is None or valid.all() else bitmap_of(valid)


Fitted = tuple[pa.Array, NDArray[np.bool_]]
"""A column, and which rows are to be kept."""


def fit_vectors(
    column: pa.Array, field: pa.Field, first_row: int, policy: BadVectorPolicy | None
) -> Fitted:
    """Fit vectors to a column.

    Args:
        column: A list of numbers or null a row; a list of such lists where a row has several.
        field: The column's Arrow field, of a type that has a kind.
        first_row: Position of the first row in the user's data, for messages.
        policy: What to do with bad vectors; ``None`` where the column holds other lists of numbers.

    Raises:
        BadVectorError: A vector is bad, and no policy says what to do with it.
    """
    kind = kind_of(field.type)
    fitted = (_fit_lists if kind.multi else _fit_matrix)(column, kind)
    if fitted is not None:
        return fitted, np.ones(len(column), dtype=np.bool_)
    array, present, keep = _fit_one_by_one(column.to_pylist(), field, first_row, policy)
    return vector_array(array, present, field.type), keep


def _fit_matrix(column: pa.Array, kind: VectorKind) -> pa.Array | None:
    """Return one vector a row, ``None`` where some are bad."""
    matrix, present = _as_matrix(column, kind.ndims), validity(column)
    if matrix is None:
        return None
    numbers, fits = _as_numbers(matrix, kind.dtype)
    return vector_array(numbers, present, kind.arrow_type) if fits[present].all() else None


def _fit_lists(column: pa.Array, kind: VectorKind) -> pa.Array | None:
    """Return several vectors a row, ``None`` where some are bad."""
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        return None
    vectors = column.flatten()  # Without what stands in the place of nulls.
    matrix = None if vectors.null_count else _as_matrix(vectors, kind.ndims)
    if matrix is None:
        return None
    numbers, fits = _as_numbers(matrix, kind.dtype)
    present = validity(column)
    counts = np.zeros(len(column), np.int64)
    counts[present] = pc.list_value_length(column.filter(as_mask(present))).to_numpy()
    return _lists(numbers, counts, present, kind) if fits.all() else None


def _as_matrix(column: pa.Array, ndims: int) -> NDArray[Any] | None:
    """Return vectors as one matrix where all are numbers of the right length."""
    kind = column.type
    if not hasattr(kind, "value_type") or not _is_number(kind.value_type):
        return None
    try:
        fixed = column.cast(pa.list_(kind.value_type, ndims))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return None if fixed.values.null_count else vector_values(fixed)


def _is_number(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_floating(data_type) or pa.types.is_integer(data_type))


def _as_numbers(matrix: NDArray[Any], dtype: np.dtype[Any]) -> tuple[NDArray[Any], Any]:
    """Return vectors in the numbers of a column, and which of them it can hold.

    That are those of finite numbers in its range; whole ones, where the column holds these.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = matrix.astype(dtype, copy=False)
    fits = np.isfinite(numbers) if dtype.kind == "f" else numbers == matrix
    return numbers, fits.all(axis=-1)


def _fit_one_by_one(
    values: Sequence[Any], field: pa.Field, first_row: int, policy: BadVectorPolicy | None
) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]:
    """Fit rows one after another, where some are null, unreadable or bad."""
    kind = kind_of(field.type)
    read: Callable[[Any, VectorKind, float | None], Read] = (
        _read_vectors if kind.multi else _read_vector
    )
    shape = len(values) if kind.multi else (len(values), kind.ndims)
    array = np.zeros(shape, dtype=object if kind.multi else kind.dtype)
    present = np.zeros(len(values), dtype=np.bool_)
    keep = np.ones(len(values), dtype=np.bool_)
    for row, value in enumerate(values):
        if value is None:
            continue
        vector, problem = read(value, kind, None)
        if problem is None:
            array[row], present[row] = vector, True
        elif policy is None or policy.mode == "error":
            raise _bad_vector(field.name, first_row + row, problem, policy)
        elif policy.mode == "drop":
            keep[row] = False
        elif policy.mode == "fill":
            array[row], present[row] = read(value, kind, policy.fill_value)[0], True
    return array, present, keep


Read = tuple[Any, str | None]
"""What a row holds, and what is wrong with it."""


def _read_vectors(value: Any, kind: VectorKind, fill: float | None) -> Read:
    """Return the vectors of one row; mended, where something to mend them with is given."""
    if not isinstance(value, list):
        return None, f"is not a list of vectors: {type(value).__name__}"
    read = [_read_vector(each, kind, fill) for each in value]
    problem = next((f"{at} {why}" for at, (_, why) in enumerate(read) if why), None)
    if problem is not None:
        return None, problem
    return np.array([each for each, _ in read], kind.dtype).reshape(-1, kind.ndims), None


def _read_vector(value: Any, kind: VectorKind, fill: float | None) -> Read:
    """Return one vector; mended, where something to mend it with is given."""
    try:
        wide = np.asarray(value)
        wide = wide if wide.dtype.kind in "fiu" else np.asarray(value, np.float64)
    except (ValueError, TypeError, OverflowError):
        wide = np.empty(0)
        if fill is None:
            return wide, f"is not a list of numbers: {type(value).__name__}"
    if fill is not None:
        return _filled(wide.reshape(-1), kind, fill), None
    if wide.shape != (kind.ndims,):
        return wide, f"has {wide.size} dimensions, the column has {kind.ndims}"
    numbers, fits = _as_numbers(wide, kind.dtype)
    return numbers, None if fits else _misfit(wide, kind)


def _misfit(vector: NDArray[Any], kind: VectorKind) -> str:
    """Say what a column cannot hold of a vector."""
    if not np.isfinite(vector).all():
        return "holds NaN or infinity"
    bad = next(x for x in vector if not _as_numbers(np.array([x]), kind.dtype)[1])
    whole = ", and the column holds whole numbers" if kind.dtype.kind != "f" else ""
    return f"holds {bad}, which does not fit {kind.dtype.name}{whole}"


def _filled(vector: NDArray[Any], kind: VectorKind, fill: float) -> NDArray[Any]:
    """Return a vector of the column's length; what it cannot hold is filled."""
    filled = np.full(kind.ndims, fill, dtype=np.float64)
    numbers, fits = _as_numbers(vector[: kind.ndims, None], kind.dtype)
    filled[: len(numbers)][fits] = numbers[fits, 0]
    mended, fits = _as_numbers(filled, kind.dtype)
    if not fits:
        raise ConfigurationError(
            f"fill_value={fill!r} does not fit {kind.dtype.name}, which the column holds."
        )
    return mended


def _bad_vector(
    column: str, row: int, problem: str, policy: BadVectorPolicy | None
) -> BadVectorError:
    others = "" if policy is None else ", or pass on_bad_vectors='drop', 'fill' or 'null'"
    return BadVectorError(
        f"Row {row}, column {column!r}: the vector {problem}. Nothing was stored. Mend the row"
        f"{others}."
    )
