"""Gemini and Vertex AI text models as embow embedding functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow_gemini.provider import GeminiText as GeminiText

__all__ = ["GeminiText"]


def __getattr__(name: str) -> Any:
    # Listing providers imports this package; the class costs more than that.
    if name == "GeminiText":
        from embow_gemini.provider import GeminiText

        return GeminiText
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
