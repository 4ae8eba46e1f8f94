"""Cohere's embedding and rerank models as embow embedding functions and rerankers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow_cohere.provider import CohereEmbeddingFunction as CohereEmbeddingFunction
    from embow_cohere.reranker import CohereReranker as CohereReranker

__all__ = ["CohereEmbeddingFunction", "CohereReranker"]


def __getattr__(name: str) -> Any:
    # Listing providers imports this package; the classes cost more than that.
    if name == "CohereEmbeddingFunction":
        from embow_cohere.provider import CohereEmbeddingFunction

        return CohereEmbeddingFunction
    if name == "CohereReranker":
        from embow_cohere.reranker import CohereReranker

        return CohereReranker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
