"""Tells embow that this provider exists, without importing it."""

from __future__ import annotations

from embow.plugins import ProviderSpec, RerankerSpec, Sdk, hookimpl

_SDK = (Sdk("transformers", "transformers>=4.56"), Sdk("torch", "torch>=2.4"))


@hookimpl
def embow_providers() -> list[ProviderSpec]:
    """Return the one provider of this distribution."""
    return [
        ProviderSpec(
            id="huggingface",
            target="embow_huggingface.provider:TransformersEmbeddingFunction",
            summary="Text encoders of the transformers library, run on this machine.",
            sdk=_SDK,
        )
    ]


@hookimpl
def embow_rerankers() -> list[RerankerSpec]:
    """Return the one reranker of this distribution."""
    return [
        RerankerSpec(
            id="colbert",
            target="embow_huggingface.reranker:ColbertReranker",
            summary="Late interaction of a ColBERT model, run on this machine.",
            sdk=_SDK,
        )
    ]
