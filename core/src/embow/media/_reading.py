"""From an input to its encoded bytes, and to what it is."""

from __future__ import annotations

import base64
import binascii
import os
import stat
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit
from urllib.request import url2pathname

from embow.embeddings._trust import why_files_are_refused
from embow.errors import BadInputError
from embow.media._detect import SCHEME, kind_of, kind_of_bytes
from embow.media._fetching import Fetcher, shown
from embow.media._settings import ROOT_VARIABLE, MediaSettings
from embow.media._types import Media


def read_bytes(value: Any, settings: MediaSettings) -> bytes:
    """Return the encoded bytes of an input: bytes, a path, or an address.

    Raises:
        BadInputError: It cannot be read, or is larger than the settings allow; the message says
            what to do.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _bounded(bytes(value), "An input", settings)
    if isinstance(value, os.PathLike):
        return _read_file(Path(os.fspath(value)), settings)
    if not isinstance(value, str):
        raise BadInputError(f"A path, an address or bytes are read, not {type(value).__name__}.")
    found = SCHEME.match(value)
    scheme = found[0][:-1].lower() if found else ""
    if scheme in ("http", "https"):
        return _fetch(value, settings)
    if scheme == "data":
        return _read_data(value, settings)
    if scheme == "file":
        return _read_file(_path_of_uri(value), settings)
    if scheme and "://" in value:
        raise BadInputError(
            f"{shown(value)} is not read: use http, https, file or data, or pass the bytes."
        )
    return _read_file(Path(value).expanduser(), settings)


def resolve(value: Any, settings: MediaSettings) -> Media:
    """Return an input with its kind, reading files and addresses: what they hold decides.

    The value of the result is text, encoded bytes, a PIL image or an array.

    Raises:
        BadInputError: It cannot be read, or its kind cannot be told.
    """
    stated = value.kind if isinstance(value, Media) else None
    kind = kind_of(value)
    given = value.value if isinstance(value, Media) else value
    if kind == "text":
        return Media("text", given)
    encoded = isinstance(given, (str, os.PathLike, bytes, bytearray, memoryview))
    content = read_bytes(given, settings) if encoded else given
    found = stated or (kind_of_bytes(content) if encoded else None) or kind
    if found is None:
        what = f"What {given!r:.100} holds" if isinstance(given, str) else "An input"
        raise BadInputError(
            f"{what} is of no format known here. Say what it is: embow.media.image(...)."
        )
    return Media(found, content)


def _fetch(url: str, settings: MediaSettings) -> bytes:
    if not settings.fetch:
        raise BadInputError(f'{shown(url)} is not fetched: media={{"fetch": False}} forbids it.')
    return Fetcher(settings).fetch(url)


def _read_file(path: Path, settings: MediaSettings) -> bytes:
    refused = why_files_are_refused()
    if refused is not None and not os.environ.get(ROOT_VARIABLE):
        raise BadInputError(f"{str(path)!r} is not read: {refused}")
    _require_inside(path, settings)
    try:
        # A named pipe would keep open() waiting, a device would never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise BadInputError(f"{str(path)!r} is no regular file.")
        with path.open("rb") as file:
            return _bounded(file.read(settings.max_bytes + 1), repr(str(path)), settings)
    except FileNotFoundError as exc:
        raise BadInputError(f"There is no file {str(path)!r}.") from exc
    except (OSError, ValueError) as exc:
        raise BadInputError(f"{str(path)!r} cannot be read: {exc}") from exc


def _require_inside(path: Path, settings: MediaSettings) -> None:
    """Refuse a path that leaves the folder files are confined to, also through a link."""
    for root in settings.roots():
        if not path.resolve().is_relative_to(root):
            raise BadInputError(
                f"{str(path)!r} lies outside {str(root)!r}, the only folder files are read from "
                "here (media root setting, or EMBOW_MEDIA_ROOT)."
            )


def _path_of_uri(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise BadInputError(f"{shown(uri)} names a file on another machine.")
    return Path(url2pathname(parts.path))


def _read_data(uri: str, settings: MediaSettings) -> bytes:
    header, comma, body = uri[5:].partition(",")
    if not comma:
        raise BadInputError("A data address holds no data: there is no comma in it.")
    try:
        raw = unquote_to_bytes(body)
        content = base64.b64decode(raw, validate=True) if header.endswith(";base64") else raw
    except (binascii.Error, ValueError) as exc:
        raise BadInputError(f"A data address is damaged: {exc}") from exc
    return _bounded(content, "A data address", settings)


def _bounded(content: bytes, what: str, settings: MediaSettings) -> bytes:
    if not content:
        raise BadInputError(f"{what} is empty.")
    if len(content) > settings.max_bytes:
        raise BadInputError(
            f"{what} holds more than {settings.max_bytes} bytes. To allow more: "
            'media={"max_bytes": ...}.'
        )
    return content
