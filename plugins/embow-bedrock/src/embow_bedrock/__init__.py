"""Titan, Nova and Cohere text models on AWS Bedrock as embow embedding functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow_bedrock.provider import BedRockText as BedRockText

__all__ = ["BedRockText"]


def __getattr__(name: str) -> Any:
    # Listing providers imports this package; the class costs more than that.
    if name == "BedRockText":
        from embow_bedrock.provider import BedRockText

        return BedRockText
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
