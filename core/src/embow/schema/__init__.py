"""Schemas: models, vectors, field markers, and the way between Python values and Arrow."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow.schema._bindings import ColumnBinding, bindings_of, metadata_of
    from embow.schema._columns import check_column_names
    from embow.schema._fields import source_field, vector_field
    from embow.schema._from_arrow import model_from_arrow
    from embow.schema._model import Model, pydantic_to_schema
    from embow.schema._protocol import (
        METADATA_KEY,
        ColumnFunction,
        SourceMarker,
        VectorMarker,
    )
    from embow.schema._rows import models_to_batch, row_to_model, rows_to_batch
    from embow.schema._vector import MultiVector, Vector

# A module is loaded when one of its names is asked for: Vector alone needs no pyarrow.
_HOMES = {
    "_bindings": ("ColumnBinding", "bindings_of", "metadata_of"),
    "_columns": ("check_column_names",),
    "_fields": ("source_field", "vector_field"),
    "_from_arrow": ("model_from_arrow",),
    "_model": ("Model", "pydantic_to_schema"),
    "_protocol": ("METADATA_KEY", "ColumnFunction", "SourceMarker", "VectorMarker"),
    "_rows": ("models_to_batch", "row_to_model", "rows_to_batch"),
    "_vector": ("MultiVector", "Vector"),
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
