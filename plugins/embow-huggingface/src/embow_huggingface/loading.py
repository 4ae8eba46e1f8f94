"""Loading of an encoder: once a process, with errors that say what to do."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embow.embeddings import TokenCounter, load_sdk
from embow.embeddings.local_models import explain_load_failure, local_folder
from embow.errors import ConfigurationError
from embow_huggingface.colbert import Colbert, make_colbert, read_head, read_settings
from embow_huggingface.encoder import Encoder

if TYPE_CHECKING:
    from embow.embeddings.local_models import LocalTextModel

PROVIDER = "huggingface"
METADATA = "artifact.metadata"
"""File with the settings of a ColBERT checkpoint."""

_ARCHITECTURE = "HF_ColBERT"


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """Everything that makes one loaded encoder differ from another."""

    name: str
    device: str
    dtype: str
    revision: str | None
    trust_remote_code: bool
    cache_folder: str | None
    local_files_only: bool
    multivector: bool

    @property
    def hub(self) -> dict[str, Any]:
        """Return the arguments that say where and what to fetch."""
        return {
            "revision": self.revision,
            "cache_dir": self.cache_folder,
            "local_files_only": self.local_files_only,
        }


def loaded_encoder(function: LocalTextModel, settings: LoadSettings) -> Encoder:
    """Return the encoder, loaded once for a process whatever the number of threads.

    Raises:
        MissingSdkError: transformers or torch is not installed.
        ConfigurationError: The model or the device is not there.
    """
    load_sdk(function, "torch")
    sdk = load_sdk(function, "transformers")
    return function.load_model(settings, lambda placed: _load(sdk, placed))


def _load(sdk: Any, settings: LoadSettings) -> Encoder:
    import torch

    source = str(local_folder(settings.name) or settings.name)
    shared = {**settings.hub, "trust_remote_code": settings.trust_remote_code}
    dtype = getattr(torch, settings.dtype)
    try:
        tokenizer = sdk.AutoTokenizer.from_pretrained(source, **shared)
        model = sdk.AutoModel.from_pretrained(source, dtype=dtype, **shared)
        colbert = _load_colbert(settings, tokenizer, model) if settings.multivector else None
    except ConfigurationError:
        raise
    except Exception as exc:
        raise explain_load_failure(PROVIDER, settings.name, exc) from exc
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    # Nothing is generated, so nothing need be kept for the next token.
    model.config.use_cache = False
    return Encoder(
        tokenizer=tokenizer,
        model=model.to(settings.device).eval(),
        colbert=colbert and _on_device(colbert, settings.device, dtype),
        counter=TokenCounter.of(tokenizer),
        lock=threading.Lock(),
    )


def _load_colbert(settings: LoadSettings, tokenizer: Any, model: Any) -> Colbert | None:
    """Return what the checkpoint adds to its encoder; ``None`` where it adds no linear head.

    Raises:
        ConfigurationError: The checkpoint calls itself ColBERT's and its head is not found.
    """
    weights = _file(settings, "model.safetensors") or _file(settings, "pytorch_model.bin")
    head = read_head(weights) if weights else None
    if head is not None:
        metadata = _file(settings, METADATA, known_missing=True)
        return make_colbert(read_settings(metadata), tokenizer, head)
    if _ARCHITECTURE in (model.config.architectures or ()):
        raise ConfigurationError(
            f"Model {settings.name!r} is a ColBERT checkpoint, and neither model.safetensors nor "
            "pytorch_model.bin holds its linear head (linear.weight)."
        )
    return None


def _file(settings: LoadSettings, name: str, *, known_missing: bool = False) -> Path | None:
    """Return where a file of the model lies, fetched where need be; ``None`` if it has none.

    With ``known_missing`` a file that is only absent from the local cache is an error: the
    model may well have it.
    """
    folder = local_folder(settings.name)
    if folder is not None:
        return folder / name if (folder / name).is_file() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(settings.name, name, **settings.hub))
    except EntryNotFoundError as exc:
        if known_missing and isinstance(exc, LocalEntryNotFoundError):
            raise
        return None


def _on_device(colbert: Colbert, device: str, dtype: Any) -> Colbert:
    return replace(colbert, head=colbert.head.to(device=device, dtype=dtype))
