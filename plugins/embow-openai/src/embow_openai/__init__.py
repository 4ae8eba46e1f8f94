"""OpenAI, Azure OpenAI and OpenAI-compatible servers as embow embedding functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow_openai.provider import OpenAIEmbeddings as OpenAIEmbeddings

__all__ = ["OpenAIEmbeddings"]


def __getattr__(name: str) -> Any:
    # Listing providers imports this package; the class costs more than that.
    if name == "OpenAIEmbeddings":
        from embow_openai.provider import OpenAIEmbeddings

        return OpenAIEmbeddings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
