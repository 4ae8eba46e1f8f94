"""Tells embow what this distribution offers. Imports nothing of OpenAI's."""

from __future__ import annotations

from embow.plugins import ProviderSpec, Sdk, hookimpl


@hookimpl
def embow_providers() -> list[ProviderSpec]:
    """Return the ``openai`` provider."""
    return [
        ProviderSpec(
            id="openai",
            target="embow_openai.provider:OpenAIEmbeddings",
            summary="OpenAI, Azure OpenAI and any server that speaks their protocol",
            sdk=(Sdk("openai", "openai>=1.109,<4"),),
            remote=True,
            credentials=("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"),
        )
    ]
