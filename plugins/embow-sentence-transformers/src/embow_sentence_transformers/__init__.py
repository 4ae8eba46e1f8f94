"""sentence-transformers models as embow embedding functions and rerankers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow_sentence_transformers.provider import (
        SentenceTransformerEmbeddings as SentenceTransformerEmbeddings,
    )
    from embow_sentence_transformers.reranker import CrossEncoderReranker as CrossEncoderReranker

__all__ = ["CrossEncoderReranker", "SentenceTransformerEmbeddings"]


def __getattr__(name: str) -> Any:
    # Discovery imports this package to list the provider; the classes cost more than that.
    if name == "SentenceTransformerEmbeddings":
        from embow_sentence_transformers.provider import SentenceTransformerEmbeddings

        return SentenceTransformerEmbeddings
    if name == "CrossEncoderReranker":
        from embow_sentence_transformers.reranker import CrossEncoderReranker

        return CrossEncoderReranker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
