"""Images, depth maps, thermal images and IMU readings to what the model takes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embow.errors import BadInputError
from embow.media import MediaSettings, open_image

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

SIZE = 224
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], dtype=np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], dtype=np.float32)
"""Of the images CLIP was trained on, which ImageBind builds upon."""

IMU_SHAPE = (6, 2000)


def prepare_image(value: Any, settings: MediaSettings) -> Tensor:
    """Return ``(3, 224, 224)``: the shorter side resized to 224, the centre cut out, scaled."""
    import torch

    image = _cropped(open_image(value, settings).convert("RGB"))
    pixels = (np.asarray(image, dtype=np.float32) / 255 - MEAN) / STD
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def prepare_map(value: Any, settings: MediaSettings) -> Tensor:
    """Return ``(1, 224, 224)`` of a depth map or thermal image.

    Floating point numbers are taken as they are; whole ones are scaled to run from 0 to 1.
    """
    import torch
    from PIL import Image

    numbers = _one_channel(value, settings)
    image = _cropped(Image.fromarray(numbers))
    return torch.from_numpy(np.asarray(image, dtype=np.float32)[np.newaxis].copy())


def prepare_imu(value: Any) -> Tensor:
    """Return ``(6, 2000)`` of an array ``(6, time)`` or the bytes of a ``.npy`` file."""
    import torch

    if isinstance(value, bytes):
        try:
            value = np.load(io.BytesIO(value), allow_pickle=False)
        except (ValueError, EOFError, OSError) as exc:
            raise BadInputError(f"IMU readings are read from .npy files only: {exc}") from exc
    readings = np.asarray(value, dtype=np.float32)
    channels, length = IMU_SHAPE
    if readings.ndim != 2 or readings.shape[0] != channels or readings.shape[1] < 2:
        raise BadInputError(
            f"IMU readings are an array (6, time), three of acceleration and three of rotation, "
            f"not {readings.shape}."
        )
    if readings.shape[1] != length:
        old, new = np.linspace(0, 1, readings.shape[1]), np.linspace(0, 1, length)
        readings = np.stack([np.interp(new, old, row) for row in readings]).astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(readings))


def _cropped(image: Image) -> Image:
    """Return the centre of an image whose shorter side was resized to 224."""
    from PIL.Image import Resampling

    width, height = image.size
    scale = SIZE / min(width, height)
    # The longer side is cut down to whole pixels, as torchvision does.
    size = (
        (SIZE, int(SIZE * height / width))
        if width <= height
        else (
            int(SIZE * width / height),
            SIZE,
        )
    )
    resized = image.resize(size, Resampling.BICUBIC) if scale != 1 else image
    left, top = round((size[0] - SIZE) / 2), round((size[1] - SIZE) / 2)
    return resized.crop((left, top, left + SIZE, top + SIZE))


def _one_channel(value: Any, settings: MediaSettings) -> NDArray[np.float32]:
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.ndim == 2:
        return value.astype(np.float32)
    image = open_image(value, settings)
    if image.mode in ("F", "I", "I;16"):
        most = {"F": 1, "I": 65535, "I;16": 65535}[image.mode]
        return np.asarray(image, dtype=np.float32) / np.float32(most)
    return np.asarray(image.convert("L"), dtype=np.float32) / np.float32(255)
