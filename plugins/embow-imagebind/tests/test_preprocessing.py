"""Preprocessing gives the numbers of the libraries that ImageBind's own data module calls."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from embow.media import MediaSettings
from embow_imagebind.audio import CLIPS, clip_times, fbank, prepare_audio, resample
from embow_imagebind.video import frame_numbers, prepare_video
from embow_imagebind.vision import MEAN, STD, prepare_image, prepare_imu, prepare_map

ANY = MediaSettings()
REFERENCE = Path(__file__).parent / "reference"


def sound(rate: int) -> np.ndarray:
    """Return the sound that the reference numbers were made of."""
    time = np.arange(2 * rate) / rate
    noise = np.random.default_rng(0).standard_normal(len(time))
    return (0.4 * np.sin(2 * np.pi * 440 * time * (1 + time / 5)) + 0.05 * noise).astype(np.float32)


@pytest.mark.parametrize("size", [(300, 260), (200, 333), (224, 224), (225, 500)])
def test_an_image_is_prepared_as_by_torchvision(size: tuple[int, int]) -> None:
    """Resizing, cropping and scaling agree to the last bit."""
    from torchvision import transforms

    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    own = transforms.Compose(
        [
            transforms.Resize(224, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(mean=MEAN.tolist(), std=STD.tolist()),
        ]
    )
    torch.testing.assert_close(prepare_image(image, ANY), own(image), rtol=0, atol=1e-6)


def test_a_spectrogram_is_that_of_torchaudio() -> None:
    """The log mel spectrum agrees with Kaldi's as torchaudio computes it."""
    expected = np.load(REFERENCE / "torchaudio.npz")["fbank"]
    np.testing.assert_allclose(fbank(sound(16000))[::8], expected, atol=2e-3)


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_resampling_is_that_of_torchaudio(rate: int) -> None:
    """The same filter, whatever the rate."""
    expected = np.load(REFERENCE / "torchaudio.npz")[str(rate)]
    np.testing.assert_allclose(resample(sound(rate), rate)[:2000], expected, atol=2e-5)


@pytest.mark.parametrize("seconds", [0.1, 1.0, 2.0, 7.3])
def test_a_sound_of_any_length_gives_three_clips(seconds: float) -> None:
    """Short sounds are filled up, long ones sampled, and nothing is NaN."""
    clips = prepare_audio((np.random.default_rng(0).normal(0, 0.1, int(seconds * 16000)), 16000))
    assert clips.shape == (3, 1, 128, 204)
    assert torch.isfinite(clips).all()


def test_clips_are_spread_over_the_duration() -> None:
    """The first clip starts at the start and the last ends at the end."""
    assert clip_times(10, CLIPS) == [(0, 2), (4, 6), (8, 10)]
    assert clip_times(1, CLIPS) == [(0, 2)] * 3


def test_each_clip_of_a_video_gives_its_first_and_last_frame() -> None:
    """Ten frames a second for ten seconds: five clips of two seconds, their ends included."""
    chosen = frame_numbers(np.arange(100) / 10, 10.0)
    assert chosen == [(0, 20), (20, 40), (40, 60), (60, 80), (80, 99)]


def test_a_video_of_an_array_and_of_a_file_have_one_shape(
    make: dict[str, Callable[..., bytes]],
) -> None:
    """Five clips in three crops, two frames each."""
    frames = np.zeros((10, 240, 320, 3), np.uint8)
    for value in ((frames, 5.0), make["video"](1)):
        assert prepare_video(value, ANY).shape == (15, 3, 2, 224, 224)


def test_crops_are_taken_from_left_to_right() -> None:
    """A picture that brightens to the right gives brighter crops, and not upwards."""
    frame = np.broadcast_to(np.linspace(0, 255, 448).astype(np.uint8)[None, :, None], (224, 448, 3))
    crops = prepare_video((np.stack([frame, frame]), 1.0), ANY)[:3].mean(dim=(1, 2, 3, 4))
    assert crops[0] < crops[1] < crops[2]


def test_depth_numbers_are_kept_and_images_scaled() -> None:
    """Floating point maps pass through; whole numbers run from 0 to 1."""
    metres = np.full((224, 300), 7.5, np.float32)
    assert prepare_map(metres, ANY).unique().tolist() == [7.5]
    assert prepare_map(np.full((300, 224), 255, np.uint8), ANY).unique().tolist() == [1.0]


def test_readings_are_read_from_npy_and_stretched() -> None:
    """An array of another length is resampled to 2,000 points, its ends kept."""
    readings = np.random.default_rng(0).normal(size=(6, 123)).astype(np.float32)
    file = io.BytesIO()
    np.save(file, readings)
    prepared = prepare_imu(file.getvalue())
    assert prepared.shape == (6, 2000)
    np.testing.assert_allclose(prepared[:, [0, -1]], readings[:, [0, -1]], atol=1e-6)
