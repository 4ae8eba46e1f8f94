"""Tells embow what is here, without importing it."""

from __future__ import annotations

from embow.plugins import IndexSpec, hookimpl


@hookimpl
def embow_indexes() -> list[IndexSpec]:
    """Return the one kind of index of this distribution."""
    return [
        IndexSpec(
            id="fts",
            target="embow_text._library:TextSegments",
            summary="words of text columns, ranked by BM25, in 18 languages",
        )
    ]
