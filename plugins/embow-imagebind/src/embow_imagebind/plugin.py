"""Tells embow that this provider exists, without importing it."""

from __future__ import annotations

from embow.plugins import ProviderSpec, Sdk, hookimpl

HINT = (
    "Its code and weights are for non-commercial use (CC-BY-NC-SA 4.0). If that suits you, run: "
    "pip install --no-deps imagebind-packaged==0.1.2."
)


@hookimpl
def embow_providers() -> list[ProviderSpec]:
    """Return the one provider of this distribution."""
    return [
        ProviderSpec(
            id="imagebind",
            target="embow_imagebind.provider:ImageBindEmbeddings",
            summary="Text, image, audio, video, depth, thermal and IMU in one space.",
            sdk=(
                Sdk("imagebind", "imagebind-packaged>=0.1.2", HINT),
                Sdk("torch", "torch>=2.4"),
                Sdk("PIL", "pillow>=10.3"),
                Sdk("soundfile", "soundfile>=0.12"),
            ),
            modalities=("text", "image", "audio", "video", "depth", "thermal", "imu"),
            licence="CC-BY-NC-SA 4.0 (non-commercial)",
        )
    ]
