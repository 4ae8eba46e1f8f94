"""From sqlglot's expressions to the tree, refusing by name what the tree does not have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from sqlglot import exp

from embow.engines.predicate import _checked as checked
from embow.engines.predicate._columns import resolve_column
from embow.engines.predicate._constants import number
from embow.engines.predicate._functions import FUNCTIONS, case
from embow.engines.predicate._tree import Call, Literal, Node, Op
from embow.engines.predicate._types import cast_type
from embow.engines.predicate._typing import Family, require
from embow.errors import PredicateError

Sql = Any
"""A sqlglot expression; the name of its base class differs between the versions we accept."""

_BOOL = pa.bool_()
_BINARY = {
    "EQ": Op.EQ,
    "NEQ": Op.NE,
    "LT": Op.LT,
    "LTE": Op.LE,
    "GT": Op.GT,
    "GTE": Op.GE,
    "Add": Op.ADD,
    "Sub": Op.SUB,
    "Mul": Op.MUL,
    "Div": Op.DIV,
    "Mod": Op.MOD,
    "DPipe": Op.CONCAT,
}
_LOGIC = {"And": Op.AND, "Or": Op.OR}
_TRIMS = {"BOTH": "trim", "LEADING": "ltrim", "TRAILING": "rtrim"}
_LIKE = {"Like": Op.LIKE, "ILike": Op.ILIKE}
_BARE = ("current_date", "current_timestamp")
"""Functions that SQL calls without brackets."""


class Builder:
    """Builds checked nodes from parsed SQL.

    Args:
        schema: What column names refer to.
        bound: What stands for each placeholder: a literal, or the constants of a long list.
    """

    def __init__(self, schema: pa.Schema, bound: Mapping[str, Node | Sequence[Node]]) -> None:
        self._schema = schema
        self._bound = bound

    def build(self, node: Sql) -> Node:
        """Return the checked tree of a parsed expression."""
        kind = type(node).__name__
        if kind in _BINARY:
            return checked.apply(
                _BINARY[kind], [self.build(node.this), self.build(node.expression)]
            )
        if kind in _LOGIC:
            return checked.joined(_LOGIC[kind], [self.build(each) for each in _chain(node)])
        if kind in _LIKE:
            return self._like(_LIKE[kind], node, escape="\\")
        handler: Callable[[Any], Node] | None = getattr(self, f"_{kind.lower()}", None)
        if handler is None:
            raise _refused(node)
        return handler(node)

    # One method for each sqlglot class, found by its lower-case name.

    def _paren(self, node: exp.Paren) -> Node:
        return self.build(node.this)

    def _column(self, node: exp.Column) -> Node:
        if isinstance(node.this, exp.Star):
            raise _refused(node)
        quoted = bool(node.this.args.get("quoted")) and len(node.parts) == 1
        name = node.name.lower()
        if name in _BARE and not quoted and name not in map(str.lower, self._schema.names):
            return checked.apply(name, [])
        return resolve_column([part.name for part in node.parts], self._schema, quoted=quoted)

    def _dot(self, node: exp.Dot) -> Node:
        parts = list(node.parts)
        if all(isinstance(part, exp.Identifier) for part in parts):
            return resolve_column([part.name for part in parts], self._schema, quoted=False)
        if not isinstance(node.expression, exp.Identifier):
            raise _refused(node)
        return checked.field(self.build(node.this), node.expression.name)

    def _bracket(self, node: exp.Bracket) -> Node:
        if len(node.expressions) != 1:
            raise _refused(node)
        return checked.apply(Op.ELEMENT, [self.build(node.this), self.build(node.expressions[0])])

    def _literal(self, node: exp.Literal) -> Node:
        text = str(node.this)
        return Literal(text, pa.string()) if node.is_string else number(text)

    def _placeholder(self, node: exp.Placeholder) -> Node:
        bound = self._bound.get(node.name)
        if not isinstance(bound, Literal):
            raise _refused(node)
        return bound

    def _array(self, node: exp.Array) -> Node:
        return checked.apply("make_array", list(map(self.build, node.expressions)))

    def _interval(self, node: exp.Interval) -> Node:
        unit = node.args.get("unit")
        text = f"{node.this.name} {unit.name}" if unit is not None else node.this.name
        return checked.apply("interval", [Literal(text, pa.string())])

    def _hexstring(self, node: exp.HexString) -> Node:
        try:
            return Literal(bytes.fromhex(str(node.this)), pa.binary())
        except ValueError as exc:
            raise PredicateError(f"x'{node.this}' is not whole hexadecimal bytes.") from exc

    def _boolean(self, node: exp.Boolean) -> Node:
        return Literal(bool(node.this), _BOOL)

    def _null(self, _node: exp.Null) -> Node:
        return Literal(None, pa.null())

    def _not(self, node: exp.Not) -> Node:
        return checked.negated(self.build(node.this))

    def _neg(self, node: exp.Neg) -> Node:
        return checked.apply(Op.NEG, [self.build(node.this)])

    def _is(self, node: exp.Is) -> Node:
        value = self.build(node.this)
        if isinstance(node.expression, exp.Null):
            return checked.is_null(value)
        if not isinstance(node.expression, exp.Boolean):
            raise _refused(node)
        require(value, Family.BOOLEAN, "IS")
        wanted = value if node.expression.this else checked.negated(value)
        return Call(Op.AND, (checked.negated(checked.is_null(value)), wanted), _BOOL)

    def _between(self, node: exp.Between) -> Node:
        value = self.build(node.this)
        low = checked.apply(Op.GE, [value, self.build(node.args["low"])])
        return Call(
            Op.AND, (low, checked.apply(Op.LE, [value, self.build(node.args["high"])])), _BOOL
        )

    def _in(self, node: exp.In) -> Node:
        given = node.expressions or [node.args.get("field")]
        if given[0] is None:
            raise _refused(node)
        tested, first = self.build(node.this), given[0]
        listed = self._bound.get(first.name) if isinstance(first, exp.Placeholder) else None
        constants = listed if isinstance(listed, list) else list(map(self.build, given))
        return checked.apply(Op.IN, [tested, *constants])

    def _escape(self, node: exp.Escape) -> Node:
        op = _LIKE.get(type(node.this).__name__)
        escape = node.expression
        if op is None or not (isinstance(escape, exp.Literal) and len(escape.name) == 1):
            raise _refused(node)
        return self._like(op, node.this, escape=escape.name)

    def _like(self, op: Op, node: Sql, *, escape: str) -> Node:
        found = checked.like(op, self.build(node.this), self.build(node.expression), escape)
        return checked.negated(found) if node.args.get("negate") else found

    def _case(self, node: exp.Case) -> Node:
        whens = []
        for each in node.args["ifs"]:
            when, then = self.build(each.this), self.build(each.args["true"])
            tested = [self.build(node.this), when] if node.this else []
            whens.append((checked.apply(Op.EQ, tested) if tested else when, then))
        default = node.args.get("default")
        return case(whens, Literal(None, pa.null()) if default is None else self.build(default))

    def _if(self, node: exp.If) -> Node:
        default = node.args.get("false")
        last = Literal(None, pa.null()) if default is None else self.build(default)
        return case([(self.build(node.this), self.build(node.args["true"]))], last)

    def _cast(self, node: exp.Cast) -> Node:
        return checked.cast(self.build(node.this), cast_type(node.args["to"]))

    def _trycast(self, node: exp.TryCast) -> Node:
        return checked.try_cast(self.build(node.this), cast_type(node.args["to"]))

    def _nullsafeeq(self, node: exp.NullSafeEQ) -> Node:
        return checked.same(self.build(node.this), self.build(node.expression))

    def _nullsafeneq(self, node: exp.NullSafeNEQ) -> Node:
        return checked.negated(checked.same(self.build(node.this), self.build(node.expression)))

    def _trim(self, node: exp.Trim) -> Node:
        name = _TRIMS[node.args.get("position") or "BOTH"]
        return self._function(name, node.this, node.expression)

    def _substring(self, node: exp.Substring) -> Node:
        return self._function("substring", *(node.args.get(k) for k in ("this", "start", "length")))

    def _strposition(self, node: exp.StrPosition) -> Node:
        return self._function("strpos", node.this, node.args.get("substr"))

    def _function(self, name: str, *given: Sql | None) -> Node:
        return checked.apply(name, [self.build(each) for each in given if each is not None])

    def _extract(self, node: exp.Extract) -> Node:
        part = Literal(node.this.name, pa.string())
        return checked.apply("extract", [part, self.build(node.expression)])

    def _anonymous(self, node: exp.Anonymous) -> Node:
        name = node.name.lower()
        known = name in FUNCTIONS
        return checked.apply(name, list(map(self.build, node.expressions)) if known else [])


def _chain(node: Sql) -> list[Sql]:
    """Return the conditions that one chain of AND or of OR joins, in their order."""
    found = []
    left = node
    while type(left) is type(node):
        found.append(left.expression)
        left = left.this
    return [left, *reversed(found)]


_SPELLED = {
    "IN": "IN with a subquery",
    "ALIAS": "an alias",
}


def _refused(node: Sql) -> PredicateError:
    key = type(node).key.upper()
    return PredicateError(
        f"The filter uses {_SPELLED.get(key, key)}, which is not supported, in: {node.sql()}. "
        "Supported: comparisons, AND, OR, NOT, IN, BETWEEN, LIKE, IS NULL, arithmetic, ||, CASE, "
        f"CAST, x[1], s.field, intervals, and the functions {', '.join(FUNCTIONS)}."
    )
