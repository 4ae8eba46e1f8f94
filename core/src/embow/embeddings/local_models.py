"""What providers share that run a model from a folder or from a model hub."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import Field

from embow.embeddings._loading import resolve_device
from embow.embeddings.types import external, local_path, operational
from embow.errors import ConfigurationError

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

_NOT_PART_OF_A_MODEL = (".md", ".gitattributes", ".gitignore", ".jpg", ".png")


def local_folder(name: str | os.PathLike[str]) -> Path | None:
    """Return the absolute folder that ``name`` stands for, or ``None`` where there is none."""
    path = Path(name).expanduser()
    return path.resolve() if path.is_dir() else None


def model_reference(name: str) -> str:
    """Return what a model is known by: its content where it is a folder, else its name.

    A folder is the same model wherever it lies, so its path says nothing; ``sha256:`` and a
    digest of its files does. Hidden files, pictures and Markdown are left out. The digest is
    kept for the life of the process and made again when a file changes.
    """
    folder = local_folder(name)
    if folder is None:
        return name
    return f"sha256:{_digest(folder, _listing(folder))}"


def usable_device(name: str | None) -> str:
    """Return the torch device a name stands for, having made sure that this machine has it.

    Takes what ``resolve_device`` takes, and imports torch.

    Raises:
        ConfigurationError: torch knows no such device, or cannot reach it here.
    """
    import torch

    device = resolve_device(name)
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as exc:
        cause = str(exc).strip().splitlines()[0]
        raise ConfigurationError(
            f"device={name!r} cannot be used here ({cause}). Use device='cpu' or device='auto'."
        ) from exc
    return device


def explain_load_failure(provider: str, name: str, error: BaseException) -> ConfigurationError:
    """Return an error that says why a model could not be loaded, and what mends it.

    Raise it ``from`` the error given.
    """
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


def _listing(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Return ``(relative path, size, modification time in ns)`` of each file of a model."""
    files = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        for name in names:
            if name.startswith(".") or name.lower().endswith(_NOT_PART_OF_A_MODEL):
                continue
            path = Path(parent, name)
            status = path.stat()
            files.append((path.relative_to(folder).as_posix(), status.st_size, status.st_mtime_ns))
    return tuple(sorted(files))


@lru_cache(maxsize=64)
def _digest(folder: Path, listing: tuple[tuple[str, int, int], ...]) -> str:
    whole = hashlib.sha256()
    for relative, _, _ in listing:
        with (folder / relative).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{relative}\0{content}\n".encode())
    return whole.hexdigest()


__all__ = [
    "BatchSize",
    "CacheFolder",
    "Device",
    "LocalFilesOnly",
    "ModelName",
    "Revision",
    "TrustRemoteCode",
    "explain_load_failure",
    "local_folder",
    "model_reference",
    "usable_device",
]
