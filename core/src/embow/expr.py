"""Conditions and values over a table's columns: SQL with bound values, or built in Python.

Example:
    >>> from embow.expr import col, sql
    >>> (col("price") * 2 < 10) & sql("name = :name", name="it's")
    (("price" * 2) < 10) AND (name = :name)

An expression knows no table: names and types are checked where it is used.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Never, TypeAlias

from embow.errors import ConfigurationError

__all__ = [
    "CallExpr",
    "ColumnExpr",
    "Condition",
    "Expr",
    "LiteralExpr",
    "SqlExpr",
    "all_of",
    "col",
    "func",
    "lit",
    "sql",
]


class Expr:
    """A value for each row; one that is true or false is a condition.

    Python's operators build further ones: ``== != < <= > >= + - * / %``, and ``& | ~`` for AND, OR
    and NOT. ``expr[1]`` is the first element of a list, ``expr["name"]`` a field of a struct.
    Anything else on the other side is taken as a constant, never as SQL.
    """

    __slots__ = ()
    __hash__ = object.__hash__

    def is_null(self) -> Expr:
        """Whether there is no value."""
        return CallExpr("is null", (self,))

    def is_in(self, values: Iterable[Any]) -> Expr:
        """Whether the value is one of these constants."""
        return CallExpr("in", (self, LiteralExpr(list(values))))

    def like(self, pattern: str) -> Expr:
        """Whether the text matches: ``%`` stands for any text, ``_`` for one character."""
        return CallExpr("like", (self, LiteralExpr(pattern)))

    def cast(self, to: str) -> Expr:
        """Turn into another type, named as in SQL: ``"bigint"``, ``"text"``, ``"decimal(10, 2)"``.

        Raises:
            PredicateError: When the expression is used and there is no such type.
        """
        return CallExpr("cast", (self, LiteralExpr(to)))

    def __eq__(self, other: object) -> Expr:  # type: ignore[override]
        return CallExpr("=", (self, lit(other)))

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]
        return CallExpr("!=", (self, lit(other)))

    def __lt__(self, other: Any) -> Expr:
        return CallExpr("<", (self, lit(other)))

    def __le__(self, other: Any) -> Expr:
        return CallExpr("<=", (self, lit(other)))

    def __gt__(self, other: Any) -> Expr:
        return CallExpr(">", (self, lit(other)))

    def __ge__(self, other: Any) -> Expr:
        return CallExpr(">=", (self, lit(other)))

    def __and__(self, other: Any) -> Expr:
        return CallExpr("and", (self, lit(other)))

    def __rand__(self, other: Any) -> Expr:
        return CallExpr("and", (lit(other), self))

    def __or__(self, other: Any) -> Expr:
        return CallExpr("or", (self, lit(other)))

    def __ror__(self, other: Any) -> Expr:
        return CallExpr("or", (lit(other), self))

    def __invert__(self) -> Expr:
        return CallExpr("not", (self,))

    def __add__(self, other: Any) -> Expr:
        return CallExpr("+", (self, lit(other)))

    def __radd__(self, other: Any) -> Expr:
        return CallExpr("+", (lit(other), self))

    def __sub__(self, other: Any) -> Expr:
        return CallExpr("-", (self, lit(other)))

    def __rsub__(self, other: Any) -> Expr:
        return CallExpr("-", (lit(other), self))

    def __mul__(self, other: Any) -> Expr:
        return CallExpr("*", (self, lit(other)))

    def __rmul__(self, other: Any) -> Expr:
        return CallExpr("*", (lit(other), self))

    def __truediv__(self, other: Any) -> Expr:
        return CallExpr("/", (self, lit(other)))

    def __rtruediv__(self, other: Any) -> Expr:
        return CallExpr("/", (lit(other), self))

    def __mod__(self, other: Any) -> Expr:
        return CallExpr("%", (self, lit(other)))

    def __rmod__(self, other: Any) -> Expr:
        return CallExpr("%", (lit(other), self))

    def __neg__(self) -> Expr:
        return CallExpr("negate", (self,))

    def __getitem__(self, key: int | str) -> Expr:
        return CallExpr("[]", (self, LiteralExpr(key)))

    def __iter__(self) -> Never:
        raise TypeError("An expression has no elements in Python; x[1] is the first of each row.")

    def __bool__(self) -> Never:
        raise TypeError(
            "An expression is neither true nor false in Python. Join conditions with & | ~ and "
            "brackets, (a > 1) & (b < 2), not with and, or, not or a < b < c."
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ColumnExpr(Expr):
    """A column, or with dots a field of a struct column."""

    name: str

    def __repr__(self) -> str:
        return f'"{self.name}"'


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LiteralExpr(Expr):
    """A constant of Python."""

    value: Any

    def __repr__(self) -> str:
        return f"{self.value!r:.60}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CallExpr(Expr):
    """An operator or a function, by the name SQL has for it."""

    name: str
    args: tuple[Expr, ...]

    def __repr__(self) -> str:
        if _is_infix(self):
            return f"({self.args[0]!r} {self.name} {self.args[1]!r})"
        if self.name in ("and", "or"):
            return f" {self.name.upper()} ".join(map(_bracketed, self.chain))
        return f"{self.name}({', '.join(map(repr, self.args))})"

    @property
    def chain(self) -> list[Expr]:
        """Operands of it and of what it continues: of ``a & b & c`` all three."""
        found: list[Expr] = []
        left: Expr = self
        while isinstance(left, CallExpr) and left.name == self.name and left.args:
            found += reversed(left.args[1:])
            left = left.args[0]
        return [left, *reversed(found)]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SqlExpr(Expr):
    """SQL text, and the values for its placeholders, which never become part of the text."""

    text: str
    values: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return self.text


Condition: TypeAlias = str | Expr
"""What is taken wherever rows are chosen: SQL text or an expression."""


def col(name: str) -> Expr:
    """Return the values of a column; ``"place.city"`` is a field of a struct."""
    if not isinstance(name, str):
        raise ConfigurationError(f'col() takes the name of a column, col("price"), not {name!r}.')
    return ColumnExpr(name)


def lit(value: Any) -> Expr:
    """Return a constant: None, bool, int, float, Decimal, str, bytes, a date or time, or a list."""
    return value if isinstance(value, Expr) else LiteralExpr(value)


def func(name: str, *args: Any) -> Expr:
    """Return a function of SQL over expressions and constants: ``func("lower", col("name"))``."""
    if not isinstance(name, str):
        raise ConfigurationError(f'func() takes a name, func("lower", ...), not {name!r:.60}.')
    return CallExpr(name.lower(), tuple(map(lit, args)))


def sql(text: Condition, /, *values: Any, **named: Any) -> Expr:
    """Return SQL with values for its placeholders: ``?`` in order, ``:name`` by keyword.

    A list is taken in ``IN (?)`` and wherever the function takes one.
    """
    if isinstance(text, Expr):
        if values or named:
            raise ConfigurationError(
                "Values are bound to placeholders in SQL text; an expression holds its own."
            )
        return text
    return SqlExpr(text, values, named)


def all_of(conditions: Sequence[Condition]) -> Expr:
    """Return the condition that all of these hold."""
    return functools.reduce(operator.and_, map(sql, conditions))


def _bracketed(expr: Expr) -> str:
    whole = isinstance(expr, (ColumnExpr, LiteralExpr)) or _is_infix(expr)
    return repr(expr) if whole else f"({expr!r})"


def _is_infix(expr: Expr) -> bool:
    """Whether it is shown with its operator in the middle, and brackets around."""
    if not isinstance(expr, CallExpr) or len(expr.args) != 2:
        return False
    return not expr.name.replace("_", "").isalnum()
