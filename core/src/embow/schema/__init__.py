"""Schemas: models, vectors, and the way between Python values and Arrow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embow._lazy import lazy

if TYPE_CHECKING:
    from embow.schema._bindings import ColumnBinding as ColumnBinding
    from embow.schema._bindings import bindings_of as bindings_of
    from embow.schema._fields import KeyField as KeyField
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

# Vector alone needs no pyarrow.
__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "_bindings": "ColumnBinding bindings_of",
        "_fields": "KeyField",
        "_from_arrow": "model_from_arrow",
        "_model": "Model pydantic_to_schema",
        "_protocol": "METADATA_KEY ColumnFunction",
        "_rows": "models_to_batch row_to_model rows_to_batch",
        "_vector": "MultiVector Vector",
    },
)
