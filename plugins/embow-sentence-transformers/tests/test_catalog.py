"""What is told of a model without loading it is what the loaded model says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from embow_sentence_transformers import SentenceTransformerEmbeddings as Provider
from embow_sentence_transformers.catalog import UNKNOWN, ModelFacts, facts_of


def test_a_known_name_needs_no_files() -> None:
    """The usual models are known by name, with the organisation or without."""
    assert facts_of("all-MiniLM-L6-v2") == ModelFacts(384, 256)
    assert facts_of("sentence-transformers/all-MiniLM-L6-v2") == ModelFacts(384, 256)
    assert facts_of("nobody/nothing") == UNKNOWN


def test_minilm_folder_in_the_old_form_is_read(minilm: str) -> None:
    """A folder written by sentence-transformers 2 tells both facts."""
    assert facts_of(minilm) == ModelFacts(384, 256)


@pytest.mark.parametrize(
    "shape",
    [
        {"pooling": "mean"},
        {"pooling": "cls"},
        {"pooling": ("mean", "max")},
        {"dense": 24},
        {"pooling": ("cls", "mean"), "dense": 8},
    ],
    ids=str,
)
def test_folder_configuration_gives_the_dimension(make_model: Any, shape: dict[str, Any]) -> None:
    """Pooling modes and dense layers are read as the library reads them."""
    from sentence_transformers import SentenceTransformer

    folder = make_model(**shape)
    truth = SentenceTransformer(folder, device="cpu").encode(["cat"]).shape[1]
    assert facts_of(folder).ndims == truth


def test_a_folder_without_configuration_is_unknown(tmp_path: Path) -> None:
    """What cannot be told is not guessed, and a damaged file is left to the library to report."""
    (tmp_path / "modules.json").write_text("{not json")
    assert facts_of(str(tmp_path)) == UNKNOWN


def test_a_folder_named_like_a_known_model_counts_by_its_content(
    make_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder that would be loaded decides, not the name it happens to have."""
    (tmp_path / "BAAI").mkdir()
    (tmp_path / "BAAI" / "bge-small-en-v1.5").symlink_to(make_model())
    monkeypatch.chdir(tmp_path)
    assert Provider(name="BAAI/bge-small-en-v1.5").ndims() == 32
