"""Images in the form Cohere takes them: as data URIs."""

from __future__ import annotations

import base64
import io
import os
from typing import Any

from embow.errors import BadInputError
from embow.media import Media, MediaSettings, read_bytes

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)


def is_image(value: Any) -> bool:
    """Tell whether an input can only be an image: bytes, a path object, a PIL image, a data URI."""
    if isinstance(value, Media):
        return value.kind == "image"
    if isinstance(value, str):
        return value.startswith("data:image/")
    return isinstance(value, (bytes, bytearray, memoryview, os.PathLike)) or _is_pil(value)


def data_uri(value: Any, settings: MediaSettings) -> str:
    """Return an image as a data URI.

    Args:
        value: Encoded bytes, a path, a ``file:``, ``data:``, ``http:`` or ``https:`` address, or a
            PIL image.
        settings: What may be read and fetched, and how much of it.

    Raises:
        BadInputError: It cannot be read, or is no PNG, JPEG, GIF or WebP image.
    """
    given = value.value if isinstance(value, Media) else value
    if isinstance(given, str) and given.startswith("data:image/"):
        return given
    content = _png(given) if _is_pil(given) else read_bytes(given, settings)
    return f"data:{_media_type(content)};base64,{base64.b64encode(content).decode()}"


def _media_type(content: bytes) -> str:
    for signature, name in _SIGNATURES:
        if content.startswith(signature):
            return name
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    raise BadInputError(
        "Cohere takes PNG, JPEG, GIF and WebP images; these bytes are none of them."
    )


def _is_pil(value: Any) -> bool:
    return any(base.__module__ == "PIL.Image" for base in type(value).__mro__)


def _png(image: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
