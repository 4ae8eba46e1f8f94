"""One load a process, identity, and clear errors where there is nothing to load."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from embow.embeddings import FailureKind
from embow.errors import ConfigurationError
from embow_huggingface import TransformersEmbeddingFunction as Provider
from forked import embed_in_a_child
from one_more_file import rows_found


@pytest.fixture
def count_loads(fresh: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by the path of each model that is loaded."""
    from transformers import AutoModel

    loads: list[str] = []
    original = AutoModel.from_pretrained

    def counting(path: str, **kwargs: Any) -> Any:
        loads.append(path)
        return original(path, **kwargs)

    monkeypatch.setattr(AutoModel, "from_pretrained", counting)
    return loads


def test_threads_and_functions_share_one_load(
    make_model: Any, texts: list[str], count_loads: list[str]
) -> None:
    """Eight threads with functions of different limits start together: one load, right numbers."""
    folder = make_model()
    barrier = Barrier(8)

    def embed(n: int) -> np.ndarray:
        provider = Provider(name=folder, max_length=8 + n, batch_size=n + 1)
        barrier.wait()
        return provider.generate_embeddings(texts)

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(embed, range(8)))
    assert len(count_loads) == 1
    for n, vectors in enumerate(results):
        alone = Provider(name=folder, max_length=8 + n).generate_embeddings(texts)
        np.testing.assert_allclose(vectors, alone, atol=2e-5)


def test_two_models_used_in_turn_are_loaded_once_each(
    make_model: Any, count_loads: list[str]
) -> None:
    """Two models of one schema do not drive each other out."""
    first, second = Provider(name=make_model(seed=1)), Provider(name=make_model(seed=2))
    for _ in range(3):
        first.generate_embeddings(["cat"])
        second.generate_embeddings(["cat"])
    assert sorted(count_loads) == sorted([first.name, second.name])


def test_dimensions_of_a_folder_are_free(make_model: Any, count_loads: list[str]) -> None:
    """The folder's configuration tells the length of the vectors of each architecture."""
    for architecture in ("bert", "t5", "gpt2"):
        assert Provider(name=make_model(architecture)).ndims() == 32
    assert count_loads == []


def test_known_names_need_no_files() -> None:
    """The default model is known by name, pooled and with many vectors."""
    assert Provider().ndims() == 768
    assert Provider(multivector=True).ndims() == 128


def test_a_moved_folder_keeps_its_identity(make_model: Any, tmp_path: Path) -> None:
    """Where a model lies says nothing."""
    original = make_model()
    copy = str(shutil.copytree(original, tmp_path / "elsewhere"))
    assert Provider(name=copy).fingerprint() == Provider(name=original).fingerprint()


@pytest.mark.parametrize(
    "change", [{"pooling": "cls"}, {"normalize": True}, {"max_length": 9}, {"dtype": "float16"}]
)
def test_what_changes_the_vectors_is_part_of_the_identity(change: dict[str, Any]) -> None:
    """Pooling, scaling, limit and precision make other vectors; the device does not."""
    assert Provider(**change).fingerprint() != Provider().fingerprint()
    assert Provider(device="cuda", batch_size=7).fingerprint() == Provider().fingerprint()


def test_a_used_function_pickles_without_its_model(make_model: Any) -> None:
    """A function travels to another process in a few bytes and gives the same vectors there."""
    provider = Provider(name=make_model())
    vectors = provider.generate_embeddings(["cat"])
    data = pickle.dumps(provider)
    assert len(data) < 2000
    np.testing.assert_array_equal(pickle.loads(data).generate_embeddings(["cat"]), vectors)


def test_settings_make_an_equal_function_again(make_model: Any) -> None:
    """What a table stores is enough to make the function in another process."""
    provider = Provider.create(name=make_model(), pooling="cls", max_length=9)
    settings = json.loads(json.dumps(provider.safe_model_dump()))
    assert Provider.create(**settings) == provider


def test_a_model_that_is_not_here_says_how_to_get_it(tmp_path: Path) -> None:
    """Without a network the error names the model, the cause and the command."""
    provider = Provider(cache_folder=str(tmp_path))
    with pytest.raises(ConfigurationError, match="hf download colbert-ir/colbertv2") as caught:
        provider.generate_embeddings(["cat"])
    assert isinstance(caught.value.__cause__, OSError)
    assert provider.classify(caught.value).kind is FailureKind.PERMANENT


def test_a_folder_that_holds_no_model_is_named(tmp_path: Path) -> None:
    """An empty folder is not looked for on the hub."""
    with pytest.raises(ConfigurationError, match="holds no model that huggingface can load"):
        Provider(name=str(tmp_path)).ndims()


def test_an_unknown_device_is_named(make_model: Any) -> None:
    """The message names the device asked for and two that work."""
    with pytest.raises(ConfigurationError, match="device='nonsense' cannot be used here"):
        Provider(name=make_model(), device="nonsense").generate_embeddings(["cat"])


def test_an_unknown_pooling_is_refused() -> None:
    """The message lists the poolings there are."""
    with pytest.raises(ConfigurationError, match="'mean', 'cls', 'max' or 'last'"):
        Provider.create(pooling="median")


def test_code_that_comes_with_a_model_is_not_run_unasked(make_model: Any, tmp_path: Path) -> None:
    """A model with Python files of its own is refused, and the message says what to pass."""
    folder = Path(shutil.copytree(make_model(), tmp_path / "remote"))
    marker = tmp_path / "was_run"
    (folder / "own_code.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "own_code.Config", "AutoModel": "own_code.Model"}
    config["model_type"] = "own_model"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigurationError, match="pass trust_remote_code=True"):
        Provider(name=str(folder)).generate_embeddings(["cat"])
    assert not marker.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_embeds(minilm: str) -> None:
    """A process forked after the model was used has not its threads, and does without."""
    embed_in_a_child("huggingface", {"name": minilm}, ["word " * 200] * 8)


@pytest.mark.parametrize("more", ["notes.txt", "train.py", "README.md", "onnx/config.json"])
def test_one_more_file_in_the_folder_changes_nothing(
    more: str, make_model: Any, tmp_path: Path
) -> None:
    """A table is still written to and searched after a file that is not read came in."""
    folder = Path(shutil.copytree(make_model(), tmp_path / "model"))
    func = Provider.create(name=str(folder))
    assert rows_found(func, folder, more, tmp_path / "db") == 2


@pytest.mark.parametrize("settings", [{"revision": "abc"}, {"max_length": 24}, {"max_length": 99}])
def test_what_changes_no_vector_of_a_folder_is_no_part_of_it(
    settings: dict[str, Any], make_model: Any
) -> None:
    """A folder has no revisions, and more tokens than the model reads are not read."""
    name = make_model()
    asked = Provider(name=name, **settings)
    assert asked.fingerprint() == Provider(name=name).fingerprint()
    assert asked.fingerprint() != Provider(name=name, max_length=8).fingerprint()


def test_settings_of_colbert_count_where_they_are_read(make_colbert: Any) -> None:
    """They change vectors of tokens, and no pooled one."""
    folder = Path(make_colbert())
    before = [Provider(name=str(folder), multivector=m).fingerprint() for m in (True, False)]
    (folder / "artifact.metadata").write_text("{}")
    after = [Provider(name=str(folder), multivector=m).fingerprint() for m in (True, False)]
    assert after[0] != before[0]
    assert after[1] == before[1]
