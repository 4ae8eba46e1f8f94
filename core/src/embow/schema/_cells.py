"""One Python value, checked and turned into what Arrow's buffers hold."""

from __future__ import annotations

import datetime as dt
import enum
import operator
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from embow.schema._scalars import encode_enum, scalar_type

_EPOCH = dt.datetime(1970, 1, 1)
_EPOCH_UTC = _EPOCH.replace(tzinfo=dt.UTC)
_EPOCH_ORDINAL = _EPOCH.toordinal()
_MICROSECOND = dt.timedelta(microseconds=1)
_PER_MICROSECOND = {"s": (1, 1_000_000), "ms": (1, 1_000), "us": (1, 1), "ns": (1_000, 1)}


class CellError(Exception):
    """A value that its column cannot hold.

    Attributes:
        position: Offset of the value among those given.
        reason: What is wrong with it.
        path: Names of the nested fields that lead to it.
    """

    def __init__(self, position: int, reason: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.position = position
        self.reason = reason
        self.path = path


def plain(value: Any) -> Any:
    """Return what an enum member, a numpy scalar or an Arrow scalar stands for."""
    if isinstance(value, enum.Enum):
        return encode_enum(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, pa.Scalar):
        return value.as_py()
    return value


@cache
def _converter(arrow: pa.DataType) -> Callable[[Any], Any]:
    """Return the function that checks one value and turns it into what the buffers hold."""
    if (number := _numeric_converter(arrow)) is not None:
        return number
    if pa.types.is_string(arrow) or pa.types.is_large_string(arrow):
        return _text
    if pa.types.is_decimal(arrow):
        return lambda value: _decimal(value, arrow)
    if pa.types.is_fixed_size_binary(arrow):
        return lambda value: _binary(value, arrow.byte_width)
    if pa.types.is_binary(arrow) or pa.types.is_large_binary(arrow):
        return _binary
    if pa.types.is_null(arrow):
        return _nothing
    raise CellError(0, f"values of type {arrow} cannot be made from Python; give Arrow data")


def _numeric_converter(arrow: pa.DataType) -> Callable[[Any], Any] | None:
    if pa.types.is_boolean(arrow):
        return _boolean
    if pa.types.is_integer(arrow):
        return _integer
    if pa.types.is_floating(arrow):
        return _float
    if pa.types.is_timestamp(arrow):
        return lambda value: _timestamp(value, arrow)
    if pa.types.is_date32(arrow):
        return _days
    if pa.types.is_date64(arrow):
        return lambda value: _days(value) * 86_400_000
    if pa.types.is_time(arrow):
        return lambda value: _time(value, arrow.unit)
    if pa.types.is_duration(arrow):
        return lambda value: _duration(value, arrow.unit)
    return None


def converted(values: Sequence[Any], arrow: pa.DataType) -> Sequence[Any]:
    """Return values as the buffers of a type hold them; nulls stay ``None``.

    Raises:
        CellError: A value does not fit the type.
    """
    convert = _converter(arrow)
    if set(map(type, values)) <= _READY.get(convert, {type(None)}):
        return values
    ready = []
    for position, value in enumerate(values):
        try:
            ready.append(None if value is None else convert(plain(value)))
        except (TypeError, ValueError, OverflowError) as exc:
            raise CellError(position, str(exc)) from exc
    return ready


def _refuse(value: Any, wanted: str) -> TypeError:
    return TypeError(f"{type(value).__name__} given where {wanted} is needed")


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _refuse(value, "a bool")


def _integer(value: Any) -> int:
    if isinstance(value, float):
        if value.is_integer():
            return int(value)
        raise ValueError(f"{value} is not a whole number")
    if hasattr(value, "__index__"):
        return operator.index(value)
    raise _refuse(value, "a whole number")


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise _refuse(value, "a number")
    return float(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return str.__str__(value)
    if not isinstance(value, type) and scalar_type(type(value), (), None) == pa.utf8():
        return str(value)
    raise _refuse(value, "text")


def _binary(value: Any, width: int | None = None) -> bytes:
    if isinstance(value, uuid.UUID):
        value = value.bytes
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise _refuse(value, "bytes")
    if width is not None and len(value) != width:
        raise ValueError(f"{len(value)} bytes given where {width} are needed")
    return bytes(value)


def _nothing(value: Any) -> None:
    raise _refuse(value, "None")


def _days(value: Any) -> int:
    if isinstance(value, dt.datetime):
        if value.time() != dt.time():
            raise ValueError(f"{value} has a time of day, and the column holds dates")
    elif not isinstance(value, dt.date):
        raise _refuse(value, "a date")
    days: int = value.toordinal() - _EPOCH_ORDINAL
    return days


def _timestamp(value: Any, arrow: pa.DataType) -> int:
    if not isinstance(value, dt.datetime):
        raise _refuse(value, "a datetime")
    if value.tzinfo is None and arrow.tz is not None:
        raise ValueError(
            f"{value} has no time zone, and the column holds instants ({arrow.tz}); "
            "give it one, as in datetime.now(timezone.utc)"
        )
    # A column without time zone holds UTC where the value knows its zone.
    since = value - (_EPOCH_UTC if value.tzinfo is not None else _EPOCH)
    # pandas' timestamps are datetimes that also count nanoseconds.
    nanoseconds: int = getattr(value, "nanosecond", 0) if arrow.unit == "ns" else 0
    instant: int = _ticks(since, arrow.unit) + nanoseconds
    return instant


def _time(value: Any, unit: str) -> int:
    if not isinstance(value, dt.time):
        raise _refuse(value, "a time")
    if value.tzinfo is not None:
        raise ValueError(f"{value} has a time zone, which a time column cannot hold")
    since = dt.timedelta(
        hours=value.hour,
        minutes=value.minute,
        seconds=value.second,
        microseconds=value.microsecond,
    )
    return _ticks(since, unit)


def _duration(value: Any, unit: str) -> int:
    if not isinstance(value, dt.timedelta):
        raise _refuse(value, "a timedelta")
    return _ticks(value, unit)


def _ticks(span: dt.timedelta, unit: str) -> int:
    times, per = _PER_MICROSECOND[unit]
    ticks, rest = divmod((span // _MICROSECOND) * times, per)
    if rest:
        raise ValueError(f"{span} is finer than the column's unit ({unit})")
    return ticks


def _decimal(value: Any, arrow: pa.DataType) -> bytes:
    """Return the two's complement of ``value * 10**scale``, exactly."""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise _refuse(value, "a Decimal")
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(f"{number} cannot be held by {arrow}")
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    unscaled = int("".join(map(str, digits)))
    shift = exponent + arrow.scale
    scaled, rest = (unscaled * 10**shift, 0) if shift >= 0 else divmod(unscaled, 10**-shift)
    if rest or scaled >= 10**arrow.precision:
        raise ValueError(
            f"{number} does not fit {arrow}; set max_digits and decimal_places on the field"
        )
    width: int = arrow.bit_width // 8
    signed: int = -scaled if sign else scaled
    return signed.to_bytes(width, "little", signed=True)


_READY: dict[Callable[[Any], Any], set[type]] = {
    _text: {str, type(None)},
    _integer: {int, type(None)},
    _float: {float, int, type(None)},
    _boolean: {bool, type(None)},
    _binary: {bytes, type(None)},
}
"""For each converter the types it would return as they are."""
