"""From sqlglot's expressions to the tree, refusing by name what the tree does not have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from embow.engines.predicate import _typing as rules
from embow.engines.predicate._align import scalar
from embow.engines.predicate._columns import resolve_column
from embow.engines.predicate._tree import Call, Literal, Node, Op
from embow.engines.predicate._typing import Family
from embow.errors import PredicateError

Sql = Any
"""A sqlglot expression; the name of its base class differs between the versions we accept."""

_BOOL = pa.bool_()
_COMPARE = {"EQ": Op.EQ, "NEQ": Op.NE, "LT": Op.LT, "LTE": Op.LE, "GT": Op.GT, "GTE": Op.GE}
_ARITHMETIC = {"Add": Op.ADD, "Sub": Op.SUB, "Mul": Op.MUL, "Div": Op.DIV, "Mod": Op.MOD}
_LOGIC = {"And": Op.AND, "Or": Op.OR}
_LIKE = {"Like": Op.LIKE, "ILike": Op.ILIKE}
_TEXT_TO = {
    "upper": (Op.UPPER, pa.string()),
    "lower": (Op.LOWER, pa.string()),
    "length": (Op.LENGTH, pa.int64()),
}
_TEXT_TEST = {
    "starts_with": Op.STARTS_WITH,
    "startswith": Op.STARTS_WITH,
    "ends_with": Op.ENDS_WITH,
    "endswith": Op.ENDS_WITH,
    "contains": Op.CONTAINS,
    "regexp_match": Op.REGEXP_MATCH,
    "regexp_like": Op.REGEXP_MATCH,
}
_CAST_TO: dict[str, pa.DataType] = {
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INT": pa.int32(),
    "BIGINT": pa.int64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "TEXT": pa.string(),
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMPNTZ": pa.timestamp("us"),
}


class Builder:
    """Builds checked nodes from parsed SQL.

    Args:
        schema: What column names refer to.
        lists: Constants of the long lists, by the placeholder that stands for each.
    """

    def __init__(self, schema: pa.Schema, lists: Mapping[str, Sequence[Node]]) -> None:
        self._schema = schema
        self._lists = lists

    def build(self, node: Sql) -> Node:
        """Return the checked tree of a parsed expression."""
        kind = type(node).__name__
        if kind in _COMPARE:
            return self._compare(_COMPARE[kind], node.this, node.expression)
        if kind in _ARITHMETIC:
            return self._arithmetic(_ARITHMETIC[kind], node)
        if kind in _LOGIC:
            return _balanced(_LOGIC[kind], [self._condition(each) for each in _chain(node)])
        if kind in _LIKE:
            return self._like(_LIKE[kind], node, escape="\\")
        handler: Callable[[Any], Node] | None = getattr(self, f"_{kind.lower()}", None)
        if handler is not None:
            return handler(node)
        if isinstance(node, exp.Func):
            return self._function(node)
        raise _refused(node)

    def _condition(self, node: Sql) -> Node:
        what = {"And": "AND", "Or": "OR", "Not": "NOT"}.get(type(node.parent).__name__, "IS")
        return rules.require(self.build(node), Family.BOOLEAN, what)

    def _compare(self, op: Op, left: Sql, right: Sql) -> Call:
        sides = rules.comparable(self.build(left), self.build(right), f"'{op.value}'")
        return Call(op, sides, _BOOL)

    def _arithmetic(self, op: Op, node: Sql) -> Call:
        left, right = self.build(node.this), self.build(node.expression)
        return Call(op, (left, right), rules.arithmetic_type(op, left, right))

    # One method for each sqlglot class, found by its lower-case name.

    def _paren(self, node: exp.Paren) -> Node:
        return self.build(node.this)

    def _column(self, node: exp.Column) -> Node:
        if isinstance(node.this, exp.Star):
            raise _refused(node)
        return resolve_column(
            [part.name for part in node.parts],
            self._schema,
            quoted=bool(node.this.args.get("quoted")) and len(node.parts) == 1,
        )

    def _dot(self, node: exp.Dot) -> Node:
        parts = list(node.parts)
        if not all(isinstance(part, exp.Identifier) for part in parts):
            raise _refused(node)
        return resolve_column([part.name for part in parts], self._schema, quoted=False)

    def _literal(self, node: exp.Literal) -> Node:
        text = str(node.this)
        return Literal(text, pa.string()) if node.is_string else rules.number_literal(text)

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
        return _negated(self._condition(node.this))

    def _neg(self, node: exp.Neg) -> Node:
        value = rules.require(self.build(node.this), Family.NUMBER, "'-'")
        if isinstance(value, Literal) and isinstance(value.value, int | float):
            return Literal(-value.value, value.type)
        return Call(Op.NEG, (value,), rules.arithmetic_type(Op.SUB, value, value))

    def _is(self, node: exp.Is) -> Node:
        if isinstance(node.expression, exp.Null):
            return Call(Op.IS_NULL, (self.build(node.this),), _BOOL)
        if not isinstance(node.expression, exp.Boolean):
            raise _refused(node)
        value = self._condition(node.this)
        wanted = value if node.expression.this else _negated(value)
        known = _negated(Call(Op.IS_NULL, (value,), _BOOL))
        return Call(Op.AND, (known, wanted), _BOOL)

    def _between(self, node: exp.Between) -> Node:
        low = self._compare(Op.GE, node.this, node.args["low"])
        high = self._compare(Op.LE, node.this, node.args["high"])
        return Call(Op.AND, (low, high), _BOOL)

    def _in(self, node: exp.In) -> Node:
        if not node.expressions:
            raise _refused(node)
        first = node.expressions[0]
        listed = self._lists.get(first.name) if isinstance(first, exp.Placeholder) else None
        tested, given = self.build(node.this), listed or list(map(self.build, node.expressions))
        return Call(Op.IN, (tested, *rules.listed(tested, given)), _BOOL)

    def _escape(self, node: exp.Escape) -> Node:
        op = _LIKE.get(type(node.this).__name__)
        escape = node.expression
        if op is None or not (isinstance(escape, exp.Literal) and len(escape.name) == 1):
            raise _refused(node)
        return self._like(op, node.this, escape=escape.name)

    def _like(self, op: Op, node: Sql, *, escape: str) -> Node:
        value = rules.require(self.build(node.this), Family.TEXT, op.value.upper())
        pattern = self._text_literal(node.expression, op.value.upper())
        plain = Literal(_backslashed(pattern, escape), pa.string())
        found = Call(op, (value, plain), _BOOL)
        return _negated(found) if node.args.get("negate") else found

    def _dpipe(self, node: exp.DPipe) -> Node:
        sides = tuple(
            rules.require(self.build(side), Family.TEXT, "'||'")
            for side in (node.this, node.expression)
        )
        return Call(Op.CONCAT, sides, pa.string())

    def _cast(self, node: exp.Cast) -> Node:
        target = _cast_type(node)
        value = self.build(node.this)
        wanted = rules.family(target)
        moment = wanted in (Family.DATE, Family.TIMESTAMP)
        if moment and isinstance(value, Literal) and isinstance(value.value, str):
            return rules.temporal_literal(value.value, wanted)
        if rules.family(value.type) is Family.OTHER:
            raise PredicateError(f"CAST cannot turn {rules.describe(value)} into {target}.")
        return Call(Op.CAST, (value,), target)

    def _function(self, node: Sql) -> Node:
        name = node.name if isinstance(node, exp.Anonymous) else node.sql_name()
        name = name.lower()
        arguments = _arguments(node)
        if name in _TEXT_TO and len(arguments) == 1:
            op, arrow_type = _TEXT_TO[name]
            value = rules.require(self.build(arguments[0]), Family.TEXT, f"{name}()")
            return Call(op, (value,), arrow_type)
        if name in _TEXT_TEST and len(arguments) == 2:
            op = _TEXT_TEST[name]
            value = rules.require(self.build(arguments[0]), Family.TEXT, f"{name}()")
            text = self._text_literal(arguments[1], f"{name}()")
            if op is Op.REGEXP_MATCH:
                _check_regex(text)
            return Call(op, (value, Literal(text, pa.string())), _BOOL)
        raise _refused(node)

    def _text_literal(self, node: Sql, what: str) -> str:
        value = self.build(node)
        if not (isinstance(value, Literal) and isinstance(value.value, str)):
            raise PredicateError(f"{what} needs a literal text, not {rules.describe(value)}.")
        return value.value


def _chain(node: Sql) -> list[Sql]:
    """Return the conditions that one chain of AND or of OR joins, in their order."""
    found = []
    left = node
    while type(left) is type(node):
        found.append(left.expression)
        left = left.this
    return [left, *reversed(found)]


def _balanced(op: Op, nodes: Sequence[Node]) -> Node:
    """Join conditions in a tree as flat as can be, so that a chain may be long."""
    if len(nodes) == 1:
        return nodes[0]
    half = (len(nodes) + 1) // 2
    return Call(op, (_balanced(op, nodes[:half]), _balanced(op, nodes[half:])), _BOOL)


def _negated(node: Node) -> Call:
    return Call(Op.NOT, (node,), _BOOL)


def _arguments(node: Sql) -> list[Sql]:
    if isinstance(node, exp.Anonymous):
        return list(node.expressions)
    values = [node.args.get(name) for name in node.arg_types]
    return [
        value for value in values if value is not None and not isinstance(value, list | str | bool)
    ]


def _cast_type(node: exp.Cast) -> pa.DataType:
    target = node.args["to"]
    name = getattr(target.this, "value", str(target.this))
    if name == "DECIMAL":
        sizes = [int(each.name) for each in target.expressions] or [38, 9]
        return pa.decimal128(sizes[0], sizes[1] if len(sizes) > 1 else 0)
    if name not in _CAST_TO or target.expressions:
        raise PredicateError(
            f"CAST to {target.sql()} is not supported. Use one of: "
            f"{', '.join(name.lower() for name in _CAST_TO)}, decimal(p, s)."
        )
    return _CAST_TO[name]


def _backslashed(pattern: str, escape: str) -> str:
    if escape == "\\":
        return pattern
    plain = pattern.replace("\\", "\\\\")
    parts = plain.split(escape + escape)
    return escape.join(part.replace(escape, "\\") for part in parts)


def _check_regex(pattern: str) -> None:
    probe = pa.repeat(scalar("", pa.string()), 1)
    try:
        pc.match_substring_regex(probe, pattern)
    except pa.ArrowInvalid as exc:
        raise PredicateError(f"regexp_match: the pattern {pattern!r} is not valid: {exc}") from exc


_SPELLED = {
    "NULLSAFENEQ": "IS DISTINCT FROM",
    "NULLSAFEEQ": "IS NOT DISTINCT FROM",
    "IN": "IN with a subquery",
    "ALIAS": "an alias",
}


def _refused(node: Sql) -> PredicateError:
    key = type(node).key.upper()
    name = node.name if isinstance(node, exp.Anonymous) else _SPELLED.get(key, key)
    return PredicateError(
        f"The filter uses {name}, which is not supported, in: {node.sql()}. Supported: "
        "comparisons, AND, OR, NOT, IN, BETWEEN, LIKE, IS NULL, arithmetic, ||, CAST, "
        f"{', '.join([*_TEXT_TO, 'starts_with', 'ends_with', 'contains', 'regexp_match'])}."
    )
