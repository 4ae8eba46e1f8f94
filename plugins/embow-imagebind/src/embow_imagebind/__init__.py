"""ImageBind as an embow embedding function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow_imagebind.provider import ImageBindEmbeddings as ImageBindEmbeddings

__all__ = ["ImageBindEmbeddings"]


def __getattr__(name: str) -> Any:
    # Discovery imports this package to list the provider; the class costs more than that.
    if name == "ImageBindEmbeddings":
        from embow_imagebind.provider import ImageBindEmbeddings

        return ImageBindEmbeddings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
