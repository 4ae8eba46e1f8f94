"""One Python value, checked and turned into what Arrow's buffers hold."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Callable, Sequence
from decimal import Context, Decimal, Inexact
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from embow.schema._scalars import encode_enum, scalar_type

_EPOCH = dt.datetime(1970, 1, 1)
_EPOCH_UTC = _EPOCH.replace(tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_EXACT = Context(prec=200, traps=[Inexact])
"""Digits enough for any decimal that Arrow holds, and for many that it does not."""
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


def converted(values: Sequence[Any], arrow: pa.DataType) -> Sequence[Any]:
    """Return values as the buffers of a type hold them, text apart; nulls stay ``None``.

    Raises:
        CellError: A value does not fit the type.
    """
    convert = _converter(arrow)
    if set(map(type, values)) <= _READY.get(convert, {type(None)}):
        return values
    ready = []
    for position, value in enumerate(values):
        try:
            ready.append(None if value is None else convert(plain(value), arrow))
        except (TypeError, ValueError, ArithmeticError) as exc:
            raise CellError(position, str(exc)) from exc
    return ready


def _refuse(value: Any, wanted: str) -> TypeError:
    return TypeError(f"{type(value).__name__} given where {wanted} is needed")


def _boolean(value: Any, arrow: pa.DataType) -> bool:
    if isinstance(value, bool):
        return value
    raise _refuse(value, "a bool")


def _integer(value: Any, arrow: pa.DataType) -> int:
    if isinstance(value, float):
        if value.is_integer():
            return int(value)
        raise ValueError(f"{value} is not a whole number")
    if not hasattr(value, "__index__"):
        raise _refuse(value, "a whole number")
    return int(value)


def _float(value: Any, arrow: pa.DataType) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise _refuse(value, "a number")
    return float(value)


def _text(value: Any, arrow: pa.DataType) -> str:
    if isinstance(value, str):
        return str.__str__(value)
    if not isinstance(value, type) and scalar_type(type(value), (), None) == pa.utf8():
        return str(value)
    # As Arrow writes them: a column of a DataFrame is turned into text by a cast.
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        number = pa.py_buffer(np.array([value], np.float64))
        return str(pa.Array.from_buffers(pa.float64(), 1, [None, number]).cast(arrow)[0].as_py())
    raise _refuse(value, "text")


def _binary(value: Any, arrow: pa.DataType) -> bytes:
    if isinstance(value, uuid.UUID):
        value = value.bytes
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise _refuse(value, "bytes")
    return bytes(value)


def _sized_binary(value: Any, arrow: pa.DataType) -> bytes:
    data = _binary(value, arrow)
    if len(data) != arrow.byte_width:
        raise ValueError(f"{len(data)} bytes given where {arrow.byte_width} are needed")
    return data


def _nothing(value: Any, arrow: pa.DataType) -> None:
    raise TypeError(
        f"{type(value).__name__} given where no row had a value so far, so that the column has no "
        'type yet. Give it one: alter_columns({"path": name, "data_type": pa.string()})'
    )


def _days(value: Any, arrow: pa.DataType) -> int:
    if isinstance(value, dt.datetime):
        if value.time() != dt.time():
            raise ValueError(f"{value} has a time of day, and the column holds dates")
    elif not isinstance(value, dt.date):
        raise _refuse(value, "a date")
    days: int = value.toordinal() - _EPOCH.toordinal()
    return days if pa.types.is_date32(arrow) else days * 86_400_000


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


def _time(value: Any, arrow: pa.DataType) -> int:
    if not isinstance(value, dt.time):
        raise _refuse(value, "a time")
    if value.tzinfo is not None:
        raise ValueError(f"{value} has a time zone, which a time column cannot hold")
    return _ticks(dt.datetime.combine(_EPOCH, value) - _EPOCH, arrow.unit)


def _duration(value: Any, arrow: pa.DataType) -> int:
    if not isinstance(value, dt.timedelta):
        raise _refuse(value, "a timedelta")
    return _ticks(value, arrow.unit)


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
    scaled = number.scaleb(arrow.scale, _EXACT)
    if scaled != scaled.to_integral_value() or scaled.adjusted() >= arrow.precision:
        raise ValueError(
            f"{number} does not fit {arrow}; set max_digits and decimal_places on the field"
        )
    return int(scaled).to_bytes(arrow.bit_width // 8, "little", signed=True)


_CONVERTERS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any, pa.DataType], Any]], ...] = (
    (pa.types.is_boolean, _boolean),
    (pa.types.is_integer, _integer),
    (pa.types.is_floating, _float),
    (pa.types.is_string, _text),
    (pa.types.is_large_string, _text),
    (pa.types.is_timestamp, _timestamp),
    (pa.types.is_date, _days),
    (pa.types.is_time, _time),
    (pa.types.is_duration, _duration),
    (pa.types.is_decimal, _decimal),
    (pa.types.is_binary, _binary),
    (pa.types.is_large_binary, _binary),
    (pa.types.is_fixed_size_binary, _sized_binary),
    (pa.types.is_null, _nothing),
)


@cache
def _converter(arrow: pa.DataType) -> Callable[[Any, pa.DataType], Any]:
    """Return the function that checks one value and turns it into what the buffers hold."""
    for test, convert in _CONVERTERS:
        if test(arrow):
            return convert
    raise CellError(0, f"values of type {arrow} cannot be made from Python; give Arrow data")


_READY: dict[Any, set[type]] = {
    _text: {str, type(None)},
    _integer: {int, type(None)},
    _float: {float, int, type(None)},
    _boolean: {bool, type(None)},
    _binary: {bytes, type(None)},
}
"""For each converter the types it would return as they are."""
