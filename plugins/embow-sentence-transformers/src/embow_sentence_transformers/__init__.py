"""sentence-transformers models as embow embedding functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow_sentence_transformers.provider import (
        SentenceTransformerEmbeddings as SentenceTransformerEmbeddings,
    )

__all__ = ["SentenceTransformerEmbeddings"]


def __getattr__(name: str) -> Any:
    # Discovery imports this package to list the provider; the class costs more than that.
    if name == "SentenceTransformerEmbeddings":
        from embow_sentence_transformers.provider import SentenceTransformerEmbeddings

        return SentenceTransformerEmbeddings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
