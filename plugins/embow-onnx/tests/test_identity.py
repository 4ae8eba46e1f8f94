"""What changes the vectors identifies them, and nothing else does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embow_onnx import OnnxEmbeddings

MakeFolder = Callable[..., Path]
GRAPHS = Path(__file__).parent / "graphs"


@pytest.mark.parametrize(
    "settings",
    [{"max_seq_length": 128}, {"pooling": "cls"}, {"prompts": {"query": "find: "}}],
)
def test_what_changes_vectors_is_in_it(func: OnnxEmbeddings, settings: dict[str, Any]) -> None:
    """Another limit, pooling or prompt is another function."""
    assert OnnxEmbeddings.create(**settings).fingerprint() != func.fingerprint()


@pytest.mark.parametrize(
    "settings",
    [
        {"device": "auto"},
        {"batch_size": 7},
        {"threads": 3},
        {"execution_providers": ("CPUExecutionProvider",)},
        {"pooling": "mean"},
        {"max_seq_length": 256},
        {"normalize": False},
        {"name": "sentence-transformers/all-MiniLM-L6-v2"},
    ],
)
def test_what_gives_the_same_vectors_is_not(func: OnnxEmbeddings, settings: dict[str, Any]) -> None:
    """Speed, and defaults written out, change nothing; the model normalizes by itself."""
    assert OnnxEmbeddings.create(**settings).fingerprint() == func.fingerprint()


def test_the_built_in_model_is_known_by_its_weights(func: OnnxEmbeddings) -> None:
    """Name and digest of the original weights, which a new export does not change."""
    identity = func.identity()
    assert identity["model"] == "all-MiniLM-L6-v2"
    assert len(identity["revision"]) == 64


def test_a_folder_is_known_by_its_content(make_folder: MakeFolder) -> None:
    """The same files elsewhere are the same model; another graph is not."""
    here, there = (
        OnnxEmbeddings.create(name=str(make_folder("types", at=at))) for at in ("here", "there")
    )
    other = OnnxEmbeddings.create(name=str(make_folder("pooled", at="other")))
    assert here.identity() == there.identity()
    assert here.fingerprint() != other.fingerprint()
    assert "here" not in str(here.identity())


def test_weights_beside_the_graph_count(make_folder: MakeFolder) -> None:
    """Weights in a file of their own are part of the model."""
    folder = make_folder("external")
    weights = folder / "external.weights"
    shutil.copyfile(GRAPHS / weights.name, weights)
    func = OnnxEmbeddings.create(name=str(folder))
    before = func.fingerprint()
    weights.write_bytes(bytes(reversed(weights.read_bytes())) + b"\0")
    assert func.fingerprint() != before


@pytest.mark.parametrize("more", ["notes.txt", "train.py", "README.md", "onnx/other.onnx"])
def test_one_more_file_in_the_folder_changes_nothing(make_folder: MakeFolder, more: str) -> None:
    """Only the graph, its weights and its tokenizer are read."""
    folder = make_folder("types")
    before = OnnxEmbeddings.create(name=str(folder)).fingerprint()
    (folder / more).parent.mkdir(exist_ok=True)
    (folder / more).write_text("more")
    assert OnnxEmbeddings.create(name=str(folder)).fingerprint() == before
