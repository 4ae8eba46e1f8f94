"""What can be known of a model without loading it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from embow.embeddings.local_models import local_folder

_WIDTH = ("hidden_size", "d_model", "dim", "n_embd")
"""What configurations call the length of a token's vector."""

_PUBLISHED = {
    "FacebookAI/roberta-base": 768,
    "FacebookAI/xlm-roberta-base": 768,
    "answerdotai/ModernBERT-base": 768,
    "bert-base-uncased": 768,
    "colbert-ir/colbertv2.0": 768,
    "distilbert-base-uncased": 768,
    "distilbert/distilbert-base-uncased": 768,
    "google-bert/bert-base-uncased": 768,
    "microsoft/deberta-v3-base": 768,
    "roberta-base": 768,
    "sentence-transformers/all-MiniLM-L6-v2": 384,
    "sentence-transformers/all-mpnet-base-v2": 768,
    "xlm-roberta-base": 768,
}
_PUBLISHED_COLBERT = {"colbert-ir/colbertv2.0": 128}


def width_of(name: str, *, multivector: bool) -> int | None:
    """Return the length of the vectors a model gives, or ``None`` where it must be loaded."""
    folder = local_folder(name)
    if folder is None:
        return (_PUBLISHED_COLBERT if multivector else _PUBLISHED).get(name)
    if multivector:
        # The head's own shape decides, and that is in the weights.
        return None
    return _folder_width(folder)


def most_tokens(name: str) -> int | None:
    """Return the most tokens a local model can read, or ``None`` where its folder is silent."""
    folder = local_folder(name)
    if folder is None:
        return None
    kept = (
        _read(folder / "config.json").get("max_position_embeddings"),
        _read(folder / "tokenizer_config.json").get("model_max_length"),
    )
    return min((int(n) for n in kept if isinstance(n, int | float) and n > 0), default=None)


def _folder_width(folder: Path) -> int | None:
    config = _read(folder / "config.json")
    return next((config[key] for key in _WIDTH if isinstance(config.get(key), int)), None)


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # What is wrong with the file is told when the model is loaded.
        return {}
    return content if isinstance(content, dict) else {}
