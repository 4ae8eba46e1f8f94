"""Placeholders and long lists, taken out of SQL text before it is parsed.

Values never become text: the parser sees names that stand for them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from embow.engines.predicate._constants import constant, number
from embow.engines.predicate._tree import Literal, Node
from embow.errors import PredicateError, near_name

_TEXT = r"'[^']*(?:''[^']*)*'"
_CONSTANT = rf"(?:{_TEXT}|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
_TAKEN = re.compile(
    rf"""{_TEXT} | "[^"]*" | `[^`]*` | --[^\n]* | /\*.*?\*/  # where nothing is to be taken
    | (?P<mark>\?)
    | (?<!:):(?P<name>[A-Za-z_]\w*)
    | (?P<opening>\bIN\s*\()\s*(?P<constants>{_CONSTANT}(?:\s*,\s*{_CONSTANT}){{200,}})\s*\)""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)


def bind(
    sql: str, values: Sequence[Any], named: Mapping[str, Any]
) -> tuple[str, dict[str, Node | Sequence[Node]]]:
    """Replace placeholders, and long lists of constants: a parser needs a second for 50,000.

    Returns:
        The text with a name in the place of each, and what the names stand for.

    Raises:
        PredicateError: A placeholder has no value, or a value no placeholder.
    """
    bound: dict[str, Node | Sequence[Node]] = {}
    left, used = list(values), set[str]()
    prefix = "bound_"
    while prefix in sql:
        prefix += "_"

    def taken(match: re.Match[str]) -> str:
        place = f"{prefix}{len(bound)}"
        if match["mark"]:
            if not left:
                raise _unequal(sql, values)
            bound[place] = constant(left.pop(0))
        elif name := match["name"]:
            if name not in named:
                raise _unbound(sql, name, named)
            used.add(name)
            bound[place] = constant(named[name])
        elif match["constants"]:
            bound[place] = [_constant(each) for each in re.findall(_CONSTANT, match["constants"])]
            return f"{match['opening']}:{place})"
        else:
            return match[0]
        return f":{place}"

    short = _TAKEN.sub(taken, sql)
    if left:
        raise _unequal(sql, values)
    if unused := [name for name in named if name not in used]:
        raise PredicateError(
            f"The filter {sql!r:.200} has no ':{unused[0]}', and a value is given."
        )
    return short, bound


def _constant(text: str) -> Literal:
    if text[0] == "'":
        return Literal(text[1:-1].replace("''", "'"), pa.string())
    return number(text)


def _unequal(sql: str, values: Sequence[Any]) -> PredicateError:
    marks = sum(1 for match in _TAKEN.finditer(sql) if match["mark"])
    return PredicateError(
        f"The filter {sql!r:.200} has {marks} placeholders '?', and {len(values)} values are "
        "given. Give one value for each, after the text."
    )


def _unbound(sql: str, name: str, named: Mapping[str, Any]) -> PredicateError:
    return PredicateError(
        f"The filter {sql!r:.200} has ':{name}', and no value of that name is given."
        f"{near_name(name, named)} Give it by keyword: {name}=..."
    )
