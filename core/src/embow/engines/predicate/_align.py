"""Bringing two operands to types that Arrow's kernels compare exactly."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from embow.engines.predicate._tree import Constant, Literal
from embow.schema._arrays import array_of

Operand: TypeAlias = pa.Array | pa.Scalar
_WIDE = pa.decimal128(38, 0)
_VIEWS = {"string_view": pa.large_string(), "binary_view": pa.large_binary()}
_INEXACT = (pa.types.is_decimal, pa.types.is_time32, pa.types.is_null)
"""Types that hold some of the constants they compare with, and not others."""


def scalar(value: Constant, arrow_type: pa.DataType) -> pa.Scalar:
    """Return one value of a type, without ``pa.scalar``, which imports pandas."""
    return array_of([value], arrow_type)[0]


def plain(array: pa.Array) -> pa.Array:
    """Return an array without dictionary, zone, view layout or half precision."""
    arrow_type = array.type
    if pa.types.is_dictionary(arrow_type):
        return plain(array.dictionary_decode())
    if pa.types.is_timestamp(arrow_type) and arrow_type.tz is not None:
        return array.cast(pa.timestamp(arrow_type.unit))
    if pa.types.is_date64(arrow_type):
        return array.cast(pa.date32())
    if pa.types.is_float16(arrow_type):
        return array.cast(pa.float32())
    if str(arrow_type) in _VIEWS:
        return array.cast(_VIEWS[str(arrow_type)])
    if pa.types.is_fixed_size_binary(arrow_type):
        return array.cast(pa.binary())
    return array


def align_arrays(left: pa.Array, right: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return two arrays ready for a comparison."""
    if left.type == right.type:
        return left, right
    types = (left.type, right.type)
    if any(map(pa.types.is_null, types)):
        known = right.type if pa.types.is_null(left.type) else left.type
        return left.cast(known), right.cast(known)
    if all(map(_is_number, types)):
        target = _common_number(*types)
        return left.cast(target, safe=False), right.cast(target, safe=False)
    if any(map(pa.types.is_timestamp, types)):
        dates = [pa.types.is_date(each) for each in types]
        if any(dates):
            unit = pa.timestamp("s")
            return (left.cast(unit), right) if dates[0] else (left, right.cast(unit))
    return left, right


def align_literal(array: pa.Array, literal: Literal) -> tuple[pa.Array, pa.Scalar]:
    """Return an array and a literal ready for a comparison, exactly where the types allow it.

    A decimal literal compared with a float32 column is rounded to float32 first, so that
    ``x = 0.1`` finds the rows into which 0.1 was written.
    """
    value, arrow_type = literal.value, array.type
    (exact,) = exact_values([value], arrow_type)
    if exact is not None or value is None or pa.types.is_null(arrow_type):
        return array, scalar(exact, arrow_type)
    if isinstance(value, int | float | Decimal):
        return _align_number(array, value)
    if isinstance(value, dt.timedelta):
        unit = pa.duration("us")
        return array.cast(unit, safe=False), scalar(value, unit)
    if isinstance(value, dt.time):
        return array.cast(pa.time64("us")), scalar(value, pa.time64("us"))
    # A moment finer than the column's unit, or one beside a column of dates.
    fine = value.microsecond if isinstance(value, dt.datetime) else 0
    unit = pa.timestamp("us" if fine or not pa.types.is_date(arrow_type) else "s")
    return array.cast(unit, safe=False), scalar(_moment(value), unit)


def exact_values(values: Sequence[Constant], arrow_type: pa.DataType) -> list[Any]:
    """Return constants as a type holds them; ``None`` where they can only be compared as another.

    Args:
        values: Constants that are comparable with the type.
        arrow_type: Type of a column without dictionary, zone, view layout or half precision.
    """
    convert: Callable[[Any], Any] = _same
    if pa.types.is_integer(arrow_type):
        convert = partial(_whole, *_integer_range(arrow_type))
    elif pa.types.is_floating(arrow_type):
        convert = partial(_rounded, arrow_type.to_pandas_dtype())
    elif pa.types.is_timestamp(arrow_type):
        convert = partial(_instant, arrow_type.unit)
    elif pa.types.is_date(arrow_type):
        convert = _day
    elif pa.types.is_duration(arrow_type):
        convert = partial(_length, arrow_type.unit)
    elif any(test(arrow_type) for test in _INEXACT):
        convert = _nothing
    return [None if value is None else convert(value) for value in values]


def _same(value: Any) -> Any:
    return value


def _nothing(_value: Any) -> None:
    return None


def _whole(low: int, high: int, value: float | Decimal) -> int | None:
    if not isinstance(value, int) and not _is_whole(value):
        return None
    whole = int(value)
    return whole if low <= whole <= high else None


def _is_whole(value: float | Decimal) -> bool:
    return value.is_integer() if isinstance(value, float) else value % 1 == 0


def _rounded(dtype: Any, value: float) -> float:
    with np.errstate(over="ignore"):
        return float(dtype(value)) + 0.0  # So that -0 is 0.


def _day(value: dt.date) -> dt.date | None:
    return None if isinstance(value, dt.datetime) else value


def _instant(unit: str, value: dt.date) -> dt.datetime | None:
    moment = _moment(value)
    if unit == "ns":
        return moment if _NANO[0] < moment < _NANO[1] else None
    step = {"s": 1_000_000, "ms": 1_000}.get(unit, 1)
    return None if moment.microsecond % step else moment


def _length(unit: str, value: dt.timedelta) -> dt.timedelta | None:
    step = {"s": 1_000_000, "ms": 1_000}.get(unit, 1)
    far = unit == "ns" and abs(value) > dt.timedelta(days=106_751)
    return None if far or value.microseconds % step else value


_NANO = (dt.datetime(1677, 9, 22), dt.datetime(2262, 4, 11))


def _moment(value: Any) -> dt.datetime:
    if isinstance(value, dt.datetime):
        return value
    return dt.datetime(value.year, value.month, value.day)


def _align_number(array: pa.Array, value: float | Decimal) -> tuple[pa.Array, pa.Scalar]:
    arrow_type = array.type
    if pa.types.is_decimal(arrow_type):
        exact = value if isinstance(value, Decimal) else Decimal(repr(value))
        wanted = _decimal_type(exact)
        if wanted is None or wanted.precision - wanted.scale > 38 - arrow_type.scale:
            return array.cast(pa.float64()), scalar(float(value), pa.float64())
        return array, scalar(exact, wanted)
    if not _is_whole(value):
        return array.cast(pa.float64(), safe=False), scalar(float(value), pa.float64())
    whole = max(-(10**37), min(10**37, int(value)))
    return array.cast(_WIDE), scalar(Decimal(whole), _WIDE)


def _decimal_type(value: Decimal) -> pa.DataType | None:
    """Return the smallest decimal type that holds a value, if one does."""
    if not value.is_finite():
        return None
    _, digits, exponent = value.as_tuple()
    scale = max(0, -int(exponent))
    precision = max(1, len(digits) + max(0, int(exponent)), scale)
    return pa.decimal128(precision, scale) if precision <= 38 else None


def _integer_range(arrow_type: pa.DataType) -> tuple[int, int]:
    bits = arrow_type.bit_width
    if pa.types.is_signed_integer(arrow_type):
        return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return 0, 2**bits - 1


def _is_number(arrow_type: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(test(arrow_type) for test in tests)


def _common_number(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    if any(pa.types.is_floating(each) for each in (left, right)):
        return pa.float64()
    scales = [each.scale if pa.types.is_decimal(each) else 0 for each in (left, right)]
    wholes = [
        each.precision - each.scale
        if pa.types.is_decimal(each)
        else math.ceil(each.bit_width * math.log10(2))
        for each in (left, right)
    ]
    if max(scales) == 0 and max(wholes) < 19:
        return pa.int64()
    return pa.decimal256(min(76, max(wholes) + max(scales)), max(scales))
