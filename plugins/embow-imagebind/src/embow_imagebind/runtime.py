"""A loaded model. One for each set of weights and device of a process."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embow.embeddings import load_sdk, require_texts
from embow.embeddings.local_models import file_digest, load_on_device
from embow.errors import ConfigurationError
from embow.media import Media, MediaSettings, Modality
from embow_imagebind.audio import prepare_audio
from embow_imagebind.sdk import ImageBind, load_imagebind
from embow_imagebind.video import prepare_video
from embow_imagebind.vision import prepare_image, prepare_imu, prepare_map

if TYPE_CHECKING:
    from torch import Tensor

    from embow.embeddings import EmbeddingFunction

Vectors = NDArray[np.float32]

TOWERS: dict[Modality, str] = {
    "text": "text",
    "image": "vision",
    "video": "vision",
    "audio": "audio",
    "depth": "depth",
    "thermal": "thermal",
    "imu": "imu",
}
"""Which part of the model an input goes through."""


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """Everything that makes one loaded model differ from another."""

    name: str
    checkpoint: str | None
    device: str
    model_kwargs: str


class LoadedModel:
    """An ImageBind model with its tokenizer."""

    def __init__(self, model: Any, sdk: ImageBind, device: str) -> None:
        import torch

        self.model = model
        self._torch = torch
        self._tokenizer = sdk.tokenizer
        self._device = device
        # One forward at a time fills the machine; meanwhile other calls read and decode.
        self._turn = threading.Lock()

    def prepare(self, media: Media, settings: MediaSettings) -> Tensor:
        """Return one input as the tensor its tower takes, without the batch dimension.

        Raises:
            BadInputError: It cannot be decoded.
        """
        value = media.value
        ways: dict[Modality, Callable[[], Tensor]] = {
            "text": lambda: self._tokens(*require_texts([str(value)])),
            "image": lambda: prepare_image(value, settings),
            "video": lambda: prepare_video(value, settings),
            "audio": lambda: prepare_audio(value),
            "depth": lambda: prepare_map(value, settings),
            "thermal": lambda: prepare_map(value, settings),
            "imu": lambda: prepare_imu(value),
        }
        return ways[media.kind]()

    def _tokens(self, text: str) -> Tensor:
        tokens: Tensor = self._tokenizer(text)
        if tokens[-1]:
            # Releases before late 2025 cut off the end mark of a long text, which is where the
            # vector is read from. It is the largest of all token numbers.
            tokens[-1] = max(self._tokenizer.encoder.values())
        return tokens

    def encode(self, kind: Modality, prepared: list[Tensor], normalize: bool) -> Vectors:
        """Run inputs of one modality through the model together; ``(n, ndims)`` float32."""
        torch, tower = self._torch, TOWERS[kind]
        with self._turn, torch.inference_mode():
            batch = torch.stack(prepared).to(self._device)
            vectors = self.model({tower: batch})[tower].reshape(len(prepared), -1)
            if normalize:
                vectors = torch.nn.functional.normalize(vectors, dim=-1)
            return np.ascontiguousarray(vectors.float().cpu().numpy())


def loaded_model(function: EmbeddingFunction, settings: LoadSettings) -> LoadedModel:
    """Return the model, loaded once for a process whatever the number of threads.

    Raises:
        MissingSdkError: ImageBind or a package it imports is not installed.
        ConfigurationError: The weights or the device are not there, or do not fit.
    """
    load_sdk(function, "torch")
    weights = checkpoint_digest(settings.checkpoint) if settings.checkpoint else None
    return load_on_device(
        function, settings, lambda placed: _load(function, placed), checkpoint=weights
    )


def _load(function: EmbeddingFunction, settings: LoadSettings) -> LoadedModel:
    sdk = load_imagebind(function)
    try:
        if settings.checkpoint is None and settings.model_kwargs == "{}":
            model = sdk.models.imagebind_huge(pretrained=True)
        else:
            model = _of_checkpoint(sdk, settings)
    except Exception as exc:
        source = repr(settings.checkpoint) if settings.checkpoint else "the download"
        lines = str(exc).strip().splitlines() or [""]
        raise ConfigurationError(
            f"The weights of {settings.name!r} could not be loaded from {source} "
            f"({type(exc).__name__}: {lines[0]:.200}). Pass checkpoint= with the path of "
            "imagebind_huge.pth, and model_kwargs= where the model has another shape."
        ) from exc
    return LoadedModel(model.eval().to(settings.device), sdk, settings.device)


def _of_checkpoint(sdk: ImageBind, settings: LoadSettings) -> Any:
    import torch

    if settings.checkpoint is None:
        raise ValueError("a model of another shape needs weights of its own")
    shape = json.loads(settings.model_kwargs)
    model = sdk.models.ImageBindModel(**shape) if shape else sdk.models.imagebind_huge()
    # weights_only: a checkpoint cannot run code.
    state = torch.load(_file(settings.checkpoint), map_location="cpu", weights_only=True)
    model.load_state_dict(state)
    return model


def _file(checkpoint: str) -> Path:
    return Path(checkpoint).expanduser().resolve()


def checkpoint_digest(checkpoint: str) -> str:
    """Return ``sha256:`` and the digest of a checkpoint's content.

    Raises:
        ConfigurationError: There is no such file.
    """
    try:
        return f"sha256:{file_digest(_file(checkpoint))}"
    except OSError as exc:
        raise ConfigurationError(f"There is no checkpoint {checkpoint!r}.") from exc
