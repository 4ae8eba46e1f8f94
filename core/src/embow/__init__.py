"""Embeddings as part of a table's schema: any provider, any engine.

Declare which column is embedded into which vector; adding rows and searching then embed by
themselves. Names are imported when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow._table.aio import AsyncDatabase as AsyncDatabase
    from embow._table.aio import AsyncTable as AsyncTable
    from embow._table.aio import AsyncVectorSearch as AsyncVectorSearch
    from embow._table.aio import connect_async as connect_async
    from embow._table.connect import connect as connect
    from embow._table.database import Database as Database
    from embow._table.reading.query import VectorSearch as VectorSearch
    from embow._table.table import Table as Table
    from embow._table.versions import Tags as Tags
    from embow.embeddings._base import EmbeddingFunction as EmbeddingFunction
    from embow.embeddings._base import TextEmbeddingFunction as TextEmbeddingFunction
    from embow.embeddings._registry import get_registry as get_registry
    from embow.embeddings._registry import register as register
    from embow.schema._model import Model as Model
    from embow.schema._vector import Vector as Vector

    __version__: str

_HOME = {
    "AsyncDatabase": "embow._table.aio",
    "AsyncTable": "embow._table.aio",
    "AsyncVectorSearch": "embow._table.aio",
    "Database": "embow._table.database",
    "EmbeddingFunction": "embow.embeddings._base",
    "Model": "embow.schema._model",
    "Table": "embow._table.table",
    "Tags": "embow._table.versions",
    "TextEmbeddingFunction": "embow.embeddings._base",
    "Vector": "embow.schema._vector",
    "VectorSearch": "embow._table.reading.query",
    "connect": "embow._table.connect",
    "connect_async": "embow._table.aio",
    "get_registry": "embow.embeddings._registry",
    "register": "embow.embeddings._registry",
}

__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("embow")
    elif name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
