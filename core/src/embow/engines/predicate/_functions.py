"""Functions by the names SQL has for them: what each takes, and which node it makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from embow.engines.predicate import _typing as rules
from embow.engines.predicate._align import scalar
from embow.engines.predicate._constants import constant
from embow.engines.predicate._constants import interval as interval_of
from embow.engines.predicate._dates import MOMENTS, counted, date_part, date_trunc, named_part, now
from embow.engines.predicate._tree import Call, Literal, Node, Op
from embow.engines.predicate._typing import Family, describe, family, require
from embow.errors import PredicateError, near_name

_BOOL, _TEXT, _INT, _FLOAT = pa.bool_(), pa.string(), pa.int64(), pa.float64()
Make = Callable[[str, Sequence[Node]], Node]


@dataclass(frozen=True, slots=True)
class Function:
    """A function that one operation computes.

    Attributes:
        op: What computes it.
        takes: Kind of its first argument, and of the others where they need not be literal.
        result: Type of what it gives; ``None`` for that of its argument.
        literals: Python types of the literals that follow.
        optional: How many of the last ones may be left out.
    """

    op: Op
    takes: tuple[Family, ...]
    result: pa.DataType | None
    literals: tuple[type, ...] = ()
    optional: int = 0

    def __call__(self, name: str, args: Sequence[Node]) -> Node:
        """Return the checked call."""
        most = len(self.takes) + len(self.literals)
        if not most - self.optional <= len(args) <= most:
            count = f"{most - self.optional} to {most}" if self.optional else f"{most}"
            raise PredicateError(f"{name}() takes {count} arguments, not {len(args)}.")
        for node, wanted in zip(args, self.takes, strict=False):
            require(node, wanted, f"{name}()")
        for node, kind in zip(args[len(self.takes) :], self.literals, strict=False):
            value = rules.as_literal(node, kind, f"{name}()")
            if self.op is Op.REGEXP_MATCH or (self.op is Op.REGEXP_REPLACE and node is args[1]):
                _check_regex(value)
        return Call(self.op, tuple(args), self.result or rules.number_type([args[0].type]))


def function(name: str, args: Sequence[Node]) -> Node:
    """Return the checked call of a function.

    Raises:
        PredicateError: There is none of that name, or it takes other arguments.
    """
    make = FUNCTIONS.get(name)
    if make is not None:
        return make(name, args)
    if name in _AGGREGATES:
        raise PredicateError(
            f"{name}() is an aggregate, which is not supported here. Hand rows to DuckDB or polars:"
            f" rows = table.to_arrow(); duckdb.sql('SELECT {name}(...) FROM rows')."
        )
    raise PredicateError(
        f"The filter uses {name}, which is not supported.{near_name(name, FUNCTIONS)} "
        f"Functions: {', '.join(FUNCTIONS)}."
    )


def case(whens: Sequence[tuple[Node, Node]], default: Node) -> Node:
    """Return the value beside the first condition that holds."""
    values = [*(value for _, value in whens), default]
    flat = [part for when in whens for part in when]
    for condition, _ in whens:
        require(condition, Family.BOOLEAN, "WHEN")
    return Call(Op.CASE, (*flat, default), rules.common_type(values, "CASE"))


def _coalesce(name: str, args: Sequence[Node]) -> Node:
    if not args:
        raise PredicateError(f"{name}() takes at least one argument.")
    whens = [(Call(Op.NOT, (Call(Op.IS_NULL, (arg,), _BOOL),), _BOOL), arg) for arg in args[:-1]]
    return case(whens, args[-1]) if whens else args[0]


def _nullif(name: str, args: Sequence[Node]) -> Node:
    counted(name, args, 2)
    value, unwanted = rules.comparable(args[0], args[1], f"{name}()")
    return case([(Call(Op.EQ, (value, unwanted), _BOOL), Literal(None, pa.null()))], value)


def _if(name: str, args: Sequence[Node]) -> Node:
    counted(name, args, 3)
    return case([(args[0], args[1])], args[2])


def _concat(name: str, args: Sequence[Node]) -> Node:
    """Join texts, leaving out NULLs, as SQL's ``concat`` does."""
    empty = Literal("", _TEXT)
    joined: Node = empty
    for arg in args:
        text = _coalesce(name, (require(arg, Family.TEXT, f"{name}()"), empty))
        joined = text if joined is empty else Call(Op.CONCAT, (joined, text), _TEXT)
    return joined


def _split_part(name: str, args: Sequence[Node]) -> Node:
    counted(name, args, 3)
    parts = Function(Op.SPLIT, (Family.TEXT,), pa.list_(_TEXT), (str,))(name, args[:2])
    rules.as_literal(args[2], int, f"{name}()")
    found = Call(Op.ELEMENT, (parts, args[2]), _TEXT)
    missing = Call(Op.IS_NULL, (args[0],), _BOOL)
    nothing = Literal(None, pa.null())
    return case([(missing, nothing)], _coalesce(name, (found, Literal("", _TEXT))))


def _log(name: str, args: Sequence[Node]) -> Node:
    """Return the logarithm to base 10, or to a base that comes first."""
    if len(args) == 1:
        return FUNCTIONS["log10"](name, args)
    counted(name, args, 2)
    base, value = (FUNCTIONS["ln"](name, [arg]) for arg in args)
    return Call(Op.DIV, (value, base), _FLOAT)


def _modulo(name: str, args: Sequence[Node]) -> Node:
    counted(name, args, 2)
    for arg in args:
        require(arg, Family.NUMBER, f"{name}()")
    return Call(Op.MOD, tuple(args), rules.number_type([arg.type for arg in args]))


def _interval(name: str, args: Sequence[Node]) -> Node:
    counted(name, args, 1)
    return interval_of(rules.as_literal(args[0], str, f"{name}()"))


def _array_has(name: str, args: Sequence[Node]) -> Node:
    counted(name, args, 2)
    of = require(args[0], Family.LIST, f"{name}()")
    if family(of.type) is Family.NULL:
        return of
    item = Literal(None, of.type.value_type)
    _, wanted = rules.comparable(item, args[1], f"{name}()")
    return Call(Op.ARRAY_HAS, (of, wanted), _BOOL)


def _array_any(name: str, args: Sequence[Node]) -> Node:
    """Whether a list holds one, or all, of some constants."""
    counted(name, args, 2)
    wanted = args[1]
    if not (isinstance(wanted, Literal) and isinstance(wanted.value, tuple)):
        raise PredicateError(f"{name}() needs a literal list, not {describe(wanted)}.")
    tests = [_array_has(name, (args[0], constant(value))) for value in wanted.value]
    every = name.endswith("all")
    missing = Call(Op.IS_NULL, (require(args[0], Family.LIST, f"{name}()"),), _BOOL)
    whens: list[tuple[Node, Node]] = [(missing, Literal(None, pa.null()))]
    whens += [
        (Call(Op.NOT, (test,), _BOOL) if every else test, Literal(not every, _BOOL))
        for test in tests
    ]
    return case(whens, Literal(every, _BOOL))


def _extreme(name: str, args: Sequence[Node]) -> Node:
    known = [arg for arg in args if family(arg.type) is not Family.NULL]
    if not known:
        raise PredicateError(f"{name}() takes at least one argument that is not NULL.")
    arrow_type = rules.common_type(known, f"{name}()")
    if family(arrow_type) not in rules.SINGLE:
        raise PredicateError(f"{name}() cannot compare {describe(known[0])}.")
    return Call(Op(name), tuple(known), arrow_type)


def _make_array(name: str, args: Sequence[Node]) -> Node:
    odd = next((arg for arg in args if not isinstance(arg, Literal)), None)
    if odd is not None:
        raise PredicateError(f"A list in SQL holds literals, not {describe(odd)}.")
    return constant([arg.value for arg in args if isinstance(arg, Literal)])


def _check_regex(pattern: str) -> None:
    probe = pa.repeat(scalar("", pa.string()), 1)
    try:
        pc.match_substring_regex(probe, pattern)
    except pa.ArrowInvalid as exc:
        raise PredicateError(f"regexp_match: the pattern {pattern!r} is not valid: {exc}") from exc


_AGGREGATES = {"count", "sum", "avg", "mean", "min", "max", "median", "stddev", "array_agg"}
_T, _N = (Family.TEXT,), (Family.NUMBER,)
_TESTS: dict[str, Op] = {
    "starts_with": Op.STARTS_WITH,
    "startswith": Op.STARTS_WITH,
    "ends_with": Op.ENDS_WITH,
    "endswith": Op.ENDS_WITH,
    "contains": Op.CONTAINS,
    "regexp_match": Op.REGEXP_MATCH,
    "regexp_like": Op.REGEXP_MATCH,
}
_LENGTH = Function(Op.LENGTH, _T, _INT)
_FLOATS = (Op.SQRT, Op.EXP, Op.LN, Op.LOG10, Op.LOG2, Op.SIN, Op.COS, Op.TAN)
_ARRAY_LENGTH = Function(Op.ARRAY_LENGTH, (Family.LIST,), _INT)
_SUBSTR = Function(Op.SUBSTR, _T, _TEXT, (int, int), 1)
_STRPOS = Function(Op.STRPOS, _T, _INT, (str,))
_POWER = Function(Op.POWER, _N * 2, _FLOAT)
FUNCTIONS: dict[str, Make] = {
    **{op.value: Function(op, _T, _TEXT) for op in (Op.UPPER, Op.LOWER, Op.REVERSE)},
    **dict.fromkeys(("length", "char_length", "character_length"), _LENGTH),
    **{op.value: Function(op, _T, _TEXT, (str,), 1) for op in (Op.TRIM, Op.LTRIM, Op.RTRIM)},
    **dict.fromkeys(("substr", "substring"), _SUBSTR),
    **{op.value: Function(op, _T, _TEXT, (int,)) for op in (Op.LEFT, Op.RIGHT)},
    "replace": Function(Op.REPLACE, _T, _TEXT, (str, str)),
    "regexp_replace": Function(Op.REGEXP_REPLACE, _T, _TEXT, (str, str, str), 1),
    **{name: Function(op, _T, _BOOL, (str,)) for name, op in _TESTS.items()},
    **dict.fromkeys(("strpos", "instr"), _STRPOS),
    "split_part": _split_part,
    "concat": _concat,
    **{op.value: Function(op, _N, None) for op in (Op.ABS, Op.SIGN, Op.CEIL, Op.FLOOR, Op.TRUNC)},
    "round": Function(Op.ROUND, _N, None, (int,), 1),
    **{op.value: Function(op, _N, _FLOAT) for op in _FLOATS},
    **dict.fromkeys(("power", "pow"), _POWER),
    **{op.value: _extreme for op in (Op.GREATEST, Op.LEAST)},
    "atan2": Function(Op.ATAN2, _N * 2, _FLOAT),
    "log": _log,
    "mod": _modulo,
    "coalesce": _coalesce,
    "nullif": _nullif,
    "if": _if,
    **dict.fromkeys(MOMENTS, now),
    "interval": _interval,
    "date_trunc": date_trunc,
    **dict.fromkeys(("date_part", "extract"), date_part),
    **dict.fromkeys(("year", "quarter", "month", "week", "day", "hour", "minute"), named_part),
    "second": named_part,
    **dict.fromkeys(("array_length", "cardinality", "len"), _ARRAY_LENGTH),
    **dict.fromkeys(("array_has", "array_contains", "list_contains"), _array_has),
    **dict.fromkeys(("array_has_any", "array_has_all"), _array_any),
    "make_array": _make_array,
}
