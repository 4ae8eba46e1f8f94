"""What can be known of a model without loading it, or without importing open_clip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from embow.embeddings import local_models
from embow.embeddings.local_models import all_files, file_digest, local_folder
from embow.embeddings.types import names_local_path

RANDOM = "random"
"""Value of ``pretrained`` that asks for weights nobody trained."""

_PREFIX = "local-dir:"
_CONFIG = "open_clip_config.json"
_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)
"""As open_clip looks for them in a folder, the first that is there."""

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
    return int(_model_config(folder)["embed_dim"])


def model_identity(name: str, pretrained: str) -> dict[str, Any]:
    """Return what a model is known by: content where it lies here, else names."""
    folder = model_folder(name)
    if folder is not None:
        return {**local_models.model_identity(str(folder), model_files), "pretrained": ""}
    file = checkpoint(pretrained)
    return {"name": name, "pretrained": f"sha256:{file_digest(file)}" if file else pretrained}


def model_files(folder: Path) -> list[Path]:
    """Return what open_clip reads of a folder: its configuration, weights, and a tokenizer.

    Of several files of weights it takes the first known by name; a tokenizer of transformers
    takes many names.
    """
    config = _model_config(folder)
    chosen = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if chosen is None or "hf_tokenizer_name" in config.get("text_cfg", {}):
        return all_files(folder)
    return [folder / _CONFIG, chosen]


def _model_config(folder: Path) -> dict[str, Any]:
    config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    return dict(config["model_cfg"])


def checkpoint(pretrained: str) -> Path | None:
    """Return the file of weights that ``pretrained`` names, or ``None`` where it is a tag."""
    path = Path(pretrained).expanduser()
    return path.resolve() if path.is_file() else None
