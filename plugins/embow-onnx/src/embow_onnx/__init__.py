"""Text embeddings with ONNX Runtime, without torch; all-MiniLM-L6-v2 is inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow_onnx.provider import OnnxEmbeddings as OnnxEmbeddings

__all__ = ["OnnxEmbeddings"]


def __getattr__(name: str) -> Any:
    if name == "OnnxEmbeddings":
        from embow_onnx.provider import OnnxEmbeddings

        return OnnxEmbeddings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
