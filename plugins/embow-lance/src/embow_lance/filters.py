"""Filters as text for Lance, as far as Lance means the same by it.

Only what is sure to agree is handed over: whole numbers, text, dates and truth values compared with
constants, ``IN``, ``IS NULL`` and what joins them. Numbers with a fraction are left out: for Lance
NaN is greater than all others. For the rest the contract finds the rows and hands over their ids.
"""

from __future__ import annotations

import datetime as dt

import pyarrow as pa

from embow.engines.predicate import Call, Column, Literal, Node, Op, Predicate

_COMPARISONS = {
    Op.EQ: "=",
    Op.NE: "<>",
    Op.LT: "<",
    Op.LE: "<=",
    Op.GT: ">",
    Op.GE: ">=",
}
_MIRRORED = {Op.LT: Op.GT, Op.LE: Op.GE, Op.GT: Op.LT, Op.GE: Op.LE}


def compiled(predicate: Predicate, schema: pa.Schema) -> str | None:
    """Return a filter in Lance's words; ``None`` where it cannot be said in them."""
    return _text(predicate.root, schema)


def _text(node: Node, schema: pa.Schema) -> str | None:
    match node:
        case Column():
            return _name(node) if _is_boolean(node, schema) else None
        case Call(op=Op.AND | Op.OR as op, args=args):
            parts = [_text(each, schema) for each in args]
            known = [f"({each})" for each in parts if each is not None]
            return f" {op.name} ".join(known) if len(known) == len(parts) else None
        case Call(op=Op.NOT, args=(argument,)):
            part = _text(argument, schema)
            return None if part is None else f"NOT ({part})"
        case Call(op=Op.IS_NULL, args=(Column() as column,)):
            name = _name(column)
            return None if name is None else f"{name} IS NULL"
        case Call(op=Op.IN, args=(Column() as column, *members)):
            name, values = _name(column), [_value(each, column, schema) for each in members]
            known = [each for each in values if each is not None]
            inside = name is not None and known and len(known) == len(values)
            return f"{name} IN ({', '.join(known)})" if inside else None
        case Call(op=op, args=(Column() as column, Literal() as literal)) if op in _COMPARISONS:
            return _comparison(op, column, literal, schema)
        case Call(op=op, args=(Literal() as literal, Column() as column)) if op in _COMPARISONS:
            return _comparison(_MIRRORED.get(op, op), column, literal, schema)
        case _:
            return None


def _comparison(op: Op, column: Column, literal: Literal, schema: pa.Schema) -> str | None:
    name, value = _name(column), _value(literal, column, schema)
    return None if name is None or value is None else f"{name} {_COMPARISONS[op]} {value}"


def _name(column: Column) -> str | None:
    return f"`{column.path[0]}`" if len(column.path) == 1 else None


def _is_boolean(column: Column, schema: pa.Schema) -> bool:
    return bool(pa.types.is_boolean(schema.field(column.path[0]).type))


def _value(node: Node, column: Column, schema: pa.Schema) -> str | None:
    """Return a constant, where it is of the kind of the column it is compared with."""
    stored, value = schema.field(column.path[0]).type, getattr(node, "value", None)
    if isinstance(value, bool):
        return str(value).lower() if pa.types.is_boolean(stored) else None
    if isinstance(value, int):
        return str(value) if pa.types.is_integer(stored) and _fits(value, stored) else None
    if isinstance(value, str):
        text = pa.types.is_string(stored) or pa.types.is_large_string(stored)
        quoted = value.replace("'", "''")
        return f"'{quoted}'" if text and value.isprintable() and "\\" not in value else None
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return f"date '{value.isoformat()}'" if pa.types.is_date32(stored) else None
    return None


def _fits(value: int, stored: pa.DataType) -> bool:
    low = -(2 ** (stored.bit_width - 1)) if pa.types.is_signed_integer(stored) else 0
    return low <= value < low + 2**stored.bit_width and -(2**63) <= value < 2**63
