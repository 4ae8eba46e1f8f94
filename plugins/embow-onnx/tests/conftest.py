"""The built-in model, folders made from it, and real texts."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from embow_onnx import OnnxEmbeddings
from embow_onnx.folder import bundled_path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

HERE = Path(__file__).parent
CONFIGS = (
    "config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "1_Pooling/config.json",
)

MakeFolder = Callable[..., Path]


@pytest.fixture(scope="session")
def func() -> OnnxEmbeddings:
    """Return the built-in model with its defaults."""
    return OnnxEmbeddings.create()


@pytest.fixture(scope="session")
def reference() -> tuple[list[str], NDArray[np.float32]]:
    """Return texts, and torch's vectors of them, as the conversion script wrote them."""
    texts = json.loads((HERE / "reference/texts.json").read_text(encoding="utf-8"))
    return texts, np.load(HERE / "reference/vectors.npy")


@pytest.fixture(scope="session")
def script() -> Callable[[str], ModuleType]:
    """Return a function that imports a module from the plugin's ``scripts`` folder."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, HERE.parent / f"scripts/{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def docstrings(script: Callable[[str], ModuleType]) -> list[str]:
    """Return a few hundred real sentences of uneven length, then some of several hundred words."""
    corpus = script("corpus")
    short = list(corpus.docstrings())[::40]
    long = [text for text in corpus.docstrings(whole=True) if len(text) > 1500][:12]
    return short + long


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Return a maker of model folders with the built-in tokenizer and a graph of ``graphs``."""

    def make(graph: str | None = None, at: str = "model", **configs: Any) -> Path:
        """Copy the built-in model; ``graph`` replaces its graph, ``configs`` its JSON files."""
        folder = tmp_path / at
        (folder / "1_Pooling").mkdir(parents=True)
        source = bundled_path()
        for name in (*CONFIGS, "tokenizer.json"):
            shutil.copyfile(source / name, folder / name)
        if graph is None:
            (folder / "model.onnx").symlink_to(source / "model.onnx")
        else:
            shutil.copyfile(HERE / f"graphs/{graph}.onnx", folder / "model.onnx")
            put_json(folder / "1_Pooling/config.json", {"embedding_dimension": 4})
        if "pooling" in configs:
            configs["1_Pooling/config"] = configs.pop("pooling")
        for name, content in configs.items():
            put_json(folder / f"{name}.json", content)
        return folder

    return make


def put_json(path: Path, content: Any) -> None:
    """Write JSON, or remove the file where the content is ``None``."""
    if content is None:
        path.unlink()
    else:
        path.write_text(json.dumps(content), encoding="utf-8")
