"""Indexes of vectors by faiss: a graph whose pieces are files that never change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow_faiss.hnsw import HnswLibrary as HnswLibrary

__all__ = ["HnswLibrary"]


def __getattr__(name: str) -> Any:
    # Listing what is installed imports this package; the class costs more than that.
    if name == "HnswLibrary":
        from embow_faiss.hnsw import HnswLibrary

        return HnswLibrary
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
