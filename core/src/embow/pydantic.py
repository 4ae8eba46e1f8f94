"""The names that LanceDB users import from ``lancedb.pydantic``."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from embow.schema._model import Model, pydantic_to_schema
from embow.schema._vector import MultiVector, Vector

LanceModel = Model
FixedSizeListMixin = Vector


def get_extras(field_info: FieldInfo, key: str) -> Any:
    """Return one entry of a field's ``json_schema_extra``, or ``None``."""
    extra = field_info.json_schema_extra
    return extra.get(key) if isinstance(extra, dict) else None


def model_to_dict(model: BaseModel) -> dict[str, Any]:
    """Return the field values of a pydantic object by name."""
    return model.model_dump()


__all__ = [
    "FixedSizeListMixin",
    "LanceModel",
    "MultiVector",
    "Vector",
    "get_extras",
    "model_to_dict",
    "pydantic_to_schema",
]
