"""The types that CAST turns into, by the names SQL has for them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from embow.errors import PredicateError

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


def cast_type(target: Any) -> pa.DataType:
    """Return the Arrow type that sqlglot's type names.

    Raises:
        PredicateError: Nothing can be cast to it.
    """
    name = getattr(target.this, "value", str(target.this))
    if name == "DECIMAL":
        sizes = [int(each.name) for each in target.expressions] or [38, 9]
        precision, scale = (*sizes, 0)[:2]
        if not 0 <= scale <= precision <= 38 or not precision:
            raise PredicateError(f"{target.sql()} cannot be: a decimal has 1 to 38 digits.")
        return pa.decimal128(precision, scale)
    if name not in _CAST_TO or target.expressions:
        raise PredicateError(
            f"CAST to {target.sql()} is not supported. Use one of: "
            f"{', '.join(name.lower() for name in _CAST_TO)}, decimal(p, s)."
        )
    return _CAST_TO[name]
