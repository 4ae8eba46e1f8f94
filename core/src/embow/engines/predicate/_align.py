"""Bringing two operands to types that Arrow's kernels compare exactly."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import TypeAlias

import pyarrow as pa

from embow.engines.predicate import _constants as constants
from embow.engines.predicate._tree import Literal

Operand: TypeAlias = pa.Array | pa.Scalar
_WIDE = pa.decimal128(38, 0)


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


_VIEWS = {"string_view": pa.large_string(), "binary_view": pa.large_binary()}


def align_arrays(left: pa.Array, right: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return two arrays ready for a comparison."""
    if left.type == right.type:
        return left, right
    types = (left.type, right.type)
    if any(map(pa.types.is_null, types)):
        known = right.type if pa.types.is_null(left.type) else left.type
        return left.cast(known), right.cast(known)
    numeric = [_is_number(each) for each in types]
    if all(numeric):
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
    if value is None or pa.types.is_null(arrow_type):
        return array, constants.scalar(None, arrow_type)
    if isinstance(value, dt.datetime | dt.date):
        return _align_moment(array, value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _align_number(array, value)
    return array, constants.scalar(value, arrow_type)


def _align_number(array: pa.Array, value: float) -> tuple[pa.Array, pa.Scalar]:
    arrow_type = array.type
    if pa.types.is_floating(arrow_type):
        return array, constants.scalar(float(value), arrow_type)
    if pa.types.is_decimal(arrow_type):
        exact = Decimal(repr(value))
        wanted = constants.decimal_type(exact) if exact.is_finite() else None
        if wanted is None or wanted.precision - wanted.scale > 38 - arrow_type.scale:
            return array.cast(pa.float64()), constants.scalar(float(value), pa.float64())
        return array, constants.scalar(exact, wanted)
    if isinstance(value, float) and not value.is_integer():
        return array.cast(pa.float64(), safe=False), constants.scalar(value, pa.float64())
    whole = int(value)
    low, high = _integer_range(arrow_type)
    if low <= whole <= high:
        return array, constants.scalar(whole, arrow_type)
    whole = max(-(10**37), min(10**37, whole))
    return array.cast(_WIDE), constants.scalar(Decimal(whole), _WIDE)


def _align_moment(array: pa.Array, value: dt.date) -> tuple[pa.Array, pa.Scalar]:
    if pa.types.is_date(array.type):
        if not isinstance(value, dt.datetime):
            return array, constants.scalar(value, array.type)
        array = array.cast(pa.timestamp("s"))
    unit = constants.timestamp_unit(value, array.type.unit)
    wanted = pa.timestamp(unit)
    return array.cast(wanted, safe=False), constants.scalar(value, wanted)


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
