"""Tells embow that this provider exists, without importing it."""

from __future__ import annotations

from embow.plugins import ProviderSpec, RerankerSpec, Sdk, hookimpl

_SDK = (Sdk("sentence_transformers", "sentence-transformers>=5.1"),)


@hookimpl
def embow_providers() -> list[ProviderSpec]:
    """Return the one provider of this distribution."""
    return [
        ProviderSpec(
            id="sentence-transformers",
            target="embow_sentence_transformers.provider:SentenceTransformerEmbeddings",
            summary="Text models of the sentence-transformers library, run on this machine.",
            sdk=_SDK,
        )
    ]


@hookimpl
def embow_rerankers() -> list[RerankerSpec]:
    """Return the one reranker of this distribution."""
    return [
        RerankerSpec(
            id="cross-encoder",
            target="embow_sentence_transformers.reranker:CrossEncoderReranker",
            summary="Models that read query and text together, run on this machine.",
            sdk=_SDK,
        )
    ]
