"""Hugging Face transformers models as embow embedding functions and rerankers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow_huggingface.provider import (
        TransformersEmbeddingFunction as TransformersEmbeddingFunction,
    )
    from embow_huggingface.reranker import ColbertReranker as ColbertReranker
    from embow_huggingface.scoring import maxsim as maxsim

__all__ = ["ColbertReranker", "TransformersEmbeddingFunction", "maxsim"]


def __getattr__(name: str) -> Any:
    # Discovery imports this package to list the provider; the classes cost more than that.
    if name == "TransformersEmbeddingFunction":
        from embow_huggingface.provider import TransformersEmbeddingFunction

        return TransformersEmbeddingFunction
    if name == "ColbertReranker":
        from embow_huggingface.reranker import ColbertReranker

        return ColbertReranker
    if name == "maxsim":
        from embow_huggingface.scoring import maxsim

        return maxsim
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
