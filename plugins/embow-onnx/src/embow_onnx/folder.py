"""What a model folder says about itself, read from its JSON files."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, cast, get_args

from embow.errors import ConfigurationError
from embow_onnx.pooling import Pooling

BUNDLED = "all-MiniLM-L6-v2"
"""The model inside this distribution."""

ORIGIN = "origin.json"
"""Says what the built-in model was made from."""

_BUNDLED_NAMES = (BUNDLED, f"sentence-transformers/{BUNDLED}")
_USUAL_GRAPHS = ("onnx/model.onnx", "model.onnx")
_NO_LIMIT = 10**6
"""Tokenizers without a limit write a number near 1e30."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """An exported model: where its parts are and how its vectors are made.

    Attributes:
        graph: The ONNX file.
        tokenizer: The ``tokenizer.json``.
        ndims: Length of its vectors, where the folder says it.
        pooling: How token vectors are put together.
        normalize: Whether the model itself scales its vectors to length 1.
        max_seq_length: Tokens read of each text, special tokens included.
        positions: Most tokens the model can read, where the folder says it.
        lowercase: Whether texts are put in lower case first.
        pad_id: Token that fills short texts, where the folder says it.
        prompts: Text put before each input, by name.
        default_prompt: Name of the prompt for inputs whose role has none.
        prompt_pooled: Whether tokens of the prompt count in pooling.
        other_modules: Steps after the transformer that are neither pooling nor normalisation.
    """

    graph: Path
    tokenizer: Path
    ndims: int | None
    pooling: Pooling
    normalize: bool
    max_seq_length: int
    positions: int | None
    lowercase: bool
    pad_id: int | None
    prompts: Mapping[str, str]
    default_prompt: str | None
    prompt_pooled: bool
    other_modules: tuple[str, ...]


def is_bundled(name: str) -> bool:
    """Return whether ``name`` is the model inside this distribution."""
    return name in _BUNDLED_NAMES


def is_folder(name: Any) -> bool:
    """Return whether ``name`` can only be a folder on this machine."""
    return name not in _BUNDLED_NAMES


@cache
def bundled_path() -> Path:
    """Return the folder of the model inside this distribution."""
    return Path(__file__).parent / "models" / BUNDLED


@lru_cache(maxsize=1)
def bundled_revision() -> str:
    """Return the digest of the weights the built-in model was made from."""
    return str(_json(bundled_path() / ORIGIN)["weights_sha256"])


def open_folder(name: str, file_name: str | None) -> ModelFolder:
    """Return what is known of a model, by name or folder, without loading it.

    Raises:
        ConfigurationError: There is no such folder, or a part of the model is missing.
    """
    if is_bundled(name):
        return _read(bundled_path(), file_name)
    folder = _identity(name)
    if folder is None:
        raise ConfigurationError(
            f"Model {name!r} is neither {BUNDLED!r}, which is built in, nor a folder here. Give a "
            "folder that holds an ONNX file and tokenizer.json. Many models on the Hugging Face "
            f'hub have them: hf download {name} --include "*.json" "onnx/model.onnx*" '
            "--local-dir FOLDER"
        )
    return _opened(name, file_name, folder)


def _identity(name: str) -> tuple[int, int] | None:
    """Return what tells a folder from every other; ``None`` where there is none of that name."""
    try:
        found = os.stat(os.path.expanduser(name))
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None


@lru_cache(maxsize=64)
def _opened(name: str, file_name: str | None, identity: tuple[int, int]) -> ModelFolder:
    # The name alone may lead elsewhere later: it may be a link, or relative.
    return _read(Path(name).expanduser().resolve(), file_name)


@lru_cache(maxsize=64)
def _read(path: Path, file_name: str | None) -> ModelFolder:
    config = _json(path / "config.json")
    sentence = _json(path / "sentence_bert_config.json")
    prompts = _json(path / "config_sentence_transformers.json")
    modules = _modules(path)
    pooling = _json(path / modules.get("Pooling", "1_Pooling") / "config.json")
    ndims = (
        pooling.get("embedding_dimension")
        or pooling.get("word_embedding_dimension")
        or config.get("hidden_size")
    )
    return ModelFolder(
        graph=_find_graph(path, file_name),
        tokenizer=_find_tokenizer(path),
        ndims=ndims,
        pooling=_pooling_mode(path, pooling),
        normalize="Normalize" in modules,
        max_seq_length=_max_seq_length(path, config, sentence),
        positions=config.get("max_position_embeddings"),
        lowercase=bool(sentence.get("do_lower_case")),
        pad_id=config.get("pad_token_id"),
        prompts={k: v for k, v in (prompts.get("prompts") or {}).items() if v},
        default_prompt=prompts.get("default_prompt_name"),
        prompt_pooled=bool(pooling.get("include_prompt", True)),
        other_modules=tuple(sorted(set(modules) - {"Transformer", "Pooling", "Normalize"})),
    )


def _modules(path: Path) -> dict[str, str]:
    """Return the folder of each step of the model, by class name."""
    steps: Any = _json(path / "modules.json") or ()
    return {step["type"].rsplit(".", 1)[-1]: step["path"] for step in steps}


def _pooling_mode(path: Path, config: dict[str, Any]) -> Pooling:
    """Return the pooling a folder asks for; the mean where it says nothing."""
    named = config.get("pooling_mode")
    if named is None:  # the form written until sentence-transformers 5
        marks = {"cls_token": "cls", "mean_tokens": "mean", "max_tokens": "max"}
        chosen = [k.removeprefix("pooling_mode_") for k, v in config.items() if v is True]
        named = [marks.get(mark, mark) for mark in chosen if mark != "include_prompt"]
    modes = [named] if isinstance(named, str) else list(named)
    if not modes:
        return "mean"
    if len(modes) > 1 or modes[0] not in get_args(Pooling):
        raise ConfigurationError(
            f"The model in {str(path)!r} pools by {' + '.join(modes)}; served are "
            f"{', '.join(get_args(Pooling))}. The provider 'sentence-transformers' runs it."
        )
    return cast("Pooling", modes[0])


def _max_seq_length(path: Path, config: dict[str, Any], sentence: dict[str, Any]) -> int:
    """Return the limit sentence-transformers would use."""
    limit = sentence.get("max_seq_length")
    if limit is None:
        known = (
            config.get("max_position_embeddings"),
            _json(path / "tokenizer_config.json").get("model_max_length"),
        )
        limit = min((int(n) for n in known if n and 0 < n < _NO_LIMIT), default=None)
    if limit is None:
        raise ConfigurationError(
            f"The model in {str(path)!r} does not say how many tokens it reads. Put "
            '{"max_seq_length": 512}, or its own limit, into sentence_bert_config.json there.'
        )
    return int(limit)


def _find_graph(path: Path, file_name: str | None) -> Path:
    wanted = _USUAL_GRAPHS if file_name is None else (file_name, f"onnx/{file_name}")
    for candidate in wanted:
        if (path / candidate).is_file():
            return path / candidate
    present = sorted((*path.glob("*.onnx"), *path.glob("onnx/*.onnx")))
    if file_name is None and len(present) == 1:
        return present[0]
    found = ", ".join(repr(file.relative_to(path).as_posix()) for file in present)
    if found:
        raise ConfigurationError(
            f"The folder {str(path)!r} has no {' or '.join(wanted)}. Say with file_name which "
            f"of these to run: {found}."
        )
    raise ConfigurationError(
        f"The folder {str(path)!r} has no ONNX file ({' or '.join(wanted)}). Export the model "
        f"into it: optimum-cli export onnx --model {path} {path}/onnx"
    )


def _find_tokenizer(path: Path) -> Path:
    for candidate in ("tokenizer.json", "onnx/tokenizer.json"):
        if (path / candidate).is_file():
            return path / candidate
    raise ConfigurationError(
        f"The folder {str(path)!r} has no tokenizer.json. Save it there from Python: "
        "transformers.AutoTokenizer.from_pretrained(MODEL).save_pretrained(FOLDER)"
    )


def _json(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file; nothing where there is no file."""
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as exc:
        raise ConfigurationError(f"{str(path)!r} is not valid JSON: {exc}.") from exc
    return content
