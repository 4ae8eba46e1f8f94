"""What sound and video are both read with: decoders, and the clips they are cut into."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embow.errors import BadInputError, MissingSdkError

Floats = NDArray[np.float32]

CLIP_SECONDS = 2


def clip_times(duration: float, clips: int) -> list[tuple[float, float]]:
    """Return starts and ends, in seconds, of clips spread evenly over a duration."""
    last = max(duration - CLIP_SECONDS, 0.0)
    step = last / max(clips - 1, 1)
    return [(step * n, step * n + CLIP_SECONDS) for n in range(clips)]


def decode_audio(content: bytes) -> tuple[Floats, int]:
    """Return samples ``(n, channels)`` from -1 to 1 and their rate.

    Raises:
        BadInputError: The bytes are no sound that can be decoded here.
    """
    import soundfile

    try:
        samples, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as exc:
        return _decode_with_av(content, exc)
    return samples, int(rate)


def load_av() -> Any:
    """Import PyAV.

    Raises:
        MissingSdkError: It is not installed.
    """
    try:
        import av
    except ModuleNotFoundError as exc:
        raise MissingSdkError(
            'Videos are decoded with PyAV, which is not installed. Run: pip install "av>=12".'
        ) from exc
    return av


def _decode_with_av(content: bytes, cause: Exception) -> tuple[NDArray[np.float32], int]:
    """Return the samples of a sound that soundfile cannot read, and their rate.

    Raises:
        BadInputError: PyAV cannot read it either, or is not installed.
    """
    try:
        av = load_av()
    except MissingSdkError as exc:
        raise BadInputError(f"A sound cannot be decoded: {cause}. {exc}") from cause
    try:
        with av.open(io.BytesIO(content)) as container:
            stream = container.streams.audio[0]
            planar = av.AudioResampler(format="fltp", layout="mono", rate=stream.rate)
            parts = [
                part.to_ndarray()[0]
                for frame in container.decode(stream)
                for part in planar.resample(frame)
            ]
            return np.concatenate(parts).astype(np.float32), int(stream.rate)
    except (av.FFmpegError, IndexError, ValueError) as exc:
        raise BadInputError(f"A sound cannot be decoded: {exc}") from exc
