"""Images in the form Cohere takes them: as data URIs."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)


def is_image(value: Any) -> bool:
    """Tell whether an input can only be an image: bytes, a path object, a PIL image, a data URI."""
    if isinstance(value, str):
        return value.startswith("data:image/")
    return isinstance(value, (bytes, bytearray, memoryview, os.PathLike)) or _is_pil(value)


def data_uri(value: Any) -> str:
    """Return an image as a data URI.

    Args:
        value: Encoded bytes, a path, a ``file:`` URI, a PIL image, or a data URI.

    Raises:
        TypeError: It is none of these.
        ValueError: The bytes are no PNG, JPEG, GIF or WebP image, or the address is a web one.
        OSError: The file cannot be read.
    """
    if isinstance(value, str) and value.startswith("data:image/"):
        return value
    if _is_pil(value):
        value = _png(value)
    elif isinstance(value, (str, os.PathLike)):
        value = _path(value).read_bytes()
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(f"An image is bytes, a path or a PIL image, not {type(value).__name__}.")
    content = bytes(value)
    return f"data:{_media_type(content)};base64,{base64.b64encode(content).decode()}"


def _path(value: str | os.PathLike[str]) -> Path:
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is not None and parts.scheme in ("http", "https"):
        raise ValueError(f"Web addresses are not fetched: {parts.scheme}://{parts.hostname}/...")
    if parts is not None and parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(value).expanduser()


def _media_type(content: bytes) -> str:
    for signature, name in _SIGNATURES:
        if content.startswith(signature):
            return name
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    raise ValueError("Cohere takes PNG, JPEG, GIF and WebP images; these bytes are none of them.")


def _is_pil(value: Any) -> bool:
    return any(base.__module__ == "PIL.Image" for base in type(value).__mro__)


def _png(image: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
