"""Arrow arrays of numbers, text and times from Python values, straight into buffers.

``pyarrow.array`` imports pandas wherever it is installed, half a second before the first row of
a process, and truncates, parses or drops some values in silence. These builders do neither.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.schema._cells import CellError, converted

_NUMPY: dict[pa.DataType, Any] = {
    pa.int8(): np.int8,
    pa.int16(): np.int16,
    pa.int32(): np.int32,
    pa.int64(): np.int64,
    pa.uint8(): np.uint8,
    pa.uint16(): np.uint16,
    pa.uint32(): np.uint32,
    pa.uint64(): np.uint64,
    pa.float16(): np.float16,
    pa.float32(): np.float32,
    pa.float64(): np.float64,
}


_BYTES = frozenset((pa.utf8(), pa.large_utf8(), pa.binary(), pa.large_binary()))


def validity(values: Sequence[Any]) -> tuple[NDArray[np.bool_], pa.Buffer | None]:
    """Return which values are not null, as a mask and as an Arrow bitmap (``None`` if all)."""
    if type(None) not in set(map(type, values)):
        return np.ones(len(values), dtype=np.bool_), None
    mask = np.fromiter((value is not None for value in values), dtype=np.bool_, count=len(values))
    return mask, pa.py_buffer(np.packbits(mask, bitorder="little"))


def offsets_of(cells: Sequence[Any], dtype: type[np.signedinteger[Any]]) -> NDArray[Any]:
    """Return where each cell begins in the cells joined, and where the last one ends.

    Raises:
        CellError: The cells joined are longer than the offset type can say.
    """
    ends = np.zeros(len(cells) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, cells), dtype=np.int64, count=len(cells)), out=ends[1:])
    limit = np.iinfo(dtype).max
    if ends[-1] > limit:
        bad = int(np.searchsorted(ends, limit, side="right")) - 1
        raise CellError(
            bad, f"the column holds over {limit:,} bytes or items; add fewer rows at once"
        )
    return ends.astype(dtype)


def numpy_type(arrow: pa.DataType) -> Any:
    """Return the numpy type of an Arrow number type, ``None`` for other types."""
    return _NUMPY.get(arrow)


def build_leaf(values: Sequence[Any], arrow: pa.DataType) -> pa.Array:
    """Return an Arrow array of a type without children.

    Raises:
        CellError: A value does not fit the type.
    """
    cells = converted(values, arrow)
    if pa.types.is_boolean(arrow):
        return _booleans(cells, arrow)
    if pa.types.is_floating(arrow):
        return _floats(cells, arrow)
    if arrow in _BYTES:
        return _bytes(cells, arrow)
    if pa.types.is_fixed_size_binary(arrow) or pa.types.is_decimal(arrow):
        return _fixed(cells, arrow)
    if pa.types.is_null(arrow):
        return pa.nulls(len(cells))
    return _integers(cells, arrow)


# -- from checked values to buffers ---------------------------------------------------------


def _booleans(values: Sequence[Any], arrow: pa.DataType) -> pa.Array:
    bits = np.fromiter((value is True for value in values), dtype=np.bool_, count=len(values))
    _, bitmap = validity(values)
    data = pa.py_buffer(np.packbits(bits, bitorder="little"))
    return pa.Array.from_buffers(arrow, len(values), [bitmap, data])


def _integers(values: Sequence[Any], arrow: pa.DataType) -> pa.Array:
    _, bitmap = validity(values)
    width = np.dtype(f"i{arrow.bit_width // 8}") if arrow not in _NUMPY else np.dtype(_NUMPY[arrow])
    filled = values if bitmap is None else [0 if v is None else v for v in values]
    limits = np.iinfo(width)
    if len(filled) and (min(filled) < limits.min or max(filled) > limits.max):
        bad = next(i for i, v in enumerate(filled) if not limits.min <= v <= limits.max)
        raise CellError(bad, f"{filled[bad]} does not fit {arrow}")
    data = pa.py_buffer(np.array(filled, dtype=width))
    return pa.Array.from_buffers(arrow, len(values), [bitmap, data])


def _floats(values: Sequence[Any], arrow: pa.DataType) -> pa.Array:
    _, bitmap = validity(values)
    filled = values if bitmap is None else [0.0 if v is None else v for v in values]
    try:
        wide = np.array(filled, dtype=np.float64)
    except OverflowError as exc:
        bad = next(i for i, v in enumerate(filled) if abs(v) > sys.float_info.max)
        raise CellError(bad, f"a number of {len(str(filled[bad]))} digits is too large") from exc
    data = narrow(wide, _NUMPY[arrow])
    return pa.Array.from_buffers(arrow, len(wide), [bitmap, pa.py_buffer(data)])


def narrow(wide: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """Cast numbers to ``dtype``; a finite number that becomes infinite is refused."""
    if wide.dtype == dtype:
        return wide
    with np.errstate(over="ignore"):
        data = wide.astype(dtype)
    lost = np.isinf(data) & np.isfinite(wide)
    if lost.any():
        bad = int(np.flatnonzero(lost)[0])
        raise CellError(bad, f"{wide.flat[bad]} does not fit {np.dtype(dtype).name}")
    return data


def _bytes(values: Sequence[Any], arrow: pa.DataType) -> pa.Array:
    _, bitmap = validity(values)
    wide = pa.types.is_large_string(arrow) or pa.types.is_large_binary(arrow)
    try:
        cells = [b"" if v is None else v if isinstance(v, bytes) else v.encode() for v in values]
    except UnicodeEncodeError as exc:
        reason = f"the text is not valid Unicode: {exc.reason}"
        raise CellError(values.index(exc.object), reason) from exc
    offsets = offsets_of(cells, np.int64 if wide else np.int32)
    buffers = [bitmap, pa.py_buffer(offsets), pa.py_buffer(b"".join(cells))]
    return pa.Array.from_buffers(arrow, len(cells), buffers)


def _fixed(values: Sequence[Any], arrow: pa.DataType) -> pa.Array:
    _, bitmap = validity(values)
    blank = bytes(arrow.bit_width // 8)
    data = b"".join(blank if value is None else value for value in values)
    return pa.Array.from_buffers(arrow, len(values), [bitmap, pa.py_buffer(data)])
