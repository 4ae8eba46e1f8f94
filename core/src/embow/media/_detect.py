"""Tell what an input is, by its type, its content or its name."""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath
from typing import Any, get_args
from urllib.parse import unquote, urlsplit

import numpy as np

from embow.errors import BadInputError
from embow.media._types import Media, Modality

_NAMES: dict[Modality, str] = {
    "image": "avif bmp gif heic heif ico j2k jp2 jpe jpeg jpg png ppm tif tiff webp",
    "audio": "aac aif aiff flac m4a mp3 oga ogg opus wav wma",
    "video": "3gp avi flv m2ts m4v mkv mov mp4 mpeg mpg ogv ts webm wmv",
}
_EXTENSIONS = {name: kind for kind, names in _NAMES.items() for name in names.split()}

_SIGNATURES: tuple[tuple[bytes, Modality], ...] = (
    (b"\xff\xd8\xff", "image"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"GIF87a", "image"),
    (b"GIF89a", "image"),
    (b"II*\0", "image"),
    (b"MM\0*", "image"),
    (b"\0\0\0\x0cjP  ", "image"),
    (b"\0\0\1\0", "image"),
    (b"P5", "image"),
    (b"P6", "image"),
    (b"fLaC", "audio"),
    (b"ID3", "audio"),
    (b"\x1aE\xdf\xa3", "video"),
    (b"FLV\1", "video"),
    (b"\0\0\1\xba", "video"),
    (b"\0\0\1\xb3", "video"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video"),
)
_RIFF: dict[bytes, Modality] = {b"WEBP": "image", b"WAVE": "audio", b"AVI ": "video"}
_FORM: dict[bytes, Modality] = {b"AIFF": "audio", b"AIFC": "audio"}
_BRANDS: dict[bytes, Modality] = {
    **dict.fromkeys((b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1"), "image"),
    **dict.fromkeys((b"M4A ", b"M4B "), "audio"),
}
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
"""An address with a scheme. One letter and a colon would be a drive of Windows."""
_ADDRESSES = ("http://", "https://", "file:", "data:")


def kind_of_bytes(data: bytes | bytearray | memoryview) -> Modality | None:
    """Return what encoded bytes hold by their first ones, or ``None`` where those do not tell."""
    head = bytes(data[:512])
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    if head[:4] == b"FORM":
        return _FORM.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video")
    if head[:4] == b"OggS":
        return "video" if b"theora" in head else "audio"
    if head[:2] == b"BM" and head[6:10] == bytes(4):  # four reserved bytes of a bitmap's header
        return "image"
    return _kind_of_stream(head)


def _kind_of_stream(head: bytes) -> Modality | None:
    """Recognise formats that begin with a frame instead of a signature."""
    if len(head) > 188 and head[0] == head[188] == 0x47:  # MPEG transport stream packets
        return "video"
    # MPEG audio and ADTS: eleven set bits, then a version and a layer that exist.
    if len(head) > 3 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x18 != 0x08:
        return "audio" if head[2] & 0xF0 != 0xF0 else None
    return None


def kind_of_name(name: str) -> Modality | None:
    """Return what a path or an address names by its extension, or ``None``.

    Case does not matter, nor do the query and fragment of an address.
    """
    if name.lower().startswith("data:"):
        return _kind_of_media_type(name[5:].partition(",")[0])
    try:
        path = unquote(urlsplit(name).path) if SCHEME.match(name) else name.replace("\\", "/")
    except ValueError:  # such as http://[
        return None
    return _EXTENSIONS.get(PurePosixPath(path).suffix.lower().removeprefix("."))


def _kind_of_media_type(media_type: str) -> Modality | None:
    kind = media_type.partition("/")[0].lower()
    return kind if kind in ("image", "audio", "video") else None  # type: ignore[return-value]


def is_reference(value: str) -> bool:
    """Tell whether a string stands for a file or an address instead of being text.

    It does where the whole of it is an http, https, file or data address, or where it ends in the
    extension of a media file and either has no white space or is the path of a file that exists.
    ``"a/dog.JPG"`` and ``"my dog.jpg"`` (where there is such a file) are paths; ``"look at
    dog.jpg"`` is text.
    """
    if value.lower().startswith(_ADDRESSES):
        return not re.search(r"\s", value)
    if kind_of_name(value) is None or "\n" in value:
        return False
    return not re.search(r"\s", value) or os.path.isfile(os.path.expanduser(value))


def kind_of(value: Any) -> Modality | None:
    """Return what an input is as far as that can be told without reading a file.

    ``None`` for a path or address without a telling extension, and for bytes of no known format.

    Raises:
        BadInputError: No medium has a value of this type.
    """
    if isinstance(value, Media):
        return _checked(value.kind)
    if isinstance(value, str):
        return kind_of_name(value) if is_reference(value) else "text"
    if isinstance(value, os.PathLike):
        return kind_of_name(os.fspath(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return kind_of_bytes(value)
    if is_pil(value):
        return "image"
    if isinstance(value, np.ndarray) and value.ndim in (2, 3) and value.dtype.kind in "buif":
        return "image"
    shape = f" of shape {value.shape}" if isinstance(value, np.ndarray) else ""
    raise BadInputError(
        f"An input of type {type(value).__name__}{shape} is no medium. Pass a path, an address, "
        "bytes, a PIL image or an array (height, width, 3), or say what it is: "
        "embow.media.audio(array, rate=16000)."
    )


def is_pil(value: Any) -> bool:
    """Tell whether a value is a PIL image, without importing Pillow."""
    return any(base.__module__ == "PIL.Image" for base in type(value).__mro__)


def _checked(kind: Any) -> Modality:
    if kind not in get_args(Modality):
        raise BadInputError(f"{kind!r} is no kind of media: {', '.join(get_args(Modality))}.")
    return kind  # type: ignore[no-any-return]
