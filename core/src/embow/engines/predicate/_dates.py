"""Moments and lengths of time: which sums there are."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa

from embow.engines.predicate._tree import Call, Literal, Node, Op
from embow.engines.predicate._typing import Family, describe, family
from embow.errors import PredicateError

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
