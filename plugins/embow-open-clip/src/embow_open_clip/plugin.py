"""Tells embow that this provider exists, without importing it."""

from __future__ import annotations

from embow.plugins import ProviderSpec, Sdk, hookimpl


@hookimpl
def embow_providers() -> list[ProviderSpec]:
    """Return the one provider of this distribution."""
    return [
        ProviderSpec(
            id="open-clip",
            target="embow_open_clip.provider:OpenClipEmbeddings",
            summary="CLIP models for images and text in one space, run on this machine.",
            sdk=(
                Sdk("open_clip", "open-clip-torch>=2.30"),
                Sdk("torch", "torch>=2.4"),
                Sdk("PIL", "pillow>=10.3"),
            ),
            modalities=("image", "text"),
        )
    ]
