"""A loaded model. One for each model, weights and device of a process."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embow.embeddings import load_sdk
from embow.embeddings.local_models import load_on_device
from embow.errors import ConfigurationError
from embow_open_clip.catalog import (
    RANDOM,
    checkpoint,
    library_name,
    model_folder,
    model_identity,
)

if TYPE_CHECKING:
    from torch import Tensor

    from embow.embeddings import EmbeddingFunction

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """Everything that makes one loaded model differ from another."""

    name: str
    pretrained: str
    device: str
    precision: str
    cache_dir: str | None


class LoadedModel:
    """A CLIP model with its preprocessing and its tokenizer."""

    def __init__(
        self, model: Any, preprocess: Any, tokenizer: Any, device: str, dtype: Any
    ) -> None:
        import torch

        self.model = model
        self._torch = torch
        self._preprocess = preprocess
        self._tokenizer = tokenizer
        self._device = device
        self._dtype = dtype
        # One forward at a time fills the machine; meanwhile other calls read and decode.
        self._turn = threading.Lock()

    def prepare_image(self, image: Any) -> Tensor:
        """Return a PIL image as the tensor the model takes: ``(3, height, width)``."""
        prepared: Tensor = self._preprocess(image)
        return prepared

    def encode_images(self, prepared: list[Tensor], normalize: bool) -> Vectors:
        """Run prepared images through the model together; ``(n, ndims)`` float32."""
        torch = self._torch
        with self._turn, torch.inference_mode():
            batch = torch.stack(prepared).to(self._device, self._dtype)
            return _numpy(self.model.encode_image(batch), normalize)

    def encode_texts(self, texts: list[str], normalize: bool) -> Vectors:
        """Run texts through the model together; ``(n, ndims)`` float32."""
        with self._turn, self._torch.inference_mode():
            tokens = self._tokenizer(texts).to(self._device)
            return _numpy(self.model.encode_text(tokens), normalize)


def _numpy(vectors: Tensor, normalize: bool) -> Vectors:
    found = vectors.float()  # in half precision no vector would have exactly length 1
    if normalize:
        found = found / found.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    return np.ascontiguousarray(found.cpu().numpy())


def config_ndims(function: EmbeddingFunction, name: str) -> int:
    """Return the length of a model's vectors from open_clip's list of configurations.

    Raises:
        ConfigurationError: It has no such model.
    """
    config = load_sdk(function, "open_clip").get_model_config(name)
    if config is None:
        raise _unknown_model(function, name)
    return int(config["embed_dim"])


def loaded_model(function: EmbeddingFunction, settings: LoadSettings) -> LoadedModel:
    """Return the model, loaded once for a process whatever the number of threads.

    Raises:
        MissingSdkError: open_clip or torch is not installed.
        ConfigurationError: The model, its weights or the device are not there.
    """
    load_sdk(function, "torch")
    sdk = load_sdk(function, "open_clip")
    identity = model_identity(settings.name, settings.pretrained)
    shared_under = {name: identity[name] for name in ("name", "pretrained")}
    return load_on_device(
        function, settings, lambda placed: _load(function, sdk, placed), **shared_under
    )


def _load(function: EmbeddingFunction, sdk: Any, settings: LoadSettings) -> LoadedModel:
    folder = model_folder(settings.name)
    name = library_name(settings.name)
    if folder is None and sdk.get_model_config(name) is None:
        raise _unknown_model(function, settings.name)
    file = checkpoint(settings.pretrained)
    weights = str(file) if file else settings.pretrained
    try:
        model, _, preprocess = sdk.create_model_and_transforms(
            name,
            # A folder brings its weights; open_clip gives random ones where it is told nothing.
            pretrained=None if folder or settings.pretrained == RANDOM else weights,
            precision=settings.precision,
            device=settings.device,
            cache_dir=settings.cache_dir,
        )
        tokenizer = sdk.get_tokenizer(name)
    except Exception as exc:
        raise _unloadable(sdk, settings, exc) from exc
    # Some parameters stay in float32 whatever the precision, so they do not tell.
    dtype = sdk.get_input_dtype(settings.precision)
    return LoadedModel(model.eval(), preprocess, tokenizer, settings.device, dtype)


def _unknown_model(function: EmbeddingFunction, name: str) -> ConfigurationError:
    names = load_sdk(function, "open_clip").list_models()
    return ConfigurationError(
        f"open_clip has no model {name!r}, and it is no folder with open_clip_config.json. "
        f"It has {len(names)} models: open_clip.list_models() lists them."
    )


def _unloadable(sdk: Any, settings: LoadSettings, error: Exception) -> ConfigurationError:
    tags = ", ".join(sdk.list_pretrained_tags_by_model(settings.name)) or "none"
    cause = str(error).strip().splitlines() or [type(error).__name__]
    return ConfigurationError(
        f"open_clip could not load {settings.name!r} with pretrained={settings.pretrained!r} "
        f"({cause[0]:.200}). pretrained is a published tag (here: {tags}), which is downloaded, or "
        "the path of a checkpoint file; or give a folder saved by open_clip as name."
    )
