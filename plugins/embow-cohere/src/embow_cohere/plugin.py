"""Tells embow what this distribution offers. Imports nothing of Cohere's."""

from __future__ import annotations

from embow.plugins import ProviderSpec, Sdk, hookimpl


@hookimpl
def embow_providers() -> list[ProviderSpec]:
    """Return the ``cohere`` provider."""
    return [
        ProviderSpec(
            id="cohere",
            target="embow_cohere.provider:CohereEmbeddingFunction",
            summary="Cohere's embedding models, for text and images",
            sdk=(Sdk("cohere", "cohere>=5.20,<8"),),
            modalities=("text", "image"),
            remote=True,
            credentials=("COHERE_API_KEY", "CO_API_KEY"),
        )
    ]
