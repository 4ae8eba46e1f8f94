"""Vectors the user brings: fitted to the column, checked, and mended by policy.

Called by ``conform``; knows Arrow and numpy and nothing of functions or engines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.errors import BadVectorError, ConfigurationError
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
) -> pa.FixedSizeListArray:
    """Wrap an array of shape ``(rows, dimensions)`` as an Arrow column without copying it."""
    count, ndims = values.shape
    flat = np.ascontiguousarray(values, dtype=data_type.value_type.to_pandas_dtype()).reshape(-1)
    child = pa.Array.from_buffers(
        data_type.value_type, count * ndims, [None, pa.py_buffer(flat)], null_count=0
    )
    nulls = int(count - np.count_nonzero(valid))
    bitmap = bitmap_of(valid) if nulls else None
    return pa.FixedSizeListArray.from_buffers(
        data_type, count, [bitmap], null_count=nulls, children=[child]
    )


def vector_values(column: pa.FixedSizeListArray) -> NDArray[Any]:
    """Return a vector column as an array of shape ``(rows, dimensions)``; null rows hold junk."""
    size = column.type.list_size
    child = column.values
    data_type = np.dtype(child.type.to_pandas_dtype())
    start = (child.offset + column.offset * size) * data_type.itemsize
    flat = np.frombuffer(
        child.buffers()[1], dtype=data_type, count=len(column) * size, offset=start
    )
    return flat.reshape(len(column), size)


def fit_vectors(
    column: pa.Array, field: pa.Field, first_row: int, policy: BadVectorPolicy | None
) -> tuple[pa.FixedSizeListArray, NDArray[np.bool_]]:
    """Fit vectors to a column.

    Args:
        column: A list of numbers or null a row.
        field: The column's Arrow field, a fixed-size list.
        first_row: Position of the first row in the user's data, for messages.
        policy: What to do with bad vectors; ``None`` where the column holds other lists of numbers.

    Returns:
        The column, and which rows are to be kept.

    Raises:
        BadVectorError: A vector is bad, and no policy says what to do with it.
    """
    array, present = _as_matrix(column, field.type), validity(column)
    keep = np.ones(len(column), dtype=np.bool_)
    if array is None or (present & ~np.isfinite(array).all(axis=1)).any():
        array, present, keep = _fit_one_by_one(column.to_pylist(), field, first_row, policy)
    return vector_array(array, present, field.type), keep


def _as_matrix(column: pa.Array, wanted: pa.DataType) -> NDArray[Any] | None:
    """Return vectors as one matrix where all are numbers of the right length.

    A number too large for the column's becomes infinite, and so is found by who looks for that.
    """
    kind = column.type
    if not hasattr(kind, "value_type") or not _is_number(kind.value_type):
        return None
    try:
        fixed = column.cast(pa.list_(kind.value_type, wanted.list_size))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    if fixed.values.null_count:
        return None
    with np.errstate(over="ignore"):
        return vector_values(fixed).astype(wanted.value_type.to_pandas_dtype(), copy=False)


def _is_number(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_floating(data_type) or pa.types.is_integer(data_type))


def _fit_one_by_one(
    values: Sequence[Any], field: pa.Field, first_row: int, policy: BadVectorPolicy | None
) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]:
    """Fit rows one after another, where some are null, unreadable or bad."""
    ndims = field.type.list_size
    data_type = np.dtype(field.type.value_type.to_pandas_dtype())
    array = np.zeros((len(values), ndims), dtype=data_type)
    present = np.zeros(len(values), dtype=np.bool_)
    keep = np.ones(len(values), dtype=np.bool_)
    for row, value in enumerate(values):
        if value is None:
            continue
        vector, problem = _read_vector(value, ndims, data_type)
        if problem is None:
            array[row], present[row] = vector, True
        elif policy is None or policy.mode == "error":
            raise _bad_vector(field.name, first_row + row, problem, policy)
        elif policy.mode == "drop":
            keep[row] = False
        elif policy.mode == "fill":
            array[row], present[row] = _filled(vector, ndims, policy.fill_value), True
    return array, present, keep


def _read_vector(value: Any, ndims: int, data_type: np.dtype[Any]) -> tuple[Any, str | None]:
    """Return one vector and what is wrong with it."""
    try:
        with np.errstate(over="ignore"):
            vector = np.asarray(value, dtype=data_type)
    except (ValueError, TypeError, OverflowError):
        return np.empty(0, data_type), f"is not a list of numbers: {type(value).__name__}"
    if vector.shape != (ndims,):
        return vector.reshape(-1), f"has {vector.size} dimensions, the column has {ndims}"
    if np.issubdtype(data_type, np.floating) and not np.isfinite(vector).all():
        return vector, "holds NaN or infinity"
    return vector, None


def _filled(vector: Any, ndims: int, fill_value: float) -> NDArray[Any]:
    filled = np.full(ndims, fill_value, dtype=vector.dtype)
    count = min(ndims, vector.size)
    filled[:count] = vector[:count]
    if np.issubdtype(vector.dtype, np.floating):
        filled[~np.isfinite(filled)] = fill_value
    return filled


def _bad_vector(
    column: str, row: int, problem: str, policy: BadVectorPolicy | None
) -> BadVectorError:
    others = "" if policy is None else ", or pass on_bad_vectors='drop', 'fill' or 'null'"
    return BadVectorError(
        f"Row {row}, column {column!r}: the vector {problem}. Nothing was stored. Mend the row"
        f"{others}."
    )
