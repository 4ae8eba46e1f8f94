"""The schema a table gets where none is given: read off its first rows.

Called by ``columns``. Types that only say how a column lies in memory become the plain type, so
that rows of any later form fit it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from embow.engines.contract import VectorKind, vector_kind
from embow.errors import ConfigurationError

_VECTOR_NAMES = ("vector", "embedding")
_PLAIN = {
    pa.string_view(): pa.string(),
    pa.binary_view(): pa.binary(),
}


def inferred_schema(batch: pa.RecordBatch, filled: Collection[str] = ()) -> pa.Schema:
    """Return the schema of a table whose first rows are these.

    Lists of numbers in a column named like a vector become vectors of the most common length, lists
    of such lists several vectors a row. A column without any value is of the type that holds none.

    Args:
        batch: The first rows.
        filled: Vector columns that functions fill; they are left out where the rows have none.
    """
    fields = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if not pa.types.is_null(field.type) or field.name not in filled:
            fields.append(field.with_type(_column_type(field.name, column)))
    return pa.schema(fields, metadata=batch.schema.metadata)


@lru_cache(maxsize=64)
def vector_columns(schema: pa.Schema, filled: tuple[str, ...], policy: str) -> Collection[str]:
    """Return the columns whose vectors a policy for bad ones is about.

    That are those that functions fill and those named like a vector; where there is none, the
    only list of numbers. A list that holds something else is not to lose its row.

    Raises:
        ConfigurationError: The policy mends vectors, and a column named so has no length.
    """
    kinds = {field.name: vector_kind(field.type) for field in schema}
    chosen = [name for name, kind in kinds.items() if kind and (name in filled or _named_so(name))]
    for field in schema if policy != "error" else ():
        listed = pa.types.is_list(field.type) or pa.types.is_large_list(field.type)
        if listed and pa.types.is_floating(field.type.value_type) and _named_so(field.name):
            raise ConfigurationError(
                f"on_bad_vectors={policy!r} cannot be applied to column {field.name!r}, which is "
                f"{field.type}: it names no length. Declare the column as Vector(n), or in Arrow "
                f"as pa.list_(pa.float32(), n)."
            )
    single = [name for name, kind in kinds.items() if kind and not kind.multi]
    return chosen or (single if len(single) == 1 else ())


def _named_so(name: str) -> bool:
    return any(word in name.lower() for word in _VECTOR_NAMES)


def _column_type(name: str, column: pa.Array) -> pa.DataType:
    kind = _kind_of_lists(column) if _named_so(name) else None
    return _plain_type(column.type) if kind is None else kind.arrow_type


def _kind_of_lists(column: pa.Array) -> VectorKind | None:
    """Return the vectors that lists stand for; ``None`` where they stand for none.

    Lists of numbers are vectors of the most common length, lists of lists of one length several
    vectors a row.
    """
    data_type = column.type
    if not (pa.types.is_list(data_type) or pa.types.is_large_list(data_type)):
        return None
    numbers = data_type.value_type
    if pa.types.is_floating(numbers) or pa.types.is_integer(numbers):
        lengths = _lengths(column)
        size = lengths.most_common(1)[0][0] if lengths else 0
        return VectorKind(size, _vector_numbers(numbers)) if size else None
    inner = column.flatten()
    one = _kind_of_lists(inner)
    if one is None or one.multi or len(_lengths(inner)) > 1:
        return None
    return replace(one, multi=True)


def _vector_numbers(given: pa.DataType) -> pa.DataType:
    """Return what numbers are stored as: those of Python, which are all wide, as float32."""
    return given if given in (pa.float16(), pa.int8(), pa.uint8()) else pa.float32()


def _lengths(column: pa.Array) -> Counter[int]:
    return Counter(size for size in pc.list_value_length(column).to_pylist() if size)


def _plain_type(data_type: pa.DataType) -> pa.DataType:
    """Return the type without views and without dictionaries of views."""
    if data_type in _PLAIN:
        return _PLAIN[data_type]
    if pa.types.is_dictionary(data_type) and data_type.value_type in _PLAIN:
        return _PLAIN[data_type.value_type]
    if pa.types.is_struct(data_type):
        return pa.struct([field.with_type(_plain_type(field.type)) for field in data_type])
    if hasattr(data_type, "value_field") and not pa.types.is_fixed_size_list(data_type):
        items = data_type.value_field.with_type(_plain_type(data_type.value_type))
        return pa.large_list(items) if pa.types.is_large_list(data_type) else pa.list_(items)
    return data_type
