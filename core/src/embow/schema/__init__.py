"""Schemas: models, vectors, and the way between Python values and Arrow."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow.schema._bindings import ColumnBinding as ColumnBinding
    from embow.schema._bindings import bindings_of as bindings_of
    from embow.schema._from_arrow import model_from_arrow as model_from_arrow
    from embow.schema._model import Model as Model
    from embow.schema._model import pydantic_to_schema as pydantic_to_schema
    from embow.schema._protocol import METADATA_KEY as METADATA_KEY
    from embow.schema._protocol import ColumnFunction as ColumnFunction
    from embow.schema._rows import models_to_batch as models_to_batch
    from embow.schema._rows import row_to_model as row_to_model
    from embow.schema._rows import rows_to_batch as rows_to_batch
    from embow.schema._vector import MultiVector as MultiVector
    from embow.schema._vector import Vector as Vector

# A module is loaded when one of its names is asked for: Vector alone needs no pyarrow.
_HOMES = {
    "_bindings": ("ColumnBinding", "bindings_of"),
    "_from_arrow": ("model_from_arrow",),
    "_model": ("Model", "pydantic_to_schema"),
    "_protocol": ("METADATA_KEY", "ColumnFunction"),
    "_rows": ("models_to_batch", "row_to_model", "rows_to_batch"),
    "_vector": ("MultiVector", "Vector"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    module = _HOME_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return __all__
