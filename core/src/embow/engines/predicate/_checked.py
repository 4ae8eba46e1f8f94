"""Operators over checked nodes: which types they take, and which node they make.

SQL text and expressions built in Python both end here, by the operator's name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from embow.engines.predicate import _typing as rules
from embow.engines.predicate._constants import items
from embow.engines.predicate._dates import moved
from embow.engines.predicate._functions import function
from embow.engines.predicate._tree import Call, Literal, Node, Op
from embow.engines.predicate._typing import Family, describe, family, require
from embow.errors import PredicateError

_BOOL = pa.bool_()
_MOMENTS = {Family.DATE, Family.TIMESTAMP, Family.DURATION, Family.INTERVAL}
_COMPARISONS = (Op.EQ, Op.NE, Op.LT, Op.LE, Op.GT, Op.GE)


def apply(name: str, args: Sequence[Node]) -> Node:
    """Return a checked operation.

    Args:
        name: Of an operator, as in `Op`, or of a function.
        args: Its operands.

    Raises:
        PredicateError: There is none of that name, or it does not take these operands.
    """
    if name in OPERATORS:
        count, make = OPERATORS[name]
        if count not in (None, len(args)):
            raise PredicateError(f"'{name}' takes {count} operands, not {len(args)}.")
        return make(Op(name), args)
    return function(name, args)


def joined(op: Op, nodes: Sequence[Node]) -> Node:
    """Join conditions in a tree as flat as can be, so that a chain may be long."""
    if len(nodes) == 1:
        return require(nodes[0], Family.BOOLEAN, op.value.upper())
    half = (len(nodes) + 1) // 2
    return Call(op, (joined(op, nodes[:half]), joined(op, nodes[half:])), _BOOL)


def negated(node: Node) -> Call:
    """Return the opposite of a condition."""
    return Call(Op.NOT, (require(node, Family.BOOLEAN, "NOT"),), _BOOL)


def is_null(node: Node) -> Call:
    """Return whether a node has no value."""
    return Call(Op.IS_NULL, (node,), _BOOL)


def like(op: Op, value: Node, pattern: Node, escape: str = "\\") -> Node:
    """Return whether a text matches a literal pattern."""
    what = op.value.upper()
    text = rules.as_literal(pattern, str, what)
    escaped = Literal(_backslashed(text, escape), pa.string())
    return Call(op, (require(value, Family.TEXT, what), escaped), _BOOL)


def same(left: Node, right: Node) -> Node:
    """Return whether two values are equal, or both NULL."""
    neither = [negated(is_null(left)), negated(is_null(right))]
    known = joined(Op.AND, [*neither, apply(Op.EQ, [left, right])])
    return joined(Op.OR, [known, joined(Op.AND, [is_null(left), is_null(right)])])


def try_cast(value: Node, target: pa.DataType) -> Node:
    """Return a value as another type, NULL where it has none."""
    try:
        made = cast(value, target)
    except PredicateError:
        if family(value.type) is not Family.TEXT:
            raise
        return Literal(None, target)  # A text that says no moment.
    casting = isinstance(made, Call) and made.op is Op.CAST
    return Call(Op.TRY_CAST, (value,), target) if casting else made


def cast(value: Node, target: pa.DataType) -> Node:
    """Return a value as another type; a literal text becomes the moment it says."""
    wanted, text = family(target), isinstance(value, Literal) and isinstance(value.value, str)
    if text and wanted in (Family.DATE, Family.TIMESTAMP):
        return rules.temporal_literal(rules.as_literal(value, str, "CAST"), wanted)
    if family(value.type) in (Family.OTHER, Family.LIST, Family.STRUCT, Family.INTERVAL):
        raise PredicateError(f"CAST cannot turn {describe(value)} into {target}.")
    return Call(Op.CAST, (value,), target)


def arithmetic(op: Op, args: Sequence[Node]) -> Node:
    """Return a sum, difference, product or quotient."""
    left, right = args
    if op in (Op.ADD, Op.SUB) and {family(left.type), family(right.type)} & _MOMENTS:
        return moved(op, left, right)
    for node in args:
        require(node, Family.NUMBER, f"'{op.value}'")
    return Call(op, (left, right), rules.number_type([left.type, right.type]))


def element(_: Op, args: Sequence[Node]) -> Node:
    """Return an element of a list by its number, or a field of a struct by its name."""
    value, key = args
    if family(value.type) is Family.STRUCT:
        name = rules.as_literal(key, str, "A struct in x['field']")
        return field(value, name)
    if family(value.type) is not Family.LIST:
        raise PredicateError(f"x[...] needs a list or a struct, not {describe(value)}.")
    require(key, Family.NUMBER, "A list in x[1]")
    rules.as_literal(key, int, "A list in x[1]")
    return Call(Op.ELEMENT, (value, key), rules.plain_type(value.type.value_type))


def field(value: Node, name: str) -> Node:
    """Return a field of a struct."""
    if family(value.type) is not Family.STRUCT:
        raise PredicateError(f"{describe(value)} has no field '{name}': it is no struct.")
    at = value.type.get_field_index(name)
    if at < 0:
        known = [each.name for each in value.type]
        raise PredicateError(f"{describe(value)} has no field '{name}'. Fields: {known}.")
    inner = rules.plain_type(value.type.field(at).type)
    return Call(Op.FIELD, (value, Literal(name, pa.string())), inner)


def member(_: Op, args: Sequence[Node]) -> Node:
    """Return whether a value is one of some constants."""
    tested, *given = args
    if len(given) == 1 and isinstance(given[0], Literal) and isinstance(given[0].value, tuple):
        given = list(items(given[0]))
    if not given:
        return Literal(False, _BOOL)
    return Call(Op.IN, (tested, *rules.listed(tested, given)), _BOOL)


def negative(_: Op, args: Sequence[Node]) -> Node:
    """Return a number with the other sign."""
    value = require(args[0], Family.NUMBER, "'-'")
    if isinstance(value, Literal) and isinstance(value.value, int | float):
        return Literal(-value.value, value.type)
    return Call(Op.NEG, (value,), rules.number_type([value.type]))


def concatenated(op: Op, args: Sequence[Node]) -> Node:
    """Return two texts as one."""
    sides = tuple(require(each, Family.TEXT, "'||'") for each in args)
    return Call(op, sides, pa.string())


def compared(op: Op, args: Sequence[Node]) -> Node:
    """Return how two values compare."""
    return Call(op, rules.comparable(args[0], args[1], f"'{op.value}'"), _BOOL)


OPERATORS: dict[str, tuple[int | None, Callable[[Op, Sequence[Node]], Node]]] = {
    **dict.fromkeys(_COMPARISONS, (2, compared)),
    **dict.fromkeys((Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.MOD), (2, arithmetic)),
    **dict.fromkeys((Op.AND, Op.OR), (None, joined)),
    **dict.fromkeys((Op.LIKE, Op.ILIKE), (2, lambda op, args: like(op, args[0], args[1]))),
    Op.NOT: (1, lambda _, args: negated(args[0])),
    Op.IS_NULL: (1, lambda _, args: is_null(args[0])),
    Op.NEG: (1, negative),
    Op.IN: (None, member),
    Op.CONCAT: (2, concatenated),
    Op.ELEMENT: (2, element),
}
"""How many operands an operator takes, and what makes its node."""


def _backslashed(pattern: str, escape: str) -> str:
    if escape == "\\":
        return pattern
    plain = pattern.replace("\\", "\\\\")
    parts = plain.split(escape + escape)
    return escape.join(part.replace(escape, "\\") for part in parts)
