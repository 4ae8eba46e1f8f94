"""Decode images, with Pillow."""

from __future__ import annotations

import importlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embow.errors import BadInputError, MissingSdkError
from embow.media._detect import is_pil
from embow.media._reading import read_bytes
from embow.media._settings import MediaSettings
from embow.media._types import Media

if TYPE_CHECKING:
    from PIL.Image import Image

# Pillow knows more, and runs other programs for some of them (Ghostscript for EPS).
_FORMATS = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")


def open_image(value: Any, settings: MediaSettings) -> Image:
    """Return an input as a decoded PIL image, in the mode it has.

    Args:
        value: A path, an address, encoded bytes, a PIL image, an array ``(height, width)`` or
            ``(height, width, 1|3|4)``, or a :class:`~embow.media.Media` that holds one of these.
        settings: Limits of size and place.

    Raises:
        BadInputError: It cannot be read or decoded, or has too many pixels.
        MissingSdkError: Pillow is not installed.
    """
    given = value.value if isinstance(value, Media) else value
    if is_pil(given):
        return _loaded(given, settings)
    if isinstance(given, np.ndarray):
        _require_few_pixels(given.shape[1::-1], settings)
        return _of_array(given)
    return _decode(read_bytes(given, settings), settings)


def _decode(content: bytes, settings: MediaSettings) -> Image:
    pil = _pillow()
    try:
        image = pil.open(io.BytesIO(content), formats=[f for f in _FORMATS if f in _known(pil)])
    except (pil.DecompressionBombError, pil.DecompressionBombWarning) as exc:
        raise BadInputError(f"An image has too many pixels: {exc}") from exc
    except pil.UnidentifiedImageError as exc:
        raise BadInputError(
            f"{len(content)} bytes that begin with {content[:8]!r} are no image Pillow can read."
        ) from exc
    except Exception as exc:  # decoders raise anything on damaged data
        raise _undecodable(exc) from exc
    return _loaded(image, settings)


def _loaded(image: Any, settings: MediaSettings) -> Image:
    _require_few_pixels(image.size, settings)
    try:
        image.load()
    except Exception as exc:
        raise _undecodable(exc) from exc
    loaded: Image = image
    return loaded


def _undecodable(error: Exception) -> BadInputError:
    return BadInputError(f"An image cannot be decoded: {type(error).__name__}: {error}")


def _require_few_pixels(size: tuple[int, ...], settings: MediaSettings) -> None:
    width, height = size if len(size) == 2 else (0, 0)
    if width * height > settings.max_pixels:
        raise BadInputError(
            f"An image of {width} x {height} has more than {settings.max_pixels} pixels. To allow "
            'more: media={"max_pixels": ...}.'
        )


def _of_array(array: NDArray[Any]) -> Image:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or not array.size:
        raise BadInputError(
            f"An array of shape {array.shape} is no image; expected (height, width) or "
            "(height, width, 1, 3 or 4)."
        )
    pixels = _as_uint8(array)
    image: Image = _pillow().fromarray(
        pixels[:, :, 0] if array.ndim == 3 and channels == 1 else pixels
    )
    return image


def _as_uint8(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Return pixels as bytes; floating point ones run from 0 to 1, whole ones from 0 to 255."""
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    most = 1 if array.dtype.kind in "fb" else 255
    if array.dtype.kind not in "buif" or not (array >= 0).all() or not (array <= most).all():
        raise BadInputError(
            f"The pixels of an image array must lie from 0 to {most} where they are {array.dtype}."
        )
    return np.round(array.astype(np.float32) * (255 / most)).astype(np.uint8)


def _pillow() -> Any:
    try:
        return importlib.import_module("PIL.Image")
    except ModuleNotFoundError as exc:
        raise MissingSdkError(
            "Images are decoded with Pillow, which is not installed. Run: "
            'pip install "pillow>=10.3".'
        ) from exc


def _known(pil: Any) -> dict[str, Any]:
    """Return the formats this build of Pillow has."""
    pil.init()
    formats: dict[str, Any] = pil.OPEN
    return formats
