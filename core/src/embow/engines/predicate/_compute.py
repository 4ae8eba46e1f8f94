"""Computing a tree over Arrow data, with SQL's three-valued logic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from embow.engines.predicate._align import (
    Operand,
    align_arrays,
    align_literal,
    exact_values,
    plain,
    scalar,
)
from embow.engines.predicate._kernels import KERNELS, PAIRS, int64
from embow.engines.predicate._tree import (
    Call,
    Column,
    Literal,
    Node,
    Op,
)
from embow.errors import PredicateError
from embow.schema._arrays import array_of
from embow.schema._masks import as_mask, flags, validity


def value_of(node: Node, batch: pa.RecordBatch) -> pa.Array:
    """Return the value of a node for each row of a batch."""
    match node:
        case Column(path=path):
            top = batch.column(path[0])
            return plain(pc.struct_field(top, list(path[1:])) if path[1:] else top)
        case Literal(type=arrow_type) if pa.types.is_interval(arrow_type):
            raise PredicateError("An interval of months is no value by itself: add it to a moment.")
        case Literal(value=value, type=arrow_type):
            if not batch.num_rows:
                return pa.nulls(0, arrow_type)  # Arrow cannot repeat a list no times.
            return pa.repeat(scalar(value, arrow_type), batch.num_rows)
        case Call(op=op, args=args) if op in KERNELS:
            values = [value_of(each, batch) for each in (args if op in PAIRS else args[:1])]
            if any(pa.types.is_null(value.type) for value in values):
                return pa.nulls(batch.num_rows, node.type)
            return plain(KERNELS[op](node, values))
        case Call():
            return _COMPUTE[node.op](node, batch)


def _compare(function: str) -> Callable[[Call, pa.RecordBatch], pa.Array]:
    kernel = getattr(pc, function)

    def compute(call: Call, batch: pa.RecordBatch) -> pa.Array:
        left, right = call.args
        operands: tuple[Operand, Operand]
        if isinstance(right, Literal):
            operands = align_literal(value_of(left, batch), right)
        elif isinstance(left, Literal):
            operands = align_literal(value_of(right, batch), left)[::-1]
        else:
            operands = align_arrays(value_of(left, batch), value_of(right, batch))
        if any(pa.types.is_null(each.type) for each in operands):
            return pa.nulls(batch.num_rows, pa.bool_())
        return kernel(*operands)

    return compute


def _logic(function: str) -> Callable[[Call, pa.RecordBatch], pa.Array]:
    kernel = getattr(pc, function)

    def compute(call: Call, batch: pa.RecordBatch) -> pa.Array:
        return kernel(*(value_of(each, batch).cast(pa.bool_()) for each in call.args))

    return compute


def _unary(function: str, target: pa.DataType) -> Callable[[Call, pa.RecordBatch], pa.Array]:
    kernel = getattr(pc, function)

    def compute(call: Call, batch: pa.RecordBatch) -> pa.Array:
        value = value_of(call.args[0], batch)
        return kernel(value if not pa.types.is_null(value.type) else value.cast(target))

    return compute


def _pattern(function: str, **options: Any) -> Callable[[Call, pa.RecordBatch], pa.Array]:
    kernel = getattr(pc, function)

    def compute(call: Call, batch: pa.RecordBatch) -> pa.Array:
        value, pattern = value_of(call.args[0], batch), call.args[1]
        assert isinstance(pattern, Literal)
        text = value.cast(pa.string()) if pa.types.is_null(value.type) else value
        return kernel(text, pattern.value, **options)

    return compute


def _arithmetic(function: str) -> Callable[[Call, pa.RecordBatch], pa.Array]:
    kernel = getattr(pc, function)

    def compute(call: Call, batch: pa.RecordBatch) -> pa.Array:
        return kernel(*(_number(each, call.type, batch) for each in call.args))

    return compute


def _sum(function: str) -> Callable[[Call, pa.RecordBatch], pa.Array]:
    """Add or subtract numbers, or moments and lengths of time."""
    numbers, kernel = _arithmetic(function), getattr(pc, function)

    def compute(call: Call, batch: pa.RecordBatch) -> pa.Array:
        if not (pa.types.is_timestamp(call.type) or pa.types.is_duration(call.type)):
            return numbers(call, batch)
        moment, length = pa.timestamp(call.type.unit), pa.duration(call.type.unit)
        values = [value_of(each, batch) for each in call.args]
        return kernel(*(v.cast(length if pa.types.is_duration(v.type) else moment) for v in values))

    return compute


def _case(call: Call, batch: pa.RecordBatch) -> pa.Array:
    """Compute each value only for the rows that take it."""
    *whens, default = call.args
    left = np.arange(batch.num_rows)
    order, pieces = [], []
    for condition, value in zip(whens[::2], whens[1::2], strict=True):
        rows = batch.take(int64(left))
        verdict = value_of(condition, rows)
        hit = holds(verdict)
        pieces.append(value_of(value, rows.filter(as_mask(hit))).cast(call.type))
        order.append(left[hit])
        left = left[~hit]
    pieces.append(value_of(default, batch.take(int64(left))).cast(call.type))
    places = np.argsort(np.concatenate([*order, left]), kind="stable")
    return pa.concat_arrays(pieces).take(int64(places))


def holds(verdict: pa.Array) -> NDArray[np.bool_]:
    """Return where a condition is true; NULL is not."""
    if pa.types.is_null(verdict.type):
        return np.zeros(len(verdict), np.bool_)
    return flags(verdict) & validity(verdict)


def _number(node: Node, result: pa.DataType, batch: pa.RecordBatch) -> pa.Array:
    value = value_of(node, batch)
    return value if pa.types.is_decimal(result) else value.cast(result)


def _divide(call: Call, batch: pa.RecordBatch) -> pa.Array:
    dividend = _number(call.args[0], call.type, batch)
    return pc.divide_checked(dividend, _divisor(call, batch))


def _modulo(call: Call, batch: pa.RecordBatch) -> pa.Array:
    dividend, divisor = _number(call.args[0], call.type, batch), _divisor(call, batch)
    if pa.types.is_integer(call.type):
        whole = pc.divide(dividend, divisor)
        return pc.subtract(dividend, pc.multiply(whole, divisor))
    floats = [pc.fill_null(each.cast(pa.float64()), 1.0) for each in (dividend, divisor)]
    with np.errstate(invalid="ignore"):  # What an infinity leaves is NaN, and no warning.
        remainder = np.fmod(*(np.frombuffer(each.buffers()[1], np.float64) for each in floats))
    made = pa.Array.from_buffers(pa.float64(), len(dividend), [None, pa.py_buffer(remainder)])
    known = pc.and_(pc.is_valid(dividend), pc.is_valid(divisor))
    return pc.if_else(known, made, scalar(None, pa.float64()))


def _divisor(call: Call, batch: pa.RecordBatch) -> Operand:
    """Return the divisor with zeros made null; a literal stays one value."""
    node = call.args[1]
    if isinstance(node, Literal) and node.value and pa.types.is_integer(call.type):
        return scalar(node.value, call.type)
    divisor = _number(node, call.type, batch)
    zero = pc.equal(divisor.cast(pa.float64(), safe=False), scalar(0.0, pa.float64()))
    return pc.if_else(zero, scalar(None, divisor.type), divisor)


def _member(call: Call, batch: pa.RecordBatch) -> pa.Array:
    tested, *members = call.args
    value = value_of(tested, batch)
    literals = [member for member in members if isinstance(member, Literal)]
    exact = exact_values([each.value for each in literals], value.type)
    found: pa.Array | None = None
    for literal, held in zip(literals, exact, strict=True):
        if held is None:
            hit = pc.equal(*align_literal(value, literal))
            found = hit if found is None else pc.or_kleene(found, hit)
    if any(held is not None for held in exact):
        held = array_of([each for each in exact if each is not None], value.type)
        if pa.types.is_floating(value.type):
            value = pc.add(value, scalar(0.0, value.type))  # So that -0 is 0, as in the list.
        inside = pc.if_else(pc.is_valid(value), pc.is_in(value, held), scalar(None, pa.bool_()))
        found = inside if found is None else pc.or_kleene(found, inside)
    return found


def _cast(call: Call, batch: pa.RecordBatch) -> pa.Array:
    return _as_type(value_of(call.args[0], batch), call.type)


def _try_cast(call: Call, batch: pa.RecordBatch) -> pa.Array:
    return _as_type_or_null(value_of(call.args[0], batch), call.type)


def _as_type(value: pa.Array, target: pa.DataType) -> pa.Array:
    if pa.types.is_floating(value.type) and pa.types.is_integer(target):
        return pc.trunc(value).cast(target)
    if pa.types.is_timestamp(value.type) and not pa.types.is_string(target):
        return value.cast(target, safe=False)
    return value.cast(target)


def _as_type_or_null(value: pa.Array, target: pa.DataType) -> pa.Array:
    """Return values of another type, NULL where there is none: what fails is halved until found."""
    try:
        return _as_type(value, target)
    except pa.ArrowInvalid:
        if len(value) == 1:
            return pa.nulls(1, target)
    half = len(value) // 2
    halves = [_as_type_or_null(each, target) for each in (value[:half], value[half:])]
    return pa.concat_arrays(halves)


def _concatenate(call: Call, batch: pa.RecordBatch) -> pa.Array:
    wide = [value_of(each, batch).cast(pa.large_string()) for each in call.args]
    return pc.binary_join_element_wise(*wide, scalar("", pa.large_string()))


_COMPUTE: dict[Op, Callable[[Call, pa.RecordBatch], pa.Array]] = {
    Op.AND: _logic("and_kleene"),
    Op.OR: _logic("or_kleene"),
    Op.NOT: _logic("invert"),
    Op.EQ: _compare("equal"),
    Op.NE: _compare("not_equal"),
    Op.LT: _compare("less"),
    Op.LE: _compare("less_equal"),
    Op.GT: _compare("greater"),
    Op.GE: _compare("greater_equal"),
    Op.IN: _member,
    Op.IS_NULL: _unary("is_null", pa.string()),
    Op.LIKE: _pattern("match_like"),
    Op.ILIKE: _pattern("match_like", ignore_case=True),
    Op.ADD: _sum("add_checked"),
    Op.SUB: _sum("subtract_checked"),
    Op.MUL: _arithmetic("multiply_checked"),
    Op.DIV: _divide,
    Op.MOD: _modulo,
    Op.NEG: _arithmetic("negate_checked"),
    Op.CASE: _case,
    Op.CONCAT: _concatenate,
    Op.CAST: _cast,
    Op.TRY_CAST: _try_cast,
    Op.UPPER: _unary("utf8_upper", pa.string()),
    Op.LOWER: _unary("utf8_lower", pa.string()),
    Op.LENGTH: _unary("utf8_length", pa.string()),
    Op.STARTS_WITH: _pattern("starts_with"),
    Op.ENDS_WITH: _pattern("ends_with"),
    Op.CONTAINS: _pattern("match_substring"),
    Op.REGEXP_MATCH: _pattern("match_substring_regex"),
}
