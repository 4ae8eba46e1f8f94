"""Write the spectrogram and the resampled sound that torchaudio makes, for test_preprocessing.py.

torchaudio is what ImageBind's own data module calls. It does not import beside a current CPU build
of torch (2.11 does once the libraries in its ``lib`` folder are deleted), so its numbers
are kept. Run: ``python write_numbers.py``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torchaudio

HERE = Path(__file__).parent
RATE = 16000


def sound(rate: int) -> np.ndarray:
    """Return two seconds of a rising tone with noise."""
    time = np.arange(2 * rate) / rate
    noise = np.random.default_rng(0).standard_normal(len(time))
    return (0.4 * np.sin(2 * np.pi * 440 * time * (1 + time / 5)) + 0.05 * noise).astype(np.float32)


def spectrogram(samples: np.ndarray) -> np.ndarray:
    """Return ``(frames, 128)`` with the settings of ImageBind's data module."""
    wave = torch.from_numpy(samples - samples.mean())[None]
    return torchaudio.compliance.kaldi.fbank(
        wave,
        htk_compat=True,
        sample_frequency=RATE,
        use_energy=False,
        window_type="hanning",
        num_mel_bins=128,
        dither=0.0,
        frame_length=25,
        frame_shift=10,
    ).numpy()


if __name__ == "__main__":
    numbers = {"fbank": spectrogram(sound(RATE))[::8]}
    for rate in (8000, 22050, 44100):
        wave = torch.from_numpy(sound(rate))[None]
        numbers[str(rate)] = torchaudio.functional.resample(wave, rate, RATE)[0].numpy()[:2000]
    np.savez_compressed(HERE / "torchaudio.npz", **numbers)
