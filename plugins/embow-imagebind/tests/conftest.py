"""A tiny model of ImageBind's classes made here with a fixed seed, and inputs of every modality."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

# torchvision from PyPI does not go with a CPU build of torch. Processes the tests start need this
# as well.
sys.path.insert(0, str(Path(__file__).parents[3] / "tests/support/cpu_torchvision"))
importlib.import_module("mend_torchvision")

PARTS = ("vision", "text", "audio", "depth", "thermal", "imu")
SHAPE: dict[str, int] = {
    "out_embed_dim": 32,
    **{f"{part}_embed_dim": 64 for part in PARTS},
    **{f"{part}_num_blocks": 1 for part in PARTS},
    **{f"{part}_num_heads": 4 for part in PARTS},
}


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return settings that load the tiny model from a checkpoint."""
    import torch

    from embow_imagebind import ImageBindEmbeddings
    from embow_imagebind.sdk import load_imagebind

    sdk = load_imagebind(ImageBindEmbeddings.create())
    torch.manual_seed(3)
    file = tmp_path_factory.mktemp("weights") / "tiny.pth"
    torch.save(sdk.models.ImageBindModel(**SHAPE).state_dict(), file)
    return {"checkpoint": str(file), "model_kwargs": SHAPE}


def png(seed: int, size: tuple[int, int] = (300, 260)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def wav(seed: int, seconds: float = 3.0, rate: int = 22050) -> bytes:
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, int(seconds * rate))
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def mp4(seed: int, seconds: int = 3) -> bytes:
    import av

    rng = np.random.default_rng(seed)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 320, 256, "yuv420p"
        for _ in range(8 * seconds):
            coarse = rng.integers(0, 256, (8, 10, 3), dtype=np.uint8)
            pixels = coarse.repeat(32, axis=0).repeat(32, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


@pytest.fixture(scope="session")
def make() -> dict[str, Callable[..., bytes]]:
    """Return makers of encoded media, by modality and seed."""
    return {"image": png, "audio": wav, "video": mp4}
