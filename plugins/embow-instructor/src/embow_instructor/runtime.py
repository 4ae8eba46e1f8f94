"""A loaded Instructor model, and the way the original package reads instruction and text."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embow.embeddings import TokenCounter, load_sdk
from embow.embeddings.local_models import explain_load_failure, local_folder
from embow.errors import ConfigurationError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from embow.embeddings.local_models import LocalTextModel

PROVIDER = "instructor"
MAX_TOKENS = 512
"""The original package reads this many of any model, whatever the model's configuration says."""


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """Everything that makes one loaded model differ from another."""

    name: str
    device: str
    quantize: bool
    revision: str | None
    cache_folder: str | None
    local_files_only: bool


class LoadedModel:
    """A model whose pooling leaves the prompt out.

    Attributes:
        ndims: Length of the vectors.
        counter: Counts tokens.
    """

    def __init__(self, model: SentenceTransformer, counter: TokenCounter) -> None:
        self._model = model
        self.counter = counter
        # The first call sets up the tokenizer's padding; later ones may then run side by side.
        self.ndims: int = int(np.asarray(model.encode(["a"], show_progress_bar=False)).shape[1])

    def encode(self, instruction: str, texts: list[str], **options: Any) -> NDArray[np.float32]:
        """Return vectors of shape ``(len(texts), ndims)`` float32, in order.

        The original strips the text, puts the instruction straight before it, and leaves as many
        tokens out of the mean as the stripped instruction has alone; none if that is one or
        less. White space at the instruction's end therefore belongs to the text, if there is one.
        """
        prompt, gap = split_instruction(instruction)
        inputs = [(gap + text.strip()).rstrip() for text in texts]
        if self.counter.count([prompt], special=False)[0] <= 1:
            vectors = self._model.encode([prompt + text for text in inputs], **options)
        else:
            vectors = self._model.encode(inputs, prompt=prompt, **options)
        return np.ascontiguousarray(vectors, dtype=np.float32)


def split_instruction(instruction: str) -> tuple[str, str]:
    """Return the stripped instruction, and the white space between it and the text."""
    prompt = instruction.strip()
    return prompt, instruction[len(instruction.rstrip()) :] if prompt else ""


def loaded_model(function: LocalTextModel, settings: LoadSettings) -> LoadedModel:
    """Return the model, loaded once for a process whatever the number of threads.

    Raises:
        MissingSdkError: sentence-transformers is not installed.
        ConfigurationError: The model or the device is not there.
    """
    sdk = load_sdk(function, "sentence_transformers")
    return function.load_model(settings, lambda placed: _load(sdk, placed))


def _load(sdk: Any, settings: LoadSettings) -> LoadedModel:
    try:
        model = sdk.SentenceTransformer(
            str(local_folder(settings.name) or settings.name),
            device=settings.device,
            revision=settings.revision,
            cache_folder=settings.cache_folder,
            local_files_only=settings.local_files_only,
        )
    except Exception as exc:
        raise explain_load_failure(PROVIDER, settings.name, exc) from exc
    counter = TokenCounter.of(model.tokenizer)
    if counter is None:
        raise ConfigurationError(
            f"Model {settings.name!r} has no fast tokenizer (tokenizer.json), which provider "
            f"{PROVIDER!r} needs to count the tokens of instructions."
        )
    model.max_seq_length = MAX_TOKENS
    model.set_pooling_include_prompt(False)
    if settings.quantize:
        model = _quantized(model, settings.device)
    return LoadedModel(model, counter)


def _quantized(model: SentenceTransformer, device: str) -> SentenceTransformer:
    """Return the model with linear layers computed in 8 bits, by torch's engine for this CPU."""
    import torch

    if device != "cpu":
        raise ConfigurationError(
            f"quantize=True works on the CPU alone, and device={device!r} was asked for. Use "
            "device='cpu', or leave quantize out."
        )
    if not hasattr(torch.ao, "quantization"):
        raise ConfigurationError(
            f"torch {torch.__version__} has no dynamic quantization any more: leave quantize out."
        )
    with warnings.catch_warnings():
        # torch announces that this will move to another package; nothing for a user to do yet.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", message="torch.quantize_per_tensor", category=UserWarning)
        quantized: SentenceTransformer = torch.ao.quantization.quantize_dynamic(
            model, {torch.nn.Linear}, dtype=torch.qint8
        )
    return quantized
