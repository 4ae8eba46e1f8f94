"""Which columns Lance's files can hold."""

from __future__ import annotations

import pyarrow as pa

_RESERVED = frozenset(
    {
        "_rowaddr",
        "_rowoffset",
        "_row_created_at_version",
        "_row_last_updated_at_version",
    }
)
_TESTS = (
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal128,
    pa.types.is_decimal256,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
    pa.types.is_date,
    pa.types.is_time,
    pa.types.is_timestamp,
    pa.types.is_duration,
    pa.types.is_null,
)


def why_not(field: pa.Field) -> str | None:
    """Return why a column cannot be stored, as a sentence; ``None`` where it can."""
    if field.name in _RESERVED:
        return f"Column name '{field.name}' is Lance's own; choose another."
    if (wrong := _wrong(field.type)) is not None:
        return f"Column '{field.name}' is {field.type}: Lance's files cannot hold {wrong}."
    return None


def _wrong(arrow_type: pa.DataType) -> str | None:
    """Return the part of a type that cannot be stored."""
    if pa.types.is_dictionary(arrow_type):
        return _wrong(arrow_type.value_type)
    if pa.types.is_fixed_size_list(arrow_type):
        value = arrow_type.value_type
        fixed = pa.types.is_primitive(value) or pa.types.is_struct(value)
        if arrow_type.list_size == 0 or not fixed:
            return str(arrow_type)
        return _wrong(value)
    if pa.types.is_list(arrow_type) or pa.types.is_large_list(arrow_type):
        return _wrong(arrow_type.value_type)
    if pa.types.is_map(arrow_type):
        return _wrong(arrow_type.key_type) or _wrong(arrow_type.item_type)
    if pa.types.is_struct(arrow_type) and arrow_type.num_fields:
        return next((each for f in arrow_type if (each := _wrong(f.type))), None)
    return None if any(test(arrow_type) for test in _TESTS) else str(arrow_type)
