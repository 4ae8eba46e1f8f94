"""The small model, and what the original package gave for it."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

REFERENCE = Path(__file__).parent / "reference"


@pytest.fixture(scope="session")
def numbers() -> dict[str, Any]:
    """Return the vectors of InstructorEmbedding 1.0.1, by instruction and text."""
    kept: dict[str, Any] = json.loads((REFERENCE / "numbers.json").read_text(encoding="utf-8"))
    return kept


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory, numbers: dict[str, Any]) -> dict[str, str]:
    """Return the small model by tokenizer, the same to the bit as the reference was given."""
    spec = importlib.util.spec_from_file_location("small_model", REFERENCE / "small_model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = {name: tmp_path_factory.mktemp(name) for name in ("split", "unsplit")}
    for name, path in made.items():
        assert module.make_model(path, split=name == "split") == numbers["weights"]
    return {name: str(path) for name, path in made.items()}


@pytest.fixture(scope="session")
def folder(folders: dict[str, str]) -> str:
    """Return the small model with a tokenizer like T5's own."""
    return folders["split"]


@pytest.fixture
def fresh() -> Iterator[None]:
    """Start with nothing loaded, and leave nothing loaded."""
    from embow.embeddings import unload

    unload()
    yield
    unload()
