"""Schemas: models, vectors, field markers, and the way between Python values and Arrow."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow.schema.bindings import ColumnBinding, bindings_of, metadata_of
    from embow.schema.columns import check_column_names
    from embow.schema.fields import source_field, vector_field
    from embow.schema.from_arrow import model_from_arrow
    from embow.schema.model import Model, pydantic_to_schema
    from embow.schema.protocol import (
        METADATA_KEY,
        ColumnFunction,
        SourceMarker,
        VectorMarker,
    )
    from embow.schema.rows import models_to_batch, row_to_model, rows_to_batch
    from embow.schema.vector import MultiVector, Vector

# A module is loaded when one of its names is asked for: Vector alone needs no pyarrow.
_HOMES = {
    "bindings": ("ColumnBinding", "bindings_of", "metadata_of"),
    "columns": ("check_column_names",),
    "fields": ("source_field", "vector_field"),
    "from_arrow": ("model_from_arrow",),
    "model": ("Model", "pydantic_to_schema"),
    "protocol": ("METADATA_KEY", "ColumnFunction", "SourceMarker", "VectorMarker"),
    "rows": ("models_to_batch", "row_to_model", "rows_to_batch"),
    "vector": ("MultiVector", "Vector"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "METADATA_KEY",
    "ColumnBinding",
    "ColumnFunction",
    "Model",
    "MultiVector",
    "SourceMarker",
    "Vector",
    "VectorMarker",
    "bindings_of",
    "check_column_names",
    "metadata_of",
    "model_from_arrow",
    "models_to_batch",
    "pydantic_to_schema",
    "row_to_model",
    "rows_to_batch",
    "source_field",
    "vector_field",
]


def __getattr__(name: str) -> Any:
    module = _HOME_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
