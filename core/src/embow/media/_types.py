"""An input together with what it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Modality = Literal["text", "image", "audio", "video", "depth", "thermal", "imu"]
"""What an input is."""


@dataclass(frozen=True, slots=True, eq=False)
class Media:
    """An input of a stated kind, where content or name would not tell it, or would tell another.

    ``table.search(embow.media.image("photos/dog.jpg"))`` searches by the picture, with a provider
    that would embed the string as text.

    Attributes:
        kind: What it is.
        value: A path, address, bytes, PIL image or array; for text the string itself.
    """

    kind: Modality
    value: Any


def text(value: str) -> Media:
    """Return a string that is text, even where it looks like a path or an address."""
    return Media("text", value)


def image(value: Any) -> Media:
    """Return an image: path, address, bytes, PIL image, or an array ``(height, width[, 1|3|4])``.

    Arrays hold whole numbers from 0 to 255, or floating point numbers from 0 to 1.
    """
    return Media("image", value)


def audio(value: Any, rate: int | None = None) -> Media:
    """Return a sound: path, address, bytes, or an array of samples with its rate in Hz.

    Arrays are ``(samples,)`` or ``(samples, channels)``, floating point from -1 to 1.
    """
    return Media("audio", value if rate is None else (value, rate))


def video(value: Any, rate: float | None = None) -> Media:
    """Return a video: path, address, bytes, or an array with its frames a second.

    Arrays are ``(frames, height, width, 3)`` of whole numbers from 0 to 255.
    """
    return Media("video", value if rate is None else (value, rate))


def depth(value: Any) -> Media:
    """Return a depth map: path, address, bytes, PIL image, or an array ``(height, width)``."""
    return Media("depth", value)


def thermal(value: Any) -> Media:
    """Return a thermal image: path, address, bytes, PIL image, or an array ``(height, width)``."""
    return Media("thermal", value)


def imu(value: Any) -> Media:
    """Return readings of an inertial unit: an array ``(6, time)``, or a path of a ``.npy`` file."""
    return Media("imu", value)
