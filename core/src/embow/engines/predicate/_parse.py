"""SQL text to a checked tree."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa

from embow.engines.predicate._tree import Literal, Node, Predicate
from embow.engines.predicate._typing import Family, number_literal, require
from embow.errors import PredicateError


def parse_predicate(sql: str, schema: pa.Schema) -> Predicate:
    """Parse a condition and check it against a schema.

    The dialect: text in single quotes (``'it''s'``), column names bare, in double quotes or in
    back-ticks, fields of a struct after a dot. ``= == != <> < <= > >=``, ``AND OR NOT``, ``IN``,
    ``BETWEEN``, ``LIKE``, ``ILIKE``, ``IS [NOT] NULL / TRUE / FALSE``, ``+ - * / % ||``,
    ``CAST``, ``upper lower length starts_with ends_with contains regexp_match``,
    ``date '...'``, ``timestamp '...'``.

    Raises:
        PredicateError: The text does not parse, names a column the schema lacks, compares unlike
            types, or uses something that is not in the list above.
    """
    return Predicate(sql, require(parse_expression(sql, schema), Family.BOOLEAN, "A filter"))


def parse_expression(sql: str, schema: pa.Schema) -> Node:
    """Parse an expression of any type and check it against a schema.

    Raises:
        PredicateError: As for :func:`parse_predicate`.
    """
    if not isinstance(sql, str):
        raise PredicateError(
            f'A filter is text such as "price < 10", not {type(sql).__name__}: {sql!r:.60}.'
        )
    try:
        sql.encode()
    except UnicodeEncodeError as exc:
        raise PredicateError(f"The filter {sql!r:.60} is not valid Unicode: {exc.reason}.") from exc
    from embow.engines.predicate._build import Builder  # sqlglot: only when there is a filter

    short, lists = _without_long_lists(sql)
    try:
        return Builder(schema, lists).build(parse_sql(short))
    except RecursionError:
        raise PredicateError(
            f"The filter {sql!r:.60} is nested too deeply. Use fewer parentheses."
        ) from None


_TEXT = r"'[^']*(?:''[^']*)*'"
_CONSTANT = rf"(?:{_TEXT}|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
_LONG_LIST = re.compile(
    rf"""{_TEXT} | "[^"]*" | `[^`]*` | --[^\n]* | /\*.*?\*/  # where a list is none
    | (?P<opening>\bIN\s*\()\s*(?P<constants>{_CONSTANT}(?:\s*,\s*{_CONSTANT}){{200,}})\s*\)""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)


def _without_long_lists(sql: str) -> tuple[str, dict[str, list[Node]]]:
    """Take long lists of constants out of a filter: a parser needs a second for 50,000.

    Returns:
        The filter with a placeholder in the place of each list, and their constants.
    """
    lists: dict[str, list[Node]] = {}
    prefix = "list_"
    while prefix in sql:
        prefix += "_"

    def taken(match: re.Match[str]) -> str:
        if match["constants"] is None:
            return match[0]
        name = f"{prefix}{len(lists)}"
        lists[name] = [_constant(each) for each in re.findall(_CONSTANT, match["constants"])]
        return f"{match['opening']}:{name})"

    return _LONG_LIST.sub(taken, sql), lists


def _constant(text: str) -> Literal:
    if text[0] == "'":
        return Literal(text[1:-1].replace("''", "'"), pa.string())
    return number_literal(text)


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
