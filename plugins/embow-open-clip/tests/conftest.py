"""A tiny CLIP model made here with a fixed seed, and images to embed."""

from __future__ import annotations

import importlib
import io
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

# torchvision from PyPI does not go with a CPU build of torch. Processes the tests start need this
# as well.
sys.path.insert(0, str(Path(__file__).parents[3] / "tests/support/cpu_torchvision"))
importlib.import_module("mend_torchvision")

TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16, "head_width": 32},
    "text_cfg": {
        "context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1,
    },
}  # fmt: skip


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a folder with the tiny model, as open_clip saves one."""
    import open_clip
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("clip")
    configs = tmp_path_factory.mktemp("configs")
    (configs / "tiny-clip.json").write_text(json.dumps(TINY))
    open_clip.add_model_config(configs)
    torch.manual_seed(7)
    model = open_clip.create_model("tiny-clip")
    save_file(model.state_dict(), path / "open_clip_model.safetensors")
    torch.save(model.state_dict(), path / "weights.pt")
    preprocess = {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD}
    config = {"model_cfg": TINY, "preprocess_cfg": preprocess}
    (path / "open_clip_config.json").write_text(json.dumps(config))
    return str(path)


def picture(seed: int) -> Image.Image:
    """Return an image of noise, another one for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 40, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def png(seed: int) -> bytes:
    """Return such an image as PNG."""
    file = io.BytesIO()
    picture(seed).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def images() -> list[bytes]:
    """Return six images as PNG."""
    return [png(seed) for seed in range(6)]


@pytest.fixture(scope="session")
def noise() -> Any:
    """Return a maker of images as PNG, by seed."""
    return png


@pytest.fixture(scope="session")
def reference(folder: str) -> Any:
    """Return open_clip's own vectors of images or texts, one input at a time."""
    import open_clip

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    model.eval()

    def embed(value: Any) -> np.ndarray:
        with torch.inference_mode():
            if isinstance(value, str):
                return model.encode_text(tokenizer([value]), normalize=True)[0].numpy()
            pixels = preprocess(Image.open(io.BytesIO(value)))[None]
            return model.encode_image(pixels, normalize=True)[0].numpy()

    return embed


@pytest.fixture
def site(tmp_path: Path, images: list[bytes]) -> Iterator[list[str]]:
    """Serve the six images on loopback; return their addresses."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = images[int(self.path.strip("/").removesuffix(".png"))]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield [f"http://127.0.0.1:{server.server_port}/{n}.png" for n in range(len(images))]
    server.shutdown()
    server.server_close()
    thread.join()
