"""From an Arrow schema to a pydantic model."""

from __future__ import annotations

import datetime as dt
import keyword
import uuid
from decimal import Decimal
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BaseModel, Field, create_model

from embow.errors import UnsupportedTypeError
from embow.schema._model import Model
from embow.schema._vector import VALUE_TYPES, MultiVector, Vector

_VECTOR_VALUES = {getattr(pa, name)(): name for name in VALUE_TYPES}


def model_from_arrow(schema: pa.Schema, name: str = "Row") -> type[Model]:
    """Return a model whose Arrow schema equals ``schema``, its metadata aside.

    Nullable columns become optional fields with ``None`` as default. A column whose name cannot
    be a Python attribute gets a near one, and keeps its own in Arrow.

    Raises:
        UnsupportedTypeError: A column has a type without a Python counterpart.
    """
    model: type[Model] = _model(list(schema), name, Model)
    return model


def _model(fields: list[pa.Field], name: str, base: type[Any]) -> Any:
    definitions: dict[str, Any] = {}
    reserved = set(dir(Model))
    for field in fields:
        attribute = _attribute(field.name, reserved | definitions.keys())
        default = Field(default=None) if field.nullable else Field()
        definitions[attribute] = (_annotation(field, f"{name}_{attribute}", name), default)
    return create_model(name, __base__=base, **definitions)


def _attribute(column: str, taken: set[str]) -> str:
    """Return the column's name, or one near it that pydantic takes as a field name."""
    name = "".join(c if c.isalnum() or c == "_" else "_" for c in column).lstrip("_") or "column"
    if not name.isidentifier() or keyword.iskeyword(name):
        name = f"column_{name}"
    while name in taken:
        name += "_"
    return name


def _annotation(field: pa.Field, name: str, owner: str) -> Any:
    """Return an annotation of exactly the field: its type, name, nullability and metadata."""
    python = _python_type(field.type, name, f"{owner}.{field.name}")
    return Annotated[python | None if field.nullable and python is not None else python, field]


def _python_type(arrow: pa.DataType, name: str, where: str) -> Any:
    if isinstance(arrow, pa.BaseExtensionType):
        if arrow.extension_name == "arrow.uuid":
            return uuid.UUID
        return _python_type(arrow.storage_type, name, where)
    if pa.types.is_dictionary(arrow):
        return _python_type(arrow.value_type, name, where)
    if pa.types.is_fixed_size_list(arrow) and arrow.value_type in _VECTOR_VALUES:
        return Vector(arrow.list_size, _VECTOR_VALUES[arrow.value_type])
    if hasattr(arrow, "value_field"):
        inner = arrow.value_type
        if pa.types.is_fixed_size_list(inner) and inner.value_type in _VECTOR_VALUES:
            return MultiVector(inner.list_size, _VECTOR_VALUES[inner.value_type])
        return list[_annotation(arrow.value_field, f"{name}_item", where)]  # type: ignore[misc]
    if pa.types.is_map(arrow):
        key = _annotation(arrow.key_field, f"{name}_key", where)
        item = _annotation(arrow.item_field, f"{name}_value", where)
        return dict[key, item]  # type: ignore[valid-type]
    if pa.types.is_struct(arrow):
        return _model(list(arrow), name, BaseModel)
    return _scalar(arrow, where)


def _scalar(arrow: pa.DataType, where: str) -> Any:
    for test, python in _SCALARS:
        if test(arrow):
            return python
    raise UnsupportedTypeError(
        f"{where}: no Python type for Arrow's {arrow}. Cast the column, or leave it out."
    )


_SCALARS: tuple[tuple[Any, Any], ...] = (
    (pa.types.is_null, None),
    (pa.types.is_boolean, bool),
    (pa.types.is_integer, int),
    (pa.types.is_floating, float),
    (pa.types.is_string, str),
    (pa.types.is_large_string, str),
    (pa.types.is_binary, bytes),
    (pa.types.is_large_binary, bytes),
    (pa.types.is_fixed_size_binary, bytes),
    (pa.types.is_decimal, Decimal),
    (pa.types.is_date, dt.date),
    (pa.types.is_timestamp, dt.datetime),
    (pa.types.is_time, dt.time),
    (pa.types.is_duration, dt.timedelta),
)
