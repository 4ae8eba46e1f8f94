"""Video to what the model takes. Needs the extra ``video``."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embow.errors import BadInputError
from embow.media import MediaSettings
from embow_imagebind.reading import CLIP_SECONDS, clip_times, load_av
from embow_imagebind.vision import MEAN, SIZE, STD

if TYPE_CHECKING:
    from torch import Tensor

CLIPS, FRAMES, CROPS = 5, 2, 3
Pixels = NDArray[np.uint8]


def prepare_video(value: Any, settings: MediaSettings) -> Tensor:
    """Return ``(15, 3, 2, 224, 224)``: five clips of two frames, each in three crops.

    Args:
        value: Encoded bytes, or ``(frames, rate)`` with frames ``(n, height, width, 3)``.
        settings: Limits of size.

    Raises:
        BadInputError: It cannot be decoded, or has no frames.
    """
    import torch

    frames = _of_array(*value) if isinstance(value, tuple) else _decode(value, settings)
    crops = [crop for pair in frames for crop in _crops(torch.from_numpy(pair))]
    return torch.stack(crops)


def _of_array(frames: Any, rate: float) -> list[Pixels]:
    array = np.asarray(frames)
    if array.ndim != 4 or array.shape[3] != 3 or array.dtype != np.uint8 or not len(array):
        raise BadInputError("A video is an array (frames, height, width, 3) of uint8.")
    times = np.arange(len(array)) / rate
    chosen = frame_numbers(times, len(array) / rate)
    return [array[list(pair)] for pair in chosen]


def frame_numbers(times: NDArray[np.float64], duration: float) -> list[tuple[int, int]]:
    """Return, for each clip, the first and the last of its frames."""
    chosen = []
    for start, end in clip_times(duration, CLIPS):
        inside = np.flatnonzero((times >= start) & (times <= min(end, start + CLIP_SECONDS)))
        if not len(inside):
            inside = np.array([int(np.abs(times - start).argmin())])
        chosen.append((int(inside[0]), int(inside[-1])))
    return chosen


def _decode(content: bytes, settings: MediaSettings) -> list[Pixels]:
    """Return the two frames of each clip, decoding twice so that one video is never all held."""
    av = load_av()
    try:
        times = _frame_times(av, content, settings)
        step = float(np.diff(times).mean()) if len(times) > 1 else 0.0
        chosen = frame_numbers(times - times[0], float(times[-1] - times[0]) + step)
        wanted = {number for pair in chosen for number in pair}
        kept: dict[int, Pixels] = {}
        with av.open(io.BytesIO(content)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number in wanted:
                    kept[number] = frame.to_ndarray(format="rgb24")
    except (av.FFmpegError, IndexError, ValueError) as exc:
        raise BadInputError(f"A video cannot be decoded: {exc}") from exc
    return [np.stack([kept[number] for number in pair]) for pair in chosen]


def _frame_times(av: Any, content: bytes, settings: MediaSettings) -> NDArray[np.float64]:
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.video[0]
        if stream.width * stream.height > settings.max_pixels:
            raise BadInputError(
                f"A video of {stream.width} x {stream.height} has more than {settings.max_pixels} "
                'pixels. To allow more: media={"max_pixels": ...}.'
            )
        times = [frame.time or 0.0 for frame in container.decode(stream)]
    if not times:
        raise BadInputError("A video has no frames.")
    return np.array(times)


def _crops(pair: Tensor) -> list[Tensor]:
    """Return the left, middle and right (or upper, middle and lower) squares of two frames."""
    import torch

    frames = pair.permute(0, 3, 1, 2).float() / 255
    height, width = frames.shape[2:]
    short = min(height, width)
    size = (
        (SIZE, int(width / short * SIZE))
        if height == short
        else (
            int(height / short * SIZE),
            SIZE,
        )
    )
    frames = torch.nn.functional.interpolate(frames, size=size, mode="bilinear")
    mean, std = (torch.from_numpy(v)[:, None, None] for v in (MEAN, STD))
    frames = ((frames - mean) / std).permute(1, 0, 2, 3)
    room = max(size) - SIZE
    starts = (0, -(-room // 2), room)
    along = 2 if size[0] > size[1] else 3
    return [frames.narrow(along, start, SIZE).contiguous() for start in starts]
