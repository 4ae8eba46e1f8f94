"""Embeddings as part of a table's schema: any provider, any engine.

Declare which column is embedded into which vector; adding rows and searching then embed by
themselves. Names are imported when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embow._lazy import lazy

if TYPE_CHECKING:
    from embow._cancel import time_limit as time_limit
    from embow._table.aio import AsyncDatabase as AsyncDatabase
    from embow._table.aio import AsyncTable as AsyncTable
    from embow._table.aio import connect_async as connect_async
    from embow._table.connect import connect as connect
    from embow._table.database import Database as Database
    from embow._table.reading.aio import AsyncHybridSearch as AsyncHybridSearch
    from embow._table.reading.aio import AsyncTextSearch as AsyncTextSearch
    from embow._table.reading.aio import AsyncVectorSearch as AsyncVectorSearch
    from embow._table.reading.hybrid import HybridSearch as HybridSearch
    from embow._table.reading.nearest import VectorSearch as VectorSearch
    from embow._table.reading.textual import TextSearch as TextSearch
    from embow._table.table import Table as Table
    from embow._table.versions import Tags as Tags
    from embow.embeddings import EmbeddingFunction as EmbeddingFunction
    from embow.embeddings import TextEmbeddingFunction as TextEmbeddingFunction
    from embow.embeddings import get_registry as get_registry
    from embow.embeddings import register as register
    from embow.schema import KeyField as KeyField
    from embow.schema import Model as Model
    from embow.schema import Vector as Vector

    __version__: str

_imported, __dir__, _names = lazy(
    __name__,
    {
        "_cancel": "time_limit",
        "_table.aio": "AsyncDatabase AsyncTable connect_async",
        "_table.connect": "connect",
        "_table.database": "Database",
        "_table.reading.aio": "AsyncHybridSearch AsyncTextSearch AsyncVectorSearch",
        "_table.reading.hybrid": "HybridSearch",
        "_table.reading.nearest": "VectorSearch",
        "_table.reading.textual": "TextSearch",
        "_table.table": "Table",
        "_table.versions": "Tags",
        "embeddings": "EmbeddingFunction TextEmbeddingFunction get_registry register",
        "schema": "KeyField Model Vector",
    },
)
__all__ = [*_names, "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("embow")
    return _imported(name)
