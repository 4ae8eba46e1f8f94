"""Cohere's embedding models as embow embedding functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow_cohere.provider import CohereEmbeddingFunction as CohereEmbeddingFunction

__all__ = ["CohereEmbeddingFunction"]


def __getattr__(name: str) -> Any:
    # Listing providers imports this package; the class costs more than that.
    if name == "CohereEmbeddingFunction":
        from embow_cohere.provider import CohereEmbeddingFunction

        return CohereEmbeddingFunction
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
