"""Tells embow what this distribution offers. Imports nothing of Cohere's."""

from __future__ import annotations

from embow.plugins import ProviderSpec, RerankerSpec, Sdk, hookimpl

_SDK = (Sdk("cohere", "cohere>=5.20,<8"),)
_KEYS = ("COHERE_API_KEY", "CO_API_KEY")


@hookimpl
def embow_providers() -> list[ProviderSpec]:
    """Return the ``cohere`` provider."""
    return [
        ProviderSpec(
            id="cohere",
            target="embow_cohere.provider:CohereEmbeddingFunction",
            summary="Cohere's embedding models, for text and images",
            sdk=_SDK,
            modalities=("text", "image"),
            remote=True,
            credentials=_KEYS,
        )
    ]


@hookimpl
def embow_rerankers() -> list[RerankerSpec]:
    """Return the ``cohere`` reranker."""
    return [
        RerankerSpec(
            id="cohere",
            target="embow_cohere.reranker:CohereReranker",
            summary="Cohere's rerank models",
            sdk=_SDK,
            remote=True,
            credentials=_KEYS,
        )
    ]
