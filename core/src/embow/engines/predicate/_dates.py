"""Moments and lengths of time: which sums there are, and which parts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pyarrow as pa

from embow.engines.predicate import _typing as rules
from embow.engines.predicate._constants import constant
from embow.engines.predicate._tree import Call, Literal, Node, Op
from embow.engines.predicate._typing import Family, describe, family
from embow.errors import PredicateError, near_name

_MOMENT = (Family.DATE, Family.TIMESTAMP)


def moved(op: Op, left: Node, right: Node) -> Node:
    """Return the sum or difference of moments and lengths of time.

    A date and a length give a timestamp; two moments give the length between them. Nanoseconds are
    kept where the moment has them, all else is in microseconds.

    Raises:
        PredicateError: There is no such sum; the message names both sides.
    """
    ours, theirs = family(left.type), family(right.type)
    if op is Op.ADD and theirs in _MOMENT:
        left, right, ours, theirs = right, left, theirs, ours
    if Family.NULL in (ours, theirs):
        return Literal(None, pa.null())
    unit = "ns" if "ns" in (_unit(left), _unit(right)) else "us"
    if ours in _MOMENT and theirs is Family.INTERVAL:
        return _by_months(op, left, right)
    if ours in _MOMENT and theirs is Family.DURATION:
        return Call(op, (left, right), pa.timestamp("ns" if _unit(left) == "ns" else "us"))
    if op is Op.SUB and ours in _MOMENT and theirs in _MOMENT:
        return Call(op, (left, right), pa.duration(unit))
    if ours is theirs is Family.DURATION:
        return Call(op, (left, right), pa.duration(unit))
    raise PredicateError(
        f"'{op.value}' cannot join {describe(left)} and {describe(right)}. A length of time is "
        "written interval '3 days'."
    )


def _by_months(op: Op, moment: Node, interval: Node) -> Node:
    if not (isinstance(interval, Literal) and isinstance(interval.value, tuple)):
        raise PredicateError(f"'{op.value}' needs a literal interval, not {describe(interval)}.")
    months, micros = interval.value
    assert isinstance(months, int)
    assert isinstance(micros, int)
    sign = 1 if op is Op.ADD else -1
    arrow_type = pa.timestamp("ns" if _unit(moment) == "ns" else "us")
    there = Call(Op.MONTHS, (moment, Literal(sign * months, pa.int64())), arrow_type)
    if not micros:
        return there
    length = Literal(dt.timedelta(microseconds=micros), pa.duration("us"))
    return Call(op, (there, length), arrow_type)


def _unit(node: Node) -> str:
    return str(getattr(node.type, "unit", ""))


MOMENTS = ("now", "current_timestamp", "current_date", "today")
"""Names of the functions that give another value each time the expression is read."""


def now(name: str, args: Sequence[Node]) -> Node:
    """Return the moment, or the day, at which the expression is read."""
    counted(name, args, 0)
    now = dt.datetime.now(dt.UTC)
    return constant(now.date() if name in ("current_date", "today") else now)


_TRUNCATED = (
    "year",
    "quarter",
    "month",
    "week",
    "day",
    "hour",
    "minute",
    "second",
    "millisecond",
    "microsecond",
)
_PARTS = (*_TRUNCATED, "dow", "doy", "epoch")


def date_part(name: str, args: Sequence[Node]) -> Node:
    """Return a part of a moment, named first."""
    counted(name, args, 2)
    return _part(name, rules.as_literal(args[0], str, f"{name}()").lower(), args[1])


def named_part(name: str, args: Sequence[Node]) -> Node:
    """Return the part of a moment that the function is named for."""
    counted(name, args, 1)
    return _part(name, name, args[0])


def _part(name: str, part: str, moment: Node) -> Node:
    _moment(name, moment)
    if part not in _PARTS:
        raise _no_part(part, _PARTS)
    unit = Literal(part, pa.string())
    return Call(Op.DATE_PART, (moment, unit), pa.float64() if part == "epoch" else pa.int64())


def date_trunc(name: str, args: Sequence[Node]) -> Node:
    """Return the moment at which the part began, named first."""
    counted(name, args, 2)
    part = rules.as_literal(args[0], str, f"{name}()").lower()
    if part not in _TRUNCATED:
        raise _no_part(part, _TRUNCATED)
    moment = _moment(name, args[1])
    kept = pa.types.is_timestamp(moment.type)
    arrow_type = rules.plain_type(moment.type) if kept else pa.timestamp("us")
    return Call(Op.DATE_TRUNC, (moment, Literal(part, pa.string())), arrow_type)


def _moment(name: str, node: Node) -> Node:
    if family(node.type) not in (Family.DATE, Family.TIMESTAMP, Family.NULL):
        raise PredicateError(f"{name}() needs a date or timestamp, not {describe(node)}.")
    return node


def counted(name: str, args: Sequence[Node], wanted: int) -> None:
    """Refuse another number of arguments."""
    if len(args) != wanted:
        raise PredicateError(f"{name}() takes {wanted} arguments, not {len(args)}.")


def _no_part(part: str, known: Sequence[str]) -> PredicateError:
    return PredicateError(
        f"There is no part '{part}' of a moment.{near_name(part, known)} Parts: {', '.join(known)}."
    )
