"""Embedding functions: LanceDB's names for embow's.

A provider's class needs its plugin: ``pip install embow-openai``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import embow.embeddings

if TYPE_CHECKING:
    from embow.embeddings import EmbeddingFunction as EmbeddingFunction
    from embow.embeddings import EmbeddingFunctionConfig as EmbeddingFunctionConfig
    from embow.embeddings import EmbeddingFunctionRegistry as EmbeddingFunctionRegistry
    from embow.embeddings import TextEmbeddingFunction as TextEmbeddingFunction
    from embow.embeddings import get_registry as get_registry
    from embow.embeddings import register as register


__getattr__ = embow.embeddings.__getattr__
