"""Which files a loader reads of a model in a folder, and digests of what they hold."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from embow._processes import cache_folder

_NOT_PART_OF_A_MODEL = (".md", ".gitattributes", ".gitignore", ".jpg", ".png")
_SETTINGS = (
    "config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "preprocessor_config.json",
    "processor_config.json",
    "adapter_config.json",
)
_ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")
_VOCABULARIES = (
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)
"""Read where there is no ``tokenizer.json``, which says the same."""
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_PLAIN_MODULES = ("Dense", "Dropout", "LayerNorm", "Normalize", "Pooling", "StaticEmbedding")

_WORTH_KEEPING = 8 << 20
"""Bytes from which on a digest is kept for other processes; below that, reading is as fast."""
_MOST_KEPT = 256
_SETTLED_NS = 2_000_000_000
"""A file that changes twice within so short a time might show the same times both times."""


def all_files(folder: Path) -> list[Path]:
    """Return every file below a folder but hidden ones, pictures and Markdown."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        found += [Path(parent, name) for name in names if not name.startswith(".")]
    return [path for path in found if not path.name.lower().endswith(_NOT_PART_OF_A_MODEL)]


def transformers_files(folder: Path) -> list[Path]:
    """Return what transformers reads: settings, tokenizer, and the weights it picks.

    Any file may be read where the model brings code of its own, or is laid out in another way.
    """
    weights = _weights(folder)
    settings = _present(folder, _SETTINGS)
    tokenizer = _present(folder, ("tokenizer.json",)) or _present(folder, _VOCABULARIES)
    own_code = any(b'"auto_map"' in path.read_bytes() for path in settings)
    if own_code or not weights or not tokenizer:
        return all_files(folder)
    return [*settings, *tokenizer, *weights, *_present(folder, _ADAPTERS)]


def sentence_transformers_files(folder: Path) -> list[Path]:
    """Return what sentence-transformers reads: its settings, and those of each module it lists."""
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        parts = [(str(module["type"]), folder / module["path"]) for module in modules]
    except (OSError, ValueError, TypeError, KeyError):
        parts = [("sentence_transformers.Transformer", folder)]  # a plain encoder, to be pooled
    found = _present(folder, ("modules.json", "config_sentence_transformers.json"))
    for kind, part in parts:
        name = kind.rpartition(".")[2]
        if not kind.startswith("sentence_transformers.") or not part.is_relative_to(folder):
            return all_files(folder)
        if name in _PLAIN_MODULES:
            found += [*_present(part, ("config.json", "tokenizer.json")), *_weights(part)]
        elif name == "Transformer":
            found += [*part.glob("sentence_*_config.json"), *transformers_files(part)]
        else:
            return all_files(folder)
    return found


def digests(folder: Path, files: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of each file, in hex, by its path in the folder."""
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: file_digest(named[name]) for name in sorted(named)}


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hex, read again only when the file changed.

    That of a large file is kept for other processes as well, in the user's cache folder.
    """
    status = path.stat()
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return _digest(path, (status.st_size, *times, status.st_ino))


@lru_cache(maxsize=1024)
def _digest(path: Path, stamp: tuple[int, ...]) -> str:
    size, *times, _ = stamp
    large = size >= _WORTH_KEEPING
    if large and (kept := _kept().get(str(path))) and kept[:-1] == [*stamp]:
        return str(kept[-1])
    settled = max(times) < time.time_ns() - _SETTLED_NS
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if large and settled:
        _keep(str(path), [*stamp, digest])
    return digest


def _store() -> Path:
    return cache_folder() / "model-digests.json"


def _kept() -> dict[str, list[Any]]:
    """Return what other processes kept: size, times, inode and digest by path."""
    try:
        kept = json.loads(_store().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # none yet, or damaged: files are read again
    entries = kept.items() if isinstance(kept, dict) else ()
    return {path: entry for path, entry in entries if isinstance(entry, list) and len(entry) == 5}


def _keep(path: str, entry: list[Any]) -> None:
    kept = {key: value for key, value in _kept().items() if key != path}
    kept = dict([*kept.items(), (path, entry)][-_MOST_KEPT:])
    store = _store()
    with contextlib.suppress(OSError):  # without a cache the next process reads the file again
        store.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=store.parent, delete=False
        ) as file:
            json.dump(kept, file)
        os.replace(file.name, store)


def _present(folder: Path, names: Iterable[str]) -> list[Path]:
    there = set(os.listdir(folder)) if folder.is_dir() else ()
    return [folder / name for name in names if name in there]


def _weights(folder: Path) -> list[Path]:
    """Return the files of weights that are picked: one, or an index and the parts it names."""
    for name in _WEIGHTS:
        if whole := _present(folder, [name]):
            return whole
        for index in _present(folder, [f"{name}.index.json"]):
            try:
                parts = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
                return [index, *_present(folder, parts)]
            except (ValueError, KeyError, AttributeError, TypeError):
                return []  # the loader says what is wrong with it
    return []
