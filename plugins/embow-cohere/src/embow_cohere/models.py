"""What Cohere says about its models."""

from __future__ import annotations

from dataclasses import dataclass

MAX_ITEMS = 96


@dataclass(frozen=True, slots=True)
class Model:
    """One model.

    Attributes:
        ndims: Length of its vectors where no other is asked for.
        max_tokens: Tokens of one input.
        images: Whether it embeds images.
        flexible: Whether ``output_dimension`` may be given; such models also take text and
            images in one request.
        base64: Whether vectors can be sent as base64.
    """

    ndims: int
    max_tokens: int = 512
    images: bool = True
    flexible: bool = False
    base64: bool = True


MODELS = {
    "embed-v5.0-pro": Model(2048, 128_000, flexible=True),
    "embed-v5.0-fast": Model(2048, 128_000, flexible=True),
    "embed-v4.0": Model(1536, 128_000, flexible=True),
    "embed-english-v3.0": Model(1024),
    "embed-english-light-v3.0": Model(384),
    "embed-multilingual-v3.0": Model(1024),
    "embed-multilingual-light-v3.0": Model(384),
    # Retired by Cohere, still served by some private deployments.
    "embed-english-v2.0": Model(4096, images=False, base64=False),
    "embed-english-light-v2.0": Model(1024, images=False, base64=False),
    "embed-multilingual-v2.0": Model(768, 256, images=False, base64=False),
}
