"""Computing functions over Arrow arrays: text, numbers, moments and lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from embow.engines.predicate._align import align_arrays, align_literal, scalar
from embow.engines.predicate._tree import Call, Literal, Op
from embow.schema._masks import as_mask, flags, validity

Kernel = Callable[[Call, Sequence[pa.Array]], pa.Array]

PAIRS = frozenset({Op.POWER, Op.ATAN2, Op.ARRAY_HAS, Op.GREATEST, Op.LEAST})
"""Operations whose further operands are computed too; those of others are literal."""


def literal(call: Call, at: int, default: Any = None) -> Any:
    """Return the value of a literal operand, or what stands for one left out."""
    if at >= len(call.args):
        return default
    node = call.args[at]
    assert isinstance(node, Literal)
    return node.value


def int64(values: NDArray[np.integer], known: NDArray[np.bool_] | None = None) -> pa.Array:
    """Return whole numbers as a column, null where they are not known."""
    data = np.ascontiguousarray(values, np.int64)
    made = pa.Array.from_buffers(pa.int64(), len(data), [None, pa.py_buffer(data)])
    return made if known is None else pc.if_else(as_mask(known), made, scalar(None, pa.int64()))


# -- text -----------------------------------------------------------------------------------


def _trimmed(function: str) -> Kernel:
    kernel = getattr(pc, function)
    return lambda call, args: kernel(args[0], characters=literal(call, 1, " "))


def _substr(call: Call, args: Sequence[pa.Array]) -> pa.Array:
    start, length = literal(call, 1) - 1, literal(call, 2)
    if length is not None and length < 0:
        raise pa.ArrowInvalid(f"substr: a length of {length}")
    stop = None if length is None else max(0, start + length)
    return pc.utf8_slice_codeunits(args[0], max(0, start), stop)


def _left(call: Call, args: Sequence[pa.Array]) -> pa.Array:
    return pc.utf8_slice_codeunits(args[0], 0, literal(call, 1))


def _right(call: Call, args: Sequence[pa.Array]) -> pa.Array:
    count = literal(call, 1)
    return pc.utf8_slice_codeunits(args[0], -count) if count else _left(call, args)


def _replaced(call: Call, args: Sequence[pa.Array]) -> pa.Array:
    old, new = literal(call, 1), literal(call, 2)
    return pc.replace_substring(args[0], old, new) if old else args[0]


def _regex_replaced(call: Call, args: Sequence[pa.Array]) -> pa.Array:
    most = -1 if "g" in literal(call, 3, "") else 1
    return pc.replace_substring_regex(
        args[0], literal(call, 1), literal(call, 2), max_replacements=most
    )


def _position(call: Call, args: Sequence[pa.Array]) -> pa.Array:
    wanted = literal(call, 1)
    if not wanted:
        return pc.add(pc.multiply(pc.utf8_length(args[0]).cast(pa.int64()), _one(0)), _one(1))
    before = _element(pc.split_pattern(args[0], wanted, max_splits=1), 1)
    at = pc.add(pc.utf8_length(before).cast(pa.int64()), _one(1))
    return pc.if_else(pc.match_substring(args[0], wanted), at, _one(0))


def _one(value: int) -> pa.Scalar:
    return scalar(value, pa.int64())


def _split(call: Call, args: Sequence[pa.Array]) -> pa.Array:
    text, separator = args[0].cast(pa.string()), literal(call, 1)
    return pc.split_pattern(text, separator or "\0")


# -- numbers --------------------------------------------------------------------------------


def _number(function: str) -> Kernel:
    kernel = getattr(pc, function)
    return lambda call, args: kernel(args[0].cast(call.type)).cast(call.type)


def _rounded(call: Call, args: Sequence[pa.Array]) -> pa.Array:
    """Round half away from zero, as SQL does."""
    digits = literal(call, 1, 0)
    if pa.types.is_integer(call.type) and digits >= 0:
        return args[0].cast(call.type)
    value = args[0].cast(call.type)
    return pc.round(value, digits, round_mode="half_towards_infinity").cast(call.type)


def _floats(function: str) -> Kernel:
    kernel = getattr(pc, function)
    return lambda _, args: kernel(*(arg.cast(pa.float64(), safe=False) for arg in args))


def _extreme(function: str) -> Kernel:
    kernel = getattr(pc, function)
    return lambda call, args: kernel(*(arg.cast(call.type) for arg in args), skip_nulls=True)


# -- moments --------------------------------------------------------------------------------


def months(call: Call, args: Sequence[pa.Array]) -> pa.Array:
    """Move moments by months, to the last day of a month that is too short."""
    moment, unit = args[0].cast(call.type), call.type.unit
    known = validity(moment)
    ticks = np.frombuffer(pc.fill_null(moment.cast(pa.int64()), _one(0)).buffers()[1], np.int64)
    ticks = ticks[moment.offset :][: len(moment)] if len(ticks) != len(moment) else ticks
    instant = ticks.view(f"M8[{unit}]")
    day = instant.astype("M8[D]")
    month = day.astype("M8[M]")
    there = month + np.timedelta64(literal(call, 1), "M")
    following = there + np.timedelta64(1, "M")
    last = following.astype("M8[D]") - there.astype("M8[D]") - np.timedelta64(1, "D")
    target = there.astype("M8[D]") + np.minimum(day - month.astype("M8[D]"), last)
    moved = target.astype(f"M8[{unit}]") + (instant - day.astype(f"M8[{unit}]"))
    if not (moved.astype("M8[D]") == target)[known].all():
        raise pa.ArrowInvalid("a moment is out of range")
    return int64(moved.view(np.int64), known).cast(call.type)


def _truncated(call: Call, args: Sequence[pa.Array]) -> pa.Array:
    return pc.floor_temporal(args[0].cast(call.type), unit=literal(call, 1))


_PARTS: dict[str, Callable[[pa.Array], pa.Array]] = {
    "year": pc.year,
    "quarter": pc.quarter,
    "month": pc.month,
    "week": pc.iso_week,
    "day": pc.day,
    "hour": pc.hour,
    "minute": pc.minute,
    "second": pc.second,
    "dow": lambda moment: pc.day_of_week(moment, count_from_zero=True, week_start=7),
    "doy": pc.day_of_year,
}
_PER_SECOND = {"millisecond": 1_000, "microsecond": 1_000_000}


def _part(call: Call, args: Sequence[pa.Array]) -> pa.Array:
    part, moment = literal(call, 1), args[0]
    if part in _PARTS:
        if not pa.types.is_timestamp(moment.type):
            moment = moment.cast(pa.timestamp("s"))
        return _PARTS[part](moment).cast(pa.int64())
    ticks = moment.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    if part == "epoch":
        return pc.divide(ticks.cast(pa.float64(), safe=False), scalar(1e6, pa.float64()))
    minute = _floored(ticks, 60_000_000)
    return pc.divide(pc.subtract(ticks, minute), _one(1_000_000 // _PER_SECOND[part]))


def _floored(ticks: pa.Array, step: int) -> pa.Array:
    """Return whole numbers down to a multiple, also those below zero."""
    known = validity(ticks)
    values = np.frombuffer(pc.fill_null(ticks, _one(0)).buffers()[1], np.int64)
    return int64(values[: len(ticks)] // step * step, known)


# -- lists ----------------------------------------------------------------------------------


def _lists(array: pa.Array) -> pa.Array:
    """Return lists of any kind as lists with offsets; values may be shared with what was given."""
    fixed = pa.types.is_fixed_size_list(array.type)
    return array.cast(pa.list_(array.type.value_field)) if fixed else array


def _lengths(_: Call, args: Sequence[pa.Array]) -> pa.Array:
    return pc.list_value_length(args[0]).cast(pa.int64())


def _element(array: pa.Array, number: int) -> pa.Array:
    """Return one element of each list, counted from one, or from the end below zero."""
    lists = _lists(array)
    starts, ends = _bounds(lists)
    at = starts + number - 1 if number > 0 else ends + number
    known = validity(lists) & (at >= starts) & (at < ends) & (number != 0)
    return lists.values.take(int64(np.where(known, at, 0), known))


def _bounds(lists: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    width = np.int64 if pa.types.is_large_list(lists.type) else np.int32
    offsets = np.frombuffer(lists.buffers()[1], width)[lists.offset :][: len(lists) + 1]
    return offsets[:-1].astype(np.int64), offsets[1:].astype(np.int64)


def _has(call: Call, args: Sequence[pa.Array]) -> pa.Array:
    """Whether a list holds a value; what is null in it is another."""
    lists, wanted = _lists(args[0]), call.args[1]
    starts, ends = _bounds(lists)
    if isinstance(wanted, Literal):
        same = pc.equal(*align_literal(lists.values, wanted))
        known = np.full(len(lists), wanted.value is not None)
    else:
        row = np.zeros(len(lists.values), np.int64)
        sizes = np.where(validity(lists), ends - starts, 0)
        inside = np.repeat(starts - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
        row[inside] = np.repeat(np.arange(len(lists)), sizes)
        same = pc.equal(*align_arrays(lists.values, args[1].take(int64(row))))
        known = validity(args[1])
    if pa.types.is_null(same.type):
        return pa.nulls(len(lists), pa.bool_())
    hits = np.concatenate([[0], np.cumsum(flags(same) & validity(same))])
    found = as_mask(hits[ends] > hits[starts])
    return pc.if_else(as_mask(known & validity(lists)), found, scalar(None, pa.bool_()))


KERNELS: dict[Op, Kernel] = {
    Op.TRIM: _trimmed("utf8_trim"),
    Op.LTRIM: _trimmed("utf8_ltrim"),
    Op.RTRIM: _trimmed("utf8_rtrim"),
    Op.SUBSTR: _substr,
    Op.LEFT: _left,
    Op.RIGHT: _right,
    Op.REPLACE: _replaced,
    Op.REGEXP_REPLACE: _regex_replaced,
    Op.REVERSE: lambda _, args: pc.utf8_reverse(args[0]),
    Op.STRPOS: _position,
    Op.SPLIT: _split,
    Op.ABS: _number("abs_checked"),
    Op.SIGN: _number("sign"),
    Op.CEIL: _number("ceil"),
    Op.FLOOR: _number("floor"),
    Op.TRUNC: _number("trunc"),
    Op.ROUND: _rounded,
    Op.SQRT: _floats("sqrt"),
    Op.EXP: _floats("exp"),
    Op.LN: _floats("ln"),
    Op.LOG10: _floats("log10"),
    Op.LOG2: _floats("log2"),
    Op.GREATEST: _extreme("max_element_wise"),
    Op.LEAST: _extreme("min_element_wise"),
    Op.SIN: _floats("sin"),
    Op.COS: _floats("cos"),
    Op.TAN: _floats("tan"),
    Op.POWER: _floats("power"),
    Op.ATAN2: _floats("atan2"),
    Op.MONTHS: months,
    Op.DATE_TRUNC: _truncated,
    Op.DATE_PART: _part,
    Op.ARRAY_LENGTH: _lengths,
    Op.ARRAY_HAS: _has,
    Op.ELEMENT: lambda call, args: _element(args[0], literal(call, 1)),
    Op.FIELD: lambda call, args: pc.struct_field(args[0], literal(call, 1)),
}
