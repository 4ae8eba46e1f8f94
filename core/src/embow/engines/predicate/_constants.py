"""From a value of Python, or from digits and quotes, to a literal of the tree."""

from __future__ import annotations

import datetime as dt
import enum
import re
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa

from embow.engines.predicate._tree import Literal
from embow.engines.predicate._typing import common_type
from embow.errors import PredicateError

_MICRO = pa.timestamp("us")
_TYPES: tuple[tuple[type[Any], pa.DataType], ...] = (
    (bool, pa.bool_()),
    (int, pa.int64()),
    (float, pa.float64()),
    (str, pa.string()),
    (bytes, pa.binary()),
    (dt.datetime, _MICRO),
    (dt.date, pa.date32()),
    (dt.time, pa.time64("us")),
    (dt.timedelta, pa.duration("us")),
)


def constant(value: Any) -> Literal:
    """Return a value of Python as a literal; a list, tuple, set or array as one of a list.

    Raises:
        PredicateError: Nothing in a table is of that type, or a list holds unlike values.
    """
    if isinstance(value, (list, tuple, set, frozenset, np.ndarray)):
        return _list(list(value))
    value = _plain(value)
    if value is None:
        return Literal(None, pa.null())
    if isinstance(value, Decimal):
        return _decimal(value)
    for kind, arrow_type in _TYPES:
        if isinstance(value, kind):
            return Literal(value, arrow_type)
    raise PredicateError(
        f"A value of type {type(value).__name__} cannot be bound: {value!r:.60}. Bind None, bool, "
        "int, float, Decimal, str, bytes, a date, time, datetime or timedelta, or a list of those."
    )


def _plain(value: Any) -> Any:
    """Return a value as the plain type it stands for, an instant with a zone in UTC without it."""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, np.datetime64 | np.timedelta64):
        value = None if np.isnat(value) else value.astype(f"{value.dtype.kind}8[us]").item()
    elif isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, dt.datetime):
        if value != value:
            return None
        utc = value.astimezone(dt.UTC) if value.tzinfo else value
        return dt.datetime(*utc.timetuple()[:6], utc.microsecond)
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str | UUID):
        return _text(str(value))
    return value


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise PredicateError(f"The text {value!r:.60} is not valid Unicode: {exc.reason}.") from exc
    return value


def _decimal(value: Decimal) -> Literal:
    """Return a decimal as a number that holds it, else as itself."""
    if not value.is_finite():
        return Literal(float(value), pa.float64())
    if value == value.to_integral_value():
        return Literal(int(value), pa.int64())
    if Decimal(repr(float(value))) == value:
        return Literal(float(value), pa.float64())
    _, digits, exponent = value.as_tuple()
    scale = -int(exponent)
    if max(len(digits), scale) > 38:
        raise PredicateError(f"{value} has more than the 38 digits a decimal can have.")
    return Literal(value, pa.decimal128(max(len(digits), scale), scale))


def _list(values: list[Any]) -> Literal:
    items = [constant(value) for value in values]
    kinds = {item.type: item for item in items}
    try:
        arrow_type = common_type(list(kinds.values()), "A list")
    except PredicateError as exc:
        raise PredicateError(f"A list holds constants of one kind. {exc}") from exc
    return Literal(tuple(item.value for item in items), pa.list_(arrow_type))


def items(literal: Literal) -> list[Literal]:
    """Return the constants of a list."""
    assert isinstance(literal.value, tuple)
    return [constant(value) for value in literal.value]


def number(text: str) -> Literal:
    """Return digits as a whole number where they are one."""
    try:
        return Literal(int(text), pa.int64())
    except ValueError:
        return Literal(float(text), pa.float64())


_UNITS = {
    "year": (12, 0),
    "quarter": (3, 0),
    "month": (1, 0),
    "week": (0, 7 * 86_400_000_000),
    "day": (0, 86_400_000_000),
    "hour": (0, 3_600_000_000),
    "minute": (0, 60_000_000),
    "second": (0, 1_000_000),
    "millisecond": (0, 1_000),
    "microsecond": (0, 1),
}
_QUANTITY = re.compile(r"\s*([-+]?\d+(?:\.\d+)?)\s*([A-Za-z]+)")


def interval(text: str) -> Literal:
    """Return ``"1 month 2 days"`` as a duration, or as months and microseconds.

    Raises:
        PredicateError: It is not numbers with units, or a part of a month.
    """
    months, micros, at = 0, Decimal(0), 0
    while match := _QUANTITY.match(text, at):
        count, unit = Decimal(match[1]), match[2].lower().removesuffix("s")
        in_months, in_micros = _UNITS.get(unit, (0, 0))
        if not (in_months or in_micros) or (in_months and count != int(count)):
            break
        months += int(count) * in_months
        micros += count * in_micros
        at = match.end()
    if not at or text[at:].strip():
        raise PredicateError(
            f"interval '{text}' is not a number and a unit, such as '3 days' or '1 month 12 hours'."
            f" Units: {', '.join(_UNITS)}; parts of a month are no length of time."
        )
    if months:
        return Literal((months, int(micros)), pa.month_day_nano_interval())
    try:
        return Literal(dt.timedelta(microseconds=int(micros)), pa.duration("us"))
    except OverflowError as exc:
        raise PredicateError(f"interval '{text}' is longer than a duration can be.") from exc
