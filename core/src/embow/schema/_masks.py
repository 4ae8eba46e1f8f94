"""Truth values between Arrow and numpy, without the pandas that pyarrow would import."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def bitmap_of(chosen: NDArray[np.bool_]) -> pa.Buffer:
    """Return truth values as Arrow keeps them."""
    return pa.py_buffer(np.packbits(chosen, bitorder="little"))


def as_mask(chosen: NDArray[np.bool_]) -> pa.BooleanArray:
    """Return truth values as a column."""
    return pa.Array.from_buffers(pa.bool_(), len(chosen), [None, bitmap_of(chosen)])


def flags(column: pa.Array) -> NDArray[np.bool_]:
    """Return a column of truth values as an array; nulls hold junk."""
    stop = column.offset + len(column)
    packed = np.frombuffer(column.buffers()[1] or b"", dtype=np.uint8)
    return np.unpackbits(packed, count=stop, bitorder="little")[column.offset :].view(np.bool_)


def validity(column: pa.Array) -> NDArray[np.bool_]:
    """Return which rows of a column are not null."""
    if 0 < column.null_count < len(column):
        return flags(column.is_valid())
    return np.full(len(column), not column.null_count)
