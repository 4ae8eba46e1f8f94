"""A name for a model's content that is the same on every machine."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path

from embow.embeddings.local_models import file_digest
from embow_onnx.folder import ModelFolder

_EXTERNAL_DATA = re.compile(rb"\x0a\x08location\x12(.)", re.DOTALL)
"""How an ONNX file names another that holds its weights: a protobuf map entry."""


def content_digest(folder: ModelFolder) -> str:
    """Return ``sha256:`` and a digest of the graph, its weights and its tokenizer.

    Read once a process, and again when a file changes.
    """
    files = [folder.graph, *_weight_files(folder.graph), folder.tokenizer]
    digests = "".join(file_digest(file) for file in files)
    return f"sha256:{hashlib.sha256(bytes.fromhex(digests)).hexdigest()}"


def _weight_files(graph: Path) -> list[Path]:
    status = graph.stat()
    return [graph.parent / name for name in _locations(graph, status.st_size, status.st_mtime_ns)]


@lru_cache(maxsize=64)
def _locations(graph: Path, size: int, changed: int) -> tuple[str, ...]:
    """Return the names of the files that hold weights of a graph."""
    data = graph.read_bytes()
    found = (
        data[hit.end() : hit.end() + hit.group(1)[0]].decode(errors="replace")
        for hit in _EXTERNAL_DATA.finditer(data)
    )
    return tuple(sorted({name for name in found if (graph.parent / name).is_file()}))
