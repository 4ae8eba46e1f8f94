"""Models of rows: LanceDB's names for ``embow.Model`` and ``embow.Vector``."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from embow.pydantic import (
    FixedSizeListMixin,
    LanceModel,
    MultiVector,
    Vector,
    get_extras,
    model_to_dict,
    pydantic_to_schema,
)
from embow_lancedb._arguments import deprecated

__all__ = [
    "FixedSizeListMixin",
    "LanceModel",
    "MultiVector",
    "Vector",
    "get_extras",
    "model_to_dict",
    "pydantic_to_schema",
    "vector",
]


def vector(dim: int, value_type: pa.DataType | None = None) -> Any:
    """Return ``Vector(dim)``. Deprecated in LanceDB."""
    deprecated("vector()", "use Vector()")
    return Vector(dim) if value_type is None else Vector(dim, value_type)
