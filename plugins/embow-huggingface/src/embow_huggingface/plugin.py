"""Tells embow that this provider exists, without importing it."""

from __future__ import annotations

from embow.plugins import ProviderSpec, Sdk, hookimpl


@hookimpl
def embow_providers() -> list[ProviderSpec]:
    """Return the one provider of this distribution."""
    return [
        ProviderSpec(
            id="huggingface",
            target="embow_huggingface.provider:TransformersEmbeddingFunction",
            summary="Text encoders of the transformers library, run on this machine.",
            sdk=(Sdk("transformers", "transformers>=4.56"), Sdk("torch", "torch>=2.4")),
        )
    ]
