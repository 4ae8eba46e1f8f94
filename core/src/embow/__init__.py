"""Embeddings as part of a table's schema: any provider, any engine.

Declare which column is embedded into which vector; adding rows and searching then embed by
themselves. Names are imported when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow.embeddings.base import EmbeddingFunction as EmbeddingFunction
    from embow.embeddings.base import TextEmbeddingFunction as TextEmbeddingFunction
    from embow.embeddings.registry import get_registry as get_registry
    from embow.embeddings.registry import register as register
    from embow.schema.model import Model as Model
    from embow.schema.vector import Vector as Vector
    from embow.table.aio import AsyncDatabase as AsyncDatabase
    from embow.table.aio import connect_async as connect_async
    from embow.table.connect import connect as connect
    from embow.table.database import Database as Database
    from embow.table.table import Table as Table

__version__ = "0.1.0"

_HOME = {
    "AsyncDatabase": "embow.table.aio",
    "Database": "embow.table.database",
    "EmbeddingFunction": "embow.embeddings.base",
    "Model": "embow.schema.model",
    "Table": "embow.table.table",
    "TextEmbeddingFunction": "embow.embeddings.base",
    "Vector": "embow.schema.vector",
    "connect": "embow.table.connect",
    "connect_async": "embow.table.aio",
    "get_registry": "embow.embeddings.registry",
    "register": "embow.embeddings.registry",
}

__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
