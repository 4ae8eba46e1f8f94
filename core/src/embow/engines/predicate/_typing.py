"""Which types may meet in a filter, and how a literal becomes the other side's type."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

import pyarrow as pa

from embow.engines.predicate._align import plain
from embow.engines.predicate._tree import Call, Column, Literal, Node
from embow.errors import PredicateError


class Family(enum.Enum):
    """Types that compare with each other."""

    NUMBER = "a number"
    TEXT = "text"
    BOOLEAN = "true or false"
    DATE = "a date"
    TIMESTAMP = "a timestamp"
    TIME = "a time"
    BINARY = "bytes"
    DURATION = "a duration"
    INTERVAL = "an interval of months"
    LIST = "a list"
    STRUCT = "a struct"
    NULL = "NULL"
    OTHER = "another value"


SINGLE = set(Family) - {Family.INTERVAL, Family.LIST, Family.STRUCT, Family.OTHER}
"""Values that have an order."""
_TEMPORAL = {Family.DATE, Family.TIMESTAMP, Family.TIME}
_TESTS: tuple[tuple[Family, tuple[str, ...]], ...] = (
    (Family.NUMBER, ("is_integer", "is_floating", "is_decimal")),
    (Family.TEXT, ("is_string", "is_large_string", "is_string_view")),
    (Family.BOOLEAN, ("is_boolean",)),
    (Family.DATE, ("is_date",)),
    (Family.TIMESTAMP, ("is_timestamp",)),
    (Family.TIME, ("is_time",)),
    (Family.BINARY, ("is_binary", "is_large_binary", "is_fixed_size_binary", "is_binary_view")),
    (Family.DURATION, ("is_duration",)),
    (Family.INTERVAL, ("is_interval",)),
    (Family.LIST, ("is_list", "is_large_list", "is_fixed_size_list")),
    (Family.STRUCT, ("is_struct",)),
    (Family.NULL, ("is_null",)),
)


@cache
def family(arrow_type: pa.DataType) -> Family:
    """Return the family of an Arrow type."""
    for name, tests in _TESTS:
        if any(getattr(pa.types, test)(arrow_type) for test in tests):
            return name
    return Family.OTHER


def describe(node: Node) -> str:
    """Return how messages speak of a node: what it is and its type."""
    match node:
        case Column(path=path, type=arrow_type):
            return f"column '{'.'.join(path)}' ({arrow_type})"
        case Literal(value=value, type=arrow_type):
            return f"{value!r} ({arrow_type})"
        case Call(op=op, type=arrow_type):
            return f"the result of {op.value} ({arrow_type})"


def require(node: Node, wanted: Family, what: str) -> Node:
    """Return the node, refusing one of another family; NULL fits everywhere."""
    if family(node.type) not in (wanted, Family.NULL):
        raise PredicateError(f"{what} needs {wanted.value}, not {describe(node)}.")
    return node


def comparable(left: Node, right: Node, what: str) -> tuple[Node, Node]:
    """Return both sides ready to compare, text literals read as the date or time they meet.

    Raises:
        PredicateError: The sides are of unlike types; the message names both.
    """
    left, right = _as_temporal(left, right), _as_temporal(right, left)
    ours, theirs = family(left.type), family(right.type)
    if Family.NULL in (ours, theirs):
        return left, right
    same = ours == theirs or {ours, theirs} == {Family.DATE, Family.TIMESTAMP}
    if not same or ours not in SINGLE:
        raise PredicateError(f"{what} cannot compare {describe(left)} with {describe(right)}.")
    return left, right


def listed(tested: Node, members: Sequence[Node]) -> Sequence[Node]:
    """Return the constants of an IN list, ready to compare with what is tested.

    Raises:
        PredicateError: One is of an unlike type, or none at all.
    """
    odd = next((member for member in members if not isinstance(member, Literal)), None)
    if odd is not None:
        raise PredicateError(f"IN takes a list of literals, not {describe(odd)}.")
    if family(tested.type) in _TEMPORAL:
        return [comparable(tested, member, "IN")[1] for member in members]
    for sample in {member.type: member for member in members}.values():
        comparable(tested, sample, "IN")
    return members


def _as_temporal(node: Node, other: Node) -> Node:
    wanted = family(other.type)
    if isinstance(node, Literal) and isinstance(node.value, str) and wanted in _TEMPORAL:
        return temporal_literal(node.value, wanted)
    return node


def as_literal(node: Node, kind: type, what: str) -> Any:
    """Return the value of a literal of one kind of Python.

    Raises:
        PredicateError: The node is another.
    """
    if (
        isinstance(node, Literal)
        and isinstance(node.value, kind)
        and not isinstance(node.value, bool)
    ):
        return node.value
    wanted = "text" if kind is str else "whole number"
    raise PredicateError(f"{what} needs a literal {wanted}, not {describe(node)}.")


def common_type(nodes: Sequence[Node], what: str) -> pa.DataType:
    """Return a type that holds the values of all nodes, for one column of them.

    Raises:
        PredicateError: They are of unlike types; the message names two.
    """
    known = [node for node in nodes if family(node.type) is not Family.NULL]
    if not known:
        return pa.null()
    types = {plain_type(node.type) for node in known}
    if len(types) == 1:
        return types.pop()
    odd = next((node for node in known if family(node.type) is not family(known[0].type)), None)
    kinds = {family(node.type) for node in known}
    if kinds <= {Family.DATE, Family.TIMESTAMP}:
        return pa.timestamp("ns" if any(map(_is_nano, types)) else "us")
    if odd is not None or not kinds <= SINGLE:
        other = odd or next(n for n in known if plain_type(n.type) != plain_type(known[0].type))
        raise PredicateError(f"{what} cannot give {describe(known[0])} and {describe(other)}.")
    if kinds == {Family.NUMBER}:
        return number_type(types)
    wide = {Family.TEXT: pa.large_string(), Family.BINARY: pa.large_binary()}
    widest = {Family.DURATION: pa.duration("us"), Family.TIME: pa.time64("us")}
    (kind,) = kinds
    return {**wide, **widest}[kind]


def _is_nano(arrow_type: pa.DataType) -> bool:
    return getattr(arrow_type, "unit", "") == "ns"


def number_type(types: Collection[pa.DataType]) -> pa.DataType:
    """Return the type numbers of these types are computed in."""
    if any(pa.types.is_floating(each) for each in types):
        return pa.float64()
    decimals = [each for each in types if pa.types.is_decimal(each)]
    return max(decimals, key=lambda each: each.scale) if decimals else pa.int64()


@cache
def plain_type(arrow_type: pa.DataType) -> pa.DataType:
    """Return the type that values of a column are computed in."""
    return plain(pa.nulls(0, arrow_type)).type


def temporal_literal(text: str, wanted: Family) -> Literal:
    """Return text as a date, time or timestamp; an instant with an offset is turned into UTC.

    Raises:
        PredicateError: The text is not an ISO 8601 value of that kind.
    """
    try:
        if wanted is Family.TIME:
            return Literal(dt.time.fromisoformat(text), pa.time64("us"))
        if wanted is Family.DATE and len(text) <= len("2020-01-01"):
            return Literal(dt.date.fromisoformat(text), pa.date32())
        moment = dt.datetime.fromisoformat(text)
    except ValueError as exc:
        raise PredicateError(
            f"'{text}' is not {wanted.value}; write it like {_EXAMPLES[wanted]} (ISO 8601)."
        ) from exc
    if moment.tzinfo is not None:
        moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    return Literal(moment, pa.timestamp("us"))


_EXAMPLES = {
    Family.DATE: "'2024-01-31'",
    Family.TIMESTAMP: "'2024-01-31 12:00:00'",
    Family.TIME: "'12:00:00'",
}
