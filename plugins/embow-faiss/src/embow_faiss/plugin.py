"""Tells embow what is here, without importing it."""

from __future__ import annotations

from embow.plugins import IndexSpec, Sdk, hookimpl


@hookimpl
def embow_indexes() -> list[IndexSpec]:
    """Return the one kind of index of this distribution."""
    return [
        IndexSpec(
            id="hnsw",
            target="embow_faiss.hnsw:HnswLibrary",
            summary="a graph over vectors: nearly all of the nearest, from few of them",
            sdk=(Sdk("faiss", "faiss-cpu>=1.15"),),
        )
    ]
