"""OpenCLIP models as embow embedding functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow_open_clip.provider import OpenClipEmbeddings as OpenClipEmbeddings

__all__ = ["OpenClipEmbeddings"]


def __getattr__(name: str) -> Any:
    # Discovery imports this package to list the provider; the class costs more than that.
    if name == "OpenClipEmbeddings":
        from embow_open_clip.provider import OpenClipEmbeddings

        return OpenClipEmbeddings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
