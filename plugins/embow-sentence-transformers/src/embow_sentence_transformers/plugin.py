"""Tells embow that this provider exists, without importing it."""

from __future__ import annotations

from embow.plugins import ProviderSpec, Sdk, hookimpl


@hookimpl
def embow_providers() -> list[ProviderSpec]:
    """Return the one provider of this distribution."""
    return [
        ProviderSpec(
            id="sentence-transformers",
            target="embow_sentence_transformers.provider:SentenceTransformerEmbeddings",
            summary="Text models of the sentence-transformers library, run on this machine.",
            sdk=(Sdk("sentence_transformers", "sentence-transformers>=5.1"),),
        )
    ]
