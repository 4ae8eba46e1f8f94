"""Tells embow what this distribution offers. Imports nothing of AWS's."""

from __future__ import annotations

from embow.plugins import ProviderSpec, Sdk, hookimpl


@hookimpl
def embow_providers() -> list[ProviderSpec]:
    """Return the ``bedrock-text`` provider."""
    return [
        ProviderSpec(
            id="bedrock-text",
            target="embow_bedrock.provider:BedRockText",
            summary="Titan, Nova and Cohere text models on AWS Bedrock",
            sdk=(Sdk("boto3", "boto3>=1.35,<2"),),
            remote=True,
            credentials=(
                "AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY",
                "AWS_SESSION_TOKEN",
                "AWS_BEARER_TOKEN_BEDROCK",
            ),
        )
    ]
