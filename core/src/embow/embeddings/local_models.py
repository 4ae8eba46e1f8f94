"""What providers share that run a model from a folder or from a model hub."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import os
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import Field

from embow._processes import in_child
from embow.embeddings._base import TextEmbeddingFunction, require_texts
from embow.embeddings._loading import load_once
from embow.embeddings._model_files import (
    all_files,
    digests,
    file_digest,
    sentence_transformers_files,
    transformers_files,
)
from embow.embeddings.types import Limits, external, local_path, operational
from embow.errors import ConfigurationError

if TYPE_CHECKING:
    from embow.embeddings._provider import Provider
    from embow.embeddings._tokens import TokenCounter

T = TypeVar("T")

# Settings that repeat: annotate a field with one and give it a default.

ModelName = Annotated[
    str, local_path, Field(description="Model on the Hugging Face hub, or a local folder.")
]
Device = Annotated[
    str,
    operational,
    Field(description='"cpu", "gpu", "cuda", "cuda:1", "mps" or "auto".'),
]
BatchSize = Annotated[
    int, operational, Field(ge=1, description="Texts that go through the model together.")
]
Revision = Annotated[
    str | None, Field(description="Branch, tag or commit of the model on the hub.")
]
TrustRemoteCode = Annotated[
    bool, operational, external, Field(description="Run Python code that comes with the model.")
]
CacheFolder = Annotated[
    str | None, operational, external, Field(description="Where downloaded models are kept.")
]
LocalFilesOnly = Annotated[bool, operational, Field(description="Never ask the hub.")]


def local_folder(name: str | os.PathLike[str]) -> Path | None:
    """Return the absolute folder that ``name`` stands for, or ``None`` where there is none."""
    path = Path(name).expanduser()
    return path.resolve() if path.is_dir() else None


def model_identity(
    name: str, files: Callable[[Path], Iterable[Path]] = all_files
) -> dict[str, Any]:
    """Return what a model is known by: its content where it is a folder, else its name.

    A folder is the same model wherever it lies, so its path says nothing: ``name`` is then
    ``sha256:`` and a digest of its files, and ``files`` has a short one of each.

    Args:
        name: Of a hub, or a folder's.
        files: Returns those that count. All do, but hidden ones, pictures and Markdown.
    """
    folder = local_folder(name)
    if folder is None:
        return {"name": name}
    found = digests(folder, files(folder))
    whole = "".join(f"{path}\0{digest}\n" for path, digest in found.items())
    return {
        "name": f"sha256:{hashlib.sha256(whole.encode()).hexdigest()}",
        "files": {path: digest[:16] for path, digest in found.items()},
    }


def usable_device(name: str | None) -> str:
    """Return the torch device a name stands for, having made sure that this machine has it.

    ``"gpu"`` is CUDA or Apple's MPS, whichever is there; ``"auto"`` and ``None`` are the same with
    the CPU as last resort. Other names, such as ``"cpu"`` or ``"cuda:1"``, stay as they are.

    Raises:
        ConfigurationError: torch knows no such device, or cannot reach it here.
    """
    torch = importlib.import_module("torch")
    device = "auto" if name is None else name.strip().lower()
    if device in ("auto", "gpu"):
        mps = "mps" if torch.backends.mps.is_available() else ""
        found = "cuda" if torch.cuda.is_available() else mps
        if not found and device == "gpu":
            raise ConfigurationError(
                "device='gpu' was asked for, and torch sees neither CUDA nor MPS. Use "
                "device='cpu', device='auto', or install a torch build for this machine's GPU."
            )
        device = found or "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as exc:
        cause = str(exc).strip().splitlines()[0]
        raise ConfigurationError(
            f"device={name!r} cannot be used here ({cause}). Use device='cpu' or device='auto'."
        ) from exc
    _compute_in_one_thread_after_fork()
    return device


@lru_cache(maxsize=1)
def _compute_in_one_thread_after_fork() -> None:
    """Keep children of this process from waiting for threads of torch, which no fork copies."""
    in_child(_compute_in_one_thread)


def _compute_in_one_thread() -> None:
    sys.modules["torch"].set_num_threads(1)


def load_on_device(
    function: Provider, settings: Any, load: Callable[[Any], T], **identity: Any
) -> T:
    """Return what ``load`` makes of settings, once a process whatever the number of threads.

    Args:
        function: Whose model it is.
        settings: A frozen dataclass with a field ``device``.
        load: Called with the settings, whose device is then one torch knows.
        identity: Fields of the settings to share the model under instead: content, not a path.

    Raises:
        ConfigurationError: The device is not there.
    """
    placed = dataclasses.replace(settings, device=usable_device(settings.device))
    key = (function.name_of_provider(), dataclasses.replace(placed, **identity))
    return load_once(key, lambda: load(placed))


def explain_load_failure(provider: str, name: str, error: BaseException) -> ConfigurationError:
    """Return an error that says why a model could not be loaded, and what mends it.

    Raise it ``from`` the error given.
    """
    if "trust_remote_code" in str(error):
        return ConfigurationError(
            f"Model {name!r} brings its own Python code. Read that code, and if you trust it, pass "
            "trust_remote_code=True; better with a revision, so that it cannot change."
        )
    lines = str(error).strip().splitlines()
    cause = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    if local_folder(name) is not None:
        return ConfigurationError(
            f"The folder {name!r} holds no model that {provider} can load ({cause})."
        )
    return ConfigurationError(
        f"Model {name!r} of {provider} is neither a folder here nor in the local cache of the "
        f"model hub, and the hub did not deliver it ({cause}). "
        f"Give a local folder as name, or fetch the model once where there is a network: "
        f"hf download {name}"
    )


class LocalTextModel(TextEmbeddingFunction):
    """A text model of the Hugging Face hub, or of a folder, that runs in this process.

    A provider derives from it, gives ``name`` a default, and adds the settings that are its own.
    """

    name: ModelName
    device: Device = "cpu"
    batch_size: BatchSize = 32
    revision: Revision = None
    cache_folder: CacheFolder = None
    local_files_only: LocalFilesOnly = False

    @abstractmethod
    def counter(self) -> TokenCounter | None:
        """Return what counts tokens with the model's own tokenizer, where it can."""

    @abstractmethod
    def max_tokens(self) -> int | None:
        """Return how many tokens are read of one text, ``None`` where there is no limit."""

    def model_files(self, folder: Path) -> Iterable[Path]:
        """Return the files of a local model that change its vectors."""
        return all_files(folder)

    def load_model(self, settings: Any, load: Callable[[Any], T]) -> T:
        """Return what ``load`` makes of settings, as :func:`load_on_device`; content is the key."""
        name = model_identity(self.name, self.model_files)["name"]
        return load_on_device(self, settings, load, name=name)

    def limits(self) -> Limits:
        """Return the longest input in tokens. Calls run one at a time: one fills the machine."""
        return Limits(max_tokens_per_item=self.max_tokens(), max_concurrency=1)

    def count_tokens(self, inputs: Sequence[Any]) -> list[int]:
        """Count the tokens of each text with the model's tokenizer, special ones included."""
        texts = require_texts(list(inputs))
        counter = self.counter()
        return super().count_tokens(texts) if counter is None else counter.count(texts)

    def truncate(self, value: Any, max_tokens: int) -> Any:
        """Cut a text after ``max_tokens`` tokens, where the model would stop reading."""
        counter = self.counter()
        if counter is None or not isinstance(value, str):
            return super().truncate(value, max_tokens)
        return counter.cut(value, max_tokens)

    def identity(self) -> dict[str, Any]:
        """Return what changes the vectors; a local folder counts by its content, not its path."""
        found = super().identity() | model_identity(self.name, self.model_files)
        # Only a hub knows revisions.
        return found | {"revision": None} if "files" in found else found


__all__ = [
    "BatchSize",
    "CacheFolder",
    "Device",
    "LocalFilesOnly",
    "LocalTextModel",
    "ModelName",
    "Revision",
    "TrustRemoteCode",
    "all_files",
    "explain_load_failure",
    "file_digest",
    "load_on_device",
    "local_folder",
    "model_identity",
    "sentence_transformers_files",
    "transformers_files",
    "usable_device",
]
