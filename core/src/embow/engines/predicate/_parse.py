"""SQL text and expressions of Python to a checked tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import pyarrow as pa

from embow.engines.predicate._bind import bind
from embow.engines.predicate._checked import apply, cast, joined
from embow.engines.predicate._columns import resolve_column
from embow.engines.predicate._constants import constant
from embow.engines.predicate._dates import MOMENTS
from embow.engines.predicate._tree import Node, Op, Predicate
from embow.engines.predicate._typing import Family, require
from embow.errors import PredicateError
from embow.expr import CallExpr, ColumnExpr, Condition, LiteralExpr, SqlExpr

_SHORT = 1000
"""Characters up to which what a text was parsed to is remembered."""


def parse_predicate(condition: Condition, schema: pa.Schema) -> Predicate:
    """Turn a condition into a tree, checked against a schema.

    The dialect: text in single quotes (``'it''s'``), column names bare, in double quotes or in
    back-ticks, fields of a struct after a dot, ``x[1]`` for the first element of a list.
    ``= == != <> < <= > >=``, ``AND OR NOT``, ``IN``, ``BETWEEN``, ``LIKE``, ``ILIKE``,
    ``IS [NOT] NULL / TRUE / FALSE``, ``+ - * / % ||``, ``CASE``, ``CAST``, ``date '...'``,
    ``timestamp '...'``, ``interval '3 days'``, and the functions of ``_functions.FUNCTIONS``.

    Raises:
        PredicateError: The text does not parse, names a column the schema lacks, compares unlike
            types, or uses something that is not in the list above.
    """
    root = require(parse_expression(condition, schema), Family.BOOLEAN, "A filter")
    return Predicate(str(condition), root)


def parse_expression(condition: Condition, schema: pa.Schema) -> Node:
    """Turn an expression of any type into a tree, checked against a schema.

    Raises:
        PredicateError: As for :func:`parse_predicate`.
    """
    try:
        return _node(condition, schema)
    except RecursionError:
        shown = f" {condition!r:.60}" if isinstance(condition, str) else ""
        raise PredicateError(
            f"The filter{shown} is nested too deeply. Use fewer parentheses."
        ) from None


def _node(condition: Condition, schema: pa.Schema) -> Node:
    match condition:
        case str():
            return _text(condition, schema)
        case SqlExpr(text=text, values=(), named=named) if not named:
            return _text(text, schema)
        case SqlExpr(text=text, values=values, named=named):
            return _parsed(text, values, named, schema)
        case ColumnExpr(name=name):
            path = [name] if name in schema.names else name.split(".")
            return resolve_column(path, schema, quoted=False)
        case LiteralExpr(value=value):
            return constant(value)
        case CallExpr(name="and" | "or" as name):
            return joined(Op(name), [_node(each, schema) for each in condition.chain])
        case CallExpr(name="cast", args=(value, LiteralExpr(value=str(to)))):
            return cast(_node(value, schema), _type_named(to))
        case CallExpr(name=name, args=args):
            return apply(name, [_node(each, schema) for each in args])
    raise PredicateError(
        f'A filter is text such as "price < 10" or an expression such as col("price") < 10, not '
        f"{type(condition).__name__}: {condition!r:.60}."
    )


def _type_named(name: str) -> pa.DataType:
    from sqlglot import exp

    from embow.engines.predicate._types import cast_type

    parsed = parse_sql(f"CAST(NULL AS {name})")
    if not isinstance(parsed, exp.Cast):
        raise PredicateError(f"{name!r} is not the name of a type.")
    return cast_type(parsed.args["to"])


def _text(sql: str, schema: pa.Schema) -> Node:
    """Return the tree of a text without values, which a program often uses again."""
    if isinstance(sql, str) and len(sql) <= _SHORT:
        lowered = sql.lower()
        if not any(name in lowered for name in MOMENTS):
            return _remembered(sql, schema)
    return _parsed(sql, (), {}, schema)


@lru_cache(256)
def _remembered(sql: str, schema: pa.Schema) -> Node:
    return _parsed(sql, (), {}, schema)


def _parsed(sql: str, values: Sequence[Any], named: Mapping[str, Any], schema: pa.Schema) -> Node:
    if not isinstance(sql, str):
        raise PredicateError(
            f'A filter is text such as "price < 10", not {type(sql).__name__}: {sql!r:.60}.'
        )
    try:
        sql.encode()
    except UnicodeEncodeError as exc:
        raise PredicateError(f"The filter {sql!r:.60} is not valid Unicode: {exc.reason}.") from exc
    from embow.engines.predicate._build import Builder  # sqlglot: only when there is a filter

    short, bound = bind(sql, values, named)
    return Builder(schema, bound).build(parse_sql(short))


def parse_sql(sql: str) -> Any:
    """Return sqlglot's expression for one condition or value.

    Raises:
        PredicateError: The text does not parse, or is not one expression.
    """
    from sqlglot.errors import ParseError, TokenError

    from embow.engines.predicate._dialect import Filter

    try:
        statements = [each for each in Filter().parse(sql) if each is not None]
    except ParseError as exc:
        raise PredicateError(_parse_message(sql, exc.errors)) from exc
    except TokenError as exc:
        raise PredicateError(f"The filter {sql!r} does not parse: a quote is not closed.") from exc
    if not statements:
        raise PredicateError('The filter is empty; write a condition such as "price < 10".')
    if len(statements) > 1 or type(statements[0]).__name__ == "Block":
        raise PredicateError(f"The filter {sql!r} must be one condition, without ';'.")
    return statements[0]


def _parse_message(sql: str, errors: list[dict[str, object]]) -> str:
    first = errors[0] if errors else {}
    highlight = first.get("highlight") or ""
    where = f" near '{highlight}' (line {first.get('line')}, column {first.get('col')})"
    detail = str(first.get("description") or "").partition(" missing for")[0]
    return f"The filter {sql!r} does not parse{where if first else ''}: {detail}."
