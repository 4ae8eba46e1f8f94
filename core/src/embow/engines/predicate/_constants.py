"""Arrow scalars made from Python values without ``pa.scalar``, which imports pandas."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa

from embow.engines.predicate._tree import Constant

_UNITS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_INT64 = 2**63
_EPOCH = dt.datetime(1970, 1, 1)


def scalar(value: Constant, arrow_type: pa.DataType) -> pa.Scalar:
    """Return one value of a primitive, decimal, text or binary type."""
    if value is None:
        return pa.nulls(1, arrow_type)[0]
    if isinstance(value, str | bytes):
        return _variable(value.encode() if isinstance(value, str) else value, arrow_type)
    if isinstance(value, bool):
        return _fixed(bytes([value]), arrow_type)
    if isinstance(value, Decimal):
        digits = int(value.scaleb(arrow_type.scale).to_integral_value())
        return _fixed(digits.to_bytes(16, "little", signed=True), arrow_type)
    if isinstance(value, int | float):
        return _fixed(np.array([value], arrow_type.to_pandas_dtype()).tobytes(), arrow_type)
    return _fixed(_ticks(value, arrow_type), arrow_type)


def timestamp_unit(value: dt.date, unit: str) -> str:
    """Return the coarsest unit, from the column's own, that holds a moment exactly."""
    ticks = microseconds(value) * _UNITS_PER_SECOND[unit]
    exact = ticks % 10**6 == 0 and -_INT64 <= ticks // 10**6 < _INT64
    return unit if exact else "us"


def microseconds(value: dt.date) -> int:
    """Return a date or naive moment as microseconds since 1970."""
    if not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
    return (value - _EPOCH) // dt.timedelta(microseconds=1)


def decimal_type(value: Decimal) -> pa.DataType:
    """Return the smallest decimal type that holds a value."""
    _, digits, exponent = value.as_tuple()
    scale = max(0, -int(exponent))
    return pa.decimal128(max(1, len(digits) + max(0, int(exponent)), scale), scale)


def _ticks(value: dt.date | dt.time, arrow_type: pa.DataType) -> bytes:
    if isinstance(value, dt.time):
        moment = dt.datetime.combine(_EPOCH.date(), value)
    elif isinstance(value, dt.datetime):
        moment = value
    else:
        moment = dt.datetime(value.year, value.month, value.day)
    if pa.types.is_date32(arrow_type):
        return np.int32((moment - _EPOCH).days).tobytes()
    ticks = microseconds(moment) * _UNITS_PER_SECOND[arrow_type.unit] // 10**6
    return ticks.to_bytes(arrow_type.bit_width // 8, "little", signed=True)


def _fixed(data: bytes, arrow_type: pa.DataType) -> pa.Scalar:
    return pa.Array.from_buffers(arrow_type, 1, [None, pa.py_buffer(data)])[0]


def _variable(data: bytes, arrow_type: pa.DataType) -> pa.Scalar:
    offsets = pa.py_buffer(np.array([0, len(data)], np.int64).tobytes())
    wide = pa.large_string() if _is_text(arrow_type) else pa.large_binary()
    made = pa.Array.from_buffers(wide, 1, [None, offsets, pa.py_buffer(data)])
    return made.cast(arrow_type)[0]


def _is_text(arrow_type: pa.DataType) -> bool:
    return bool(pa.types.is_string(arrow_type) or pa.types.is_large_string(arrow_type))
