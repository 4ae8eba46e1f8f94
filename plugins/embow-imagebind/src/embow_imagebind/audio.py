"""Sound to what the model takes: mel spectrograms of three clips of two seconds."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embow.errors import BadInputError
from embow_imagebind.reading import clip_times, decode_audio

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float32]

RATE = 16000
CLIPS = 3
MELS, FRAMES = 128, 204
MEAN, STD = -4.268, 9.138
"""Of the spectrograms ImageBind was trained on, as its data module gives them."""

_WINDOW, _SHIFT, _FFT = 400, 160, 512  # 25 ms, 10 ms, and the next power of two
_PREEMPHASIS = 0.97
_LOWEST_HZ = 20.0


def prepare_audio(value: Any) -> Tensor:
    """Return spectrograms ``(3, 1, 128, 204)`` of encoded bytes or ``(samples, rate)``.

    Raises:
        BadInputError: It cannot be decoded, or is shorter than a window of 25 ms.
    """
    import torch

    samples, rate = value if isinstance(value, tuple) else decode_audio(value)
    mono = resample(_first_channel(samples), rate)
    if len(mono) < _WINDOW:
        raise BadInputError(f"A sound of {len(mono) / RATE:.3f} s is too short to embed.")
    clips = [
        fbank(mono[int(start * RATE) : int(end * RATE)])
        for start, end in clip_times(len(mono) / RATE, CLIPS)
    ]
    return torch.from_numpy(np.stack([_framed(clip) for clip in clips])[:, np.newaxis])


def _first_channel(samples: Any) -> Floats:
    """Return the first channel: ImageBind's own spectrogram reads no other."""
    array = np.asarray(samples, dtype=np.float32)
    if array.ndim not in (1, 2) or not array.size or not np.isfinite(array).all():
        raise BadInputError("A sound is an array (samples,) or (samples, channels) of numbers.")
    return array if array.ndim == 1 else np.ascontiguousarray(array[:, 0])


def resample(samples: Floats, rate: int) -> Floats:
    """Return samples at 16 kHz, by a windowed sinc of six zero crossings, as torchaudio does."""
    if rate == RATE:
        return samples
    if rate <= 0:
        raise BadInputError(f"A sound cannot have {rate} samples a second.")
    common = math.gcd(rate, RATE)
    old, new = rate // common, RATE // common
    kernels, width = _sinc_kernels(old, new)
    count = -(-new * len(samples) // old)
    padded = np.pad(samples, (width, width + old))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernels.shape[1])[::old]
    return np.ascontiguousarray((windows @ kernels.T).ravel()[:count], dtype=np.float32)


@lru_cache(maxsize=16)
def _sinc_kernels(old: int, new: int) -> tuple[Floats, int]:
    """Return one filter for each output phase, and half their width."""
    crossings, rolloff = 6, 0.99
    base = min(old, new) * rolloff
    width = math.ceil(crossings * old / base)
    positions = np.arange(-width, width + old) / old
    times = (np.arange(0, -new, -1)[:, np.newaxis] / new + positions) * base
    times = np.clip(times, -crossings, crossings)
    window = np.cos(times * np.pi / crossings / 2) ** 2
    return (np.sinc(times) * window * (base / old)).astype(np.float32), width


def fbank(samples: Floats) -> Floats:
    """Return the log mel spectrum ``(frames, 128)`` of 16 kHz samples, computed as Kaldi does.

    Frames of 25 ms every 10 ms, mean removed, pre-emphasis, Hann window, power spectrum.
    """
    centred = samples - samples.mean(dtype=np.float32)
    if len(centred) < _WINDOW:  # a clip past the end of a short sound
        centred = np.pad(centred, (0, _WINDOW - len(centred)))
    frames = np.lib.stride_tricks.sliding_window_view(centred, _WINDOW)[::_SHIFT]
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / (_WINDOW - 1))
    windowed = (frames - _PREEMPHASIS * before) * hann.astype(np.float32)
    power = np.abs(np.fft.rfft(windowed, _FFT)) ** 2
    mel = power @ _mel_filters().T
    return np.log(np.maximum(mel, np.finfo(np.float32).eps)).astype(np.float32)


@lru_cache(maxsize=1)
def _mel_filters() -> NDArray[np.float64]:
    """Return triangular filters ``(128, 257)``, evenly spaced in mel from 20 Hz to 8 kHz."""
    low, high = _mel(_LOWEST_HZ), _mel(RATE / 2)
    edges = np.linspace(low, high, MELS + 2)
    at = _mel(np.arange(_FFT // 2 + 1) * RATE / _FFT)
    at[-1] = np.inf  # Kaldi leaves out the bin at half the rate
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (at - left) / (centre - left), (right - at) / (right - centre)
    filters: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    return filters


def _mel(hertz: Any) -> Any:
    return 1127.0 * np.log1p(np.asarray(hertz, dtype=np.float64) / 700.0)


def _framed(spectrum: Floats) -> Floats:
    """Return ``(128, 204)``: cut, or filled up with silence before normalisation."""
    kept = spectrum[:FRAMES].T
    padded = np.pad(kept, ((0, 0), (0, FRAMES - kept.shape[1])))
    return ((padded - MEAN) / STD).astype(np.float32)
