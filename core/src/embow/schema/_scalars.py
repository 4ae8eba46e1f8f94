"""Which Arrow type holds a plain Python type, an enum or a literal."""

from __future__ import annotations

import datetime as dt
import enum
import ipaddress
import uuid
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import cache
from pathlib import PurePath
from typing import Any

import pyarrow as pa
from pydantic import (
    AnyUrl,
    AwareDatetime,
    EmailStr,
    FutureDate,
    FutureDatetime,
    NaiveDatetime,
    PastDate,
    PastDatetime,
    SecretBytes,
    SecretStr,
)

DECIMAL_PRECISION = 38
DECIMAL_SCALE = 9
"""Digits of a ``Decimal`` without constraints: 38 in all, 9 of them after the point."""

_TIMESTAMP = pa.timestamp("us")

_EXACT: dict[Any, pa.DataType] = {
    AwareDatetime: pa.timestamp("us", tz="UTC"),
    NaiveDatetime: _TIMESTAMP,
    PastDatetime: _TIMESTAMP,
    FutureDatetime: _TIMESTAMP,
    PastDate: pa.date32(),
    FutureDate: pa.date32(),
    EmailStr: pa.utf8(),
}

# A subclass stands before its base: bool is an int, datetime is a date.
_BY_CLASS: tuple[tuple[type | tuple[type, ...], pa.DataType], ...] = (
    (bool, pa.bool_()),
    (int, pa.int64()),
    (float, pa.float64()),
    (str, pa.utf8()),
    (bytes, pa.binary()),
    (dt.datetime, _TIMESTAMP),
    (dt.date, pa.date32()),
    (dt.time, pa.time64("us")),
    (dt.timedelta, pa.duration("us")),
    (uuid.UUID, pa.utf8()),
    (PurePath, pa.utf8()),
    (AnyUrl, pa.utf8()),
    (
        (
            ipaddress.IPv4Address,
            ipaddress.IPv6Address,
            ipaddress.IPv4Network,
            ipaddress.IPv6Network,
            ipaddress.IPv4Interface,
            ipaddress.IPv6Interface,
        ),
        pa.utf8(),
    ),
)

_HINTS: tuple[tuple[Any, str], ...] = (
    (dict, "Say what it holds, as in dict[str, float], or use a nested Model."),
    (list, "Say what it holds, as in list[str]."),
    (set, "Say what it holds, as in set[str]."),
    (tuple, "Say what it holds: tuple[float, ...], or a nested Model where the parts differ."),
    (complex, "Use two float fields or a nested Model."),
    (SecretStr, "Secrets are not stored in tables; leave the field out."),
    (SecretBytes, "Secrets are not stored in tables; leave the field out."),
)


def scalar_type(python_type: Any, metadata: Iterable[Any], tz: str | None) -> pa.DataType | None:
    """Return the Arrow type of a plain Python type, or ``None`` where there is none."""
    arrow = _EXACT.get(python_type)
    if arrow is None and isinstance(python_type, type):
        if issubclass(python_type, Decimal):
            return decimal_type(metadata)
        arrow = next((a for base, a in _BY_CLASS if issubclass(python_type, base)), None)
    if arrow is not None and pa.types.is_timestamp(arrow) and tz is not None:
        return pa.timestamp("us", tz=tz)
    return arrow


def decimal_type(metadata: Iterable[Any]) -> pa.DataType:
    """Return the decimal type that ``max_digits`` and ``decimal_places`` ask for."""
    digits = places = None
    for item in metadata:
        digits = getattr(item, "max_digits", None) or digits
        found = getattr(item, "decimal_places", None)
        places = places if found is None else found
    precision = DECIMAL_PRECISION if digits is None else digits
    scale = min(DECIMAL_SCALE, precision) if places is None else places
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)


def common_type(values: Iterable[Any]) -> pa.DataType | None:
    """Return the Arrow type that holds all values of an enum or literal, or ``None``."""
    kinds = {type(value) for value in values}
    if kinds == {int, float}:
        return pa.float64()
    if len(kinds) != 1:
        return None
    simple = {str: pa.utf8(), int: pa.int64(), bool: pa.bool_(), float: pa.float64()}
    simple[bytes] = pa.binary()
    return simple.get(kinds.pop())


@cache
def enum_type(cls: type[enum.Enum]) -> tuple[pa.DataType, bool]:
    """Return the Arrow type of an enum and whether its members are stored by name.

    Members are stored by value where all values are text, numbers or bytes of one type, and by
    name otherwise. Plain text, not dictionary: every engine filters and stores it alike.
    """
    arrow = common_type(member.value for member in cls)
    return (pa.utf8(), True) if arrow is None else (arrow, False)


def encode_enum(member: enum.Enum) -> Any:
    """Return what is stored for an enum member."""
    return member.name if enum_type(type(member))[1] else member.value


def enum_decoder(cls: type[enum.Enum]) -> Callable[[Any], Any] | None:
    """Return what turns a stored value into something pydantic takes for the enum."""
    if not enum_type(cls)[1]:
        return None
    members = cls.__members__
    return lambda name: members.get(name, name)


def hint_for(python_type: Any) -> str:
    """Say what to use instead of a type that Arrow cannot hold."""
    if python_type is Any or python_type is object:
        return "Name the type the column holds."
    for base, hint in _HINTS:
        if isinstance(python_type, type) and issubclass(python_type, base):
            return hint
    if getattr(python_type, "__module__", "").startswith("numpy"):
        return "Use Vector(dim), list[float] or a plain Python number."
    return "Use a nested Model, or name the Arrow type: Annotated[..., pa.utf8()]."
