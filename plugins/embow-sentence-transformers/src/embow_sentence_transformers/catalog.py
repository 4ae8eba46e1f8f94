"""What can be known of a model without loading it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embow.embeddings.local_models import local_folder

HUB_ORGANISATION = "sentence-transformers"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Facts of a model, ``None`` where they cannot be told without loading it.

    Attributes:
        ndims: Length of the vectors.
        max_tokens: Tokens read of one text. ``None`` also where the model puts prompts of its own
            before a text, because the tokenizer must tell how much room they take.
    """

    ndims: int | None = None
    max_tokens: int | None = None


UNKNOWN = ModelFacts()

_PUBLISHED: dict[str, tuple[int, int | None]] = {
    "BAAI/bge-base-en-v1.5": (768, 512),
    "BAAI/bge-large-en-v1.5": (1024, 512),
    "BAAI/bge-m3": (1024, 8192),
    "BAAI/bge-small-en-v1.5": (384, 512),
    "intfloat/e5-base-v2": (768, None),
    "intfloat/e5-large-v2": (1024, None),
    "intfloat/e5-small-v2": (384, None),
    "intfloat/multilingual-e5-base": (768, None),
    "intfloat/multilingual-e5-large": (1024, None),
    "intfloat/multilingual-e5-small": (384, None),
    "minishlab/potion-base-8M": (256, None),
    "mixedbread-ai/mxbai-embed-large-v1": (1024, None),
    "sentence-transformers/LaBSE": (768, 256),
    "sentence-transformers/all-MiniLM-L12-v2": (384, 128),
    "sentence-transformers/all-MiniLM-L6-v2": (384, 256),
    "sentence-transformers/all-distilroberta-v1": (768, 512),
    "sentence-transformers/all-mpnet-base-v2": (768, 384),
    "sentence-transformers/multi-qa-MiniLM-L6-cos-v1": (384, 512),
    "sentence-transformers/multi-qa-mpnet-base-dot-v1": (768, 512),
    "sentence-transformers/paraphrase-MiniLM-L3-v2": (384, 128),
    "sentence-transformers/paraphrase-MiniLM-L6-v2": (384, 128),
    "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2": (384, 128),
    "sentence-transformers/paraphrase-multilingual-mpnet-base-v2": (768, 128),
    "sentence-transformers/static-retrieval-mrl-en-v1": (1024, None),
    "sentence-transformers/static-similarity-mrl-multilingual-v1": (1024, None),
    "thenlper/gte-base": (768, 512),
    "thenlper/gte-large": (1024, 512),
    "thenlper/gte-small": (384, 512),
}


def hub_name(name: str) -> str:
    """Return a model's full name: one without an organisation is one of the library's own."""
    return name if "/" in name else f"{HUB_ORGANISATION}/{name}"


def facts_of(name: str) -> ModelFacts:
    """Return what the folder's own configuration, or the table above, says of a model."""
    folder = local_folder(name)
    if folder is not None:
        return _read_folder(folder)
    published = _PUBLISHED.get(hub_name(name))
    return ModelFacts(*published) if published else UNKNOWN


def own_limit(name: str) -> int | None:
    """Return the tokens a model reads of a text and its prompt, where that can be known.

    A folder that does not say so reads what its tokenizer and its positions allow.
    """
    folder = local_folder(name)
    if folder is None:
        return facts_of(name).max_tokens
    limits = (
        _read_object(folder / "tokenizer_config.json").get("model_max_length"),
        _read_object(folder / "config.json").get("max_position_embeddings"),
    )
    known = [int(n) for n in limits if isinstance(n, int | float) and n > 0]
    return _max_seq_length(folder) or min(known, default=None)


def _read_folder(folder: Path) -> ModelFacts:
    modules = _read_json(folder / "modules.json")
    if not isinstance(modules, list):
        return UNKNOWN
    for module in reversed(modules):
        kind = str(module.get("type", "")).rpartition(".")[2]
        path = folder / str(module.get("path", ""))
        if kind not in ("Normalize", "Dropout"):
            return ModelFacts(_dimension(kind, path), _max_tokens(folder))
    return UNKNOWN


def _dimension(kind: str, path: Path) -> int | None:
    """Return the output length of the last module that decides it."""
    config = _read_object(path / "config.json")
    if kind == "Dense":
        return _whole(config.get("out_features"))
    if kind == "LayerNorm":
        return _whole(config.get("dimension"))
    if kind != "Pooling":
        return None
    width = _whole(config.get("embedding_dimension", config.get("word_embedding_dimension")))
    return width * _pooling_modes(config) if width else None


def _pooling_modes(config: dict[str, Any]) -> int:
    """Return how many pooled vectors are laid end to end: in two spellings of the setting."""
    modes = config.get("pooling_mode")
    if modes is None:
        switches = [value for key, value in config.items() if key.startswith("pooling_mode_")]
        return max(1, sum(value is True for value in switches))
    return 1 if isinstance(modes, str) else max(1, len(modes))


def _max_tokens(folder: Path) -> int | None:
    prompts = _read_object(folder / "config_sentence_transformers.json").get("prompts")
    return None if any((prompts or {}).values()) else _max_seq_length(folder)


def _max_seq_length(folder: Path) -> int | None:
    return _whole(_read_object(folder / "sentence_bert_config.json").get("max_seq_length"))


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _read_object(path: Path) -> dict[str, Any]:
    content = _read_json(path)
    return content if isinstance(content, dict) else {}


def _read_json(path: Path) -> Any:
    """Return a JSON file's content, or ``None`` where it is missing or damaged.

    A damaged file is reported when the model is loaded, by the library that needs it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
