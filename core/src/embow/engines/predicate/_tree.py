"""The tree a filter is parsed into: columns, literals and calls, nothing of any engine."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa

Constant = (
    bool
    | int
    | float
    | Decimal
    | str
    | bytes
    | dt.date
    | dt.datetime
    | dt.time
    | dt.timedelta
    | tuple["Constant", ...]
    | None
)


class Op(enum.StrEnum):
    """What a `Call` computes. SQL's NULL rules hold for each.

    ``IN`` takes the tested value and then literals; ``LIKE`` and ``ILIKE`` take a literal pattern
    in which a backslash makes the next character plain; ``CONTAINS``, ``STARTS_WITH`` and
    ``ENDS_WITH`` take a literal, ``REGEXP_MATCH`` a literal pattern that may match anywhere.
    ``DIV`` of integers truncates towards zero, ``MOD`` has the sign of the dividend, and both are
    NULL where the divisor is zero. ``TRY_CAST`` is NULL where ``CAST`` would fail. ``CASE`` takes a
    condition and a value in turn, and the last value, for rows where no condition holds; what a row
    does not take is not computed for it. ``ELEMENT`` counts from one, and from the end where the
    number is negative, and is NULL beyond; ``FIELD`` takes a literal name. ``MONTHS`` moves a
    moment by a literal number of months, to the last day of a month that is too short. What a
    function takes beside its first argument is a literal, but for ``ARRAY_HAS``, ``ATAN2``,
    ``POWER``, and for ``GREATEST`` and ``LEAST``, which leave out NULL.
    """

    AND = "and"
    OR = "or"
    NOT = "not"
    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    IN = "in"
    IS_NULL = "is null"
    LIKE = "like"
    ILIKE = "ilike"
    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"
    MOD = "%"
    NEG = "negate"
    CONCAT = "||"
    CAST = "cast"
    TRY_CAST = "try_cast"
    UPPER = "upper"
    LOWER = "lower"
    LENGTH = "length"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    CONTAINS = "contains"
    REGEXP_MATCH = "regexp_match"
    TRIM = "trim"
    LTRIM = "ltrim"
    RTRIM = "rtrim"
    SUBSTR = "substr"
    LEFT = "left"
    RIGHT = "right"
    REPLACE = "replace"
    REGEXP_REPLACE = "regexp_replace"
    REVERSE = "reverse"
    STRPOS = "strpos"
    SPLIT = "split"
    ABS = "abs"
    SIGN = "sign"
    CEIL = "ceil"
    FLOOR = "floor"
    ROUND = "round"
    TRUNC = "trunc"
    SQRT = "sqrt"
    EXP = "exp"
    LN = "ln"
    LOG10 = "log10"
    LOG2 = "log2"
    POWER = "power"
    GREATEST = "greatest"
    LEAST = "least"
    SIN = "sin"
    COS = "cos"
    TAN = "tan"
    ATAN2 = "atan2"
    MONTHS = "months"
    DATE_TRUNC = "date_trunc"
    DATE_PART = "date_part"
    CASE = "case"
    ELEMENT = "[]"
    FIELD = "field"
    ARRAY_LENGTH = "array_length"
    ARRAY_HAS = "array_has"


@dataclass(frozen=True, slots=True)
class Column:
    """A column, or a field of a struct column.

    Attributes:
        path: Exact names, outermost first.
        type: Arrow type of what the path leads to; the value type for dictionaries.
    """

    path: tuple[str, ...]
    type: pa.DataType


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; instants with a zone are already in UTC, without their zone."""

    value: Constant
    type: pa.DataType


@dataclass(frozen=True, slots=True)
class Call:
    """An operation on other nodes."""

    op: Op
    args: tuple[Node, ...]
    type: pa.DataType


Node = Column | Literal | Call


@dataclass(frozen=True, slots=True)
class Predicate:
    """A checked condition on the rows of one schema.

    Example:
        >>> import pyarrow as pa
        >>> from embow.engines.predicate import parse_predicate
        >>> parse_predicate("price < 10", pa.schema({"price": pa.float64()})).columns
        ('price',)

    Attributes:
        sql: Text it came from, for messages.
        root: Boolean node; rows where it is NULL do not pass.
    """

    sql: str
    root: Node

    @property
    def columns(self) -> tuple[str, ...]:
        """Top-level columns that must be read, each once, in order of first use."""
        return columns_of(self.root)


def columns_of(node: Node) -> tuple[str, ...]:
    """Return the top-level columns of a tree, each once, in order of first use."""
    return tuple(dict.fromkeys(_columns(node)))


def _columns(node: Node) -> Iterator[str]:
    match node:
        case Column(path=path):
            yield path[0]
        case Call(args=args):
            for argument in args:
                yield from _columns(argument)
