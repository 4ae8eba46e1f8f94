"""What can be known of a model without loading it, or without importing open_clip."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from embow.embeddings.local_models import local_folder, model_reference
from embow.embeddings.types import names_local_path

RANDOM = "random"
"""Value of ``pretrained`` that asks for weights nobody trained."""

_PREFIX = "local-dir:"
_CONFIG = "open_clip_config.json"

PUBLISHED = {
    "RN50": 1024,
    "RN101": 512,
    "ViT-B-16": 512,
    "ViT-B-32": 512,
    "ViT-L-14": 768,
    "ViT-L-14-336": 768,
    "ViT-H-14": 1024,
    "ViT-g-14": 1024,
    "ViT-bigG-14": 1280,
    "ViT-B-16-SigLIP": 768,
    "ViT-SO400M-14-SigLIP": 1152,
    "convnext_base_w": 640,
    "coca_ViT-L-14": 768,
}
"""Length of the vectors of the models asked for most."""


def model_folder(name: str) -> Path | None:
    """Return the folder of a model given as a path or as ``local-dir:path``, else ``None``."""
    folder = local_folder(name.removeprefix(_PREFIX))
    return folder if folder is not None and (folder / _CONFIG).is_file() else None


def names_local_model(name: Any) -> bool:
    """Tell whether a name stands for a folder on this machine."""
    return names_local_path(name) or str(name).startswith(_PREFIX)


def library_name(name: str) -> str:
    """Return the name as open_clip takes it."""
    folder = model_folder(name)
    return f"{_PREFIX}{folder}" if folder else name


def free_ndims(name: str) -> int | None:
    """Return the length of a model's vectors from its folder or the table above, or ``None``."""
    folder = model_folder(name)
    if folder is None:
        return PUBLISHED.get(name)
    config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    return int(config["model_cfg"]["embed_dim"])


def model_identity(name: str, pretrained: str) -> dict[str, str]:
    """Return what a model is known by: content where it lies here, else names."""
    folder = model_folder(name)
    if folder is not None:
        return {"name": model_reference(str(folder)), "pretrained": ""}
    file = checkpoint(pretrained)
    return {"name": name, "pretrained": _file_reference(file) if file else pretrained}


def checkpoint(pretrained: str) -> Path | None:
    """Return the file of weights that ``pretrained`` names, or ``None`` where it is a tag."""
    path = Path(pretrained).expanduser()
    return path.resolve() if path.is_file() else None


def _file_reference(file: Path) -> str:
    status = file.stat()
    return f"sha256:{_file_digest(file, status.st_size, status.st_mtime_ns)}"


@lru_cache(maxsize=64)
def _file_digest(file: Path, size: int, changed: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
