"""One load a process, and clear errors where there is nothing to load."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest

import embow
from embow.embeddings import FailureKind
from embow.errors import ConfigurationError, IdentityMismatchError
from embow_sentence_transformers import SentenceTransformerEmbeddings as Provider
from forked import embed_in_a_child
from one_more_file import rows_found


@pytest.mark.usefixtures("fresh")
def test_threads_and_functions_share_one_load(minilm: str, count_loads: list[str]) -> None:
    """Eight threads, each with a function of its own, start together: one model is loaded."""
    barrier = Barrier(8)

    def embed(n: int) -> np.ndarray:
        provider = Provider(name=minilm, batch_size=n + 1, normalize=n % 2 == 0)
        barrier.wait()
        return provider.generate_embeddings(["cat", "a dog in the rain"])

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(embed, range(8)))
    assert len(count_loads) == 1
    for vectors in results:
        np.testing.assert_allclose(vectors, results[0], atol=1e-6)


@pytest.mark.usefixtures("fresh")
def test_two_models_used_in_turn_are_loaded_once_each(
    make_model: Any, count_loads: list[str]
) -> None:
    """Two models of one schema do not drive each other out."""
    first, second = Provider(name=make_model(seed=1)), Provider(name=make_model(seed=2))
    count_loads.clear()
    for _ in range(3):
        first.generate_embeddings(["cat"])
        second.generate_embeddings(["cat"])
    assert sorted(count_loads) == sorted([first.name, second.name])


@pytest.mark.usefixtures("fresh")
def test_one_model_in_two_folders_is_loaded_once(
    make_model: Any, tmp_path: Path, count_loads: list[str]
) -> None:
    """A copy of a folder is the same model."""
    original = make_model()
    count_loads.clear()
    copy = shutil.copytree(original, tmp_path / "copy")
    for name in (original, str(copy)):
        Provider(name=name).generate_embeddings(["cat"])
    assert len(count_loads) == 1


def test_a_moved_folder_keeps_its_identity(make_model: Any, tmp_path: Path) -> None:
    """Where a model lies says nothing; neither does its model card."""
    original = Path(make_model())
    copy = shutil.copytree(original, tmp_path / "elsewhere")
    (copy / "README.md").write_text("another card")
    assert Provider(name=str(copy)).identity() == Provider(name=str(original)).identity()
    assert str(tmp_path) not in json.dumps(Provider(name=str(copy)).identity())


def test_a_folder_with_other_weights_is_another_model(make_model: Any) -> None:
    """Two models of one shape differ by their weights."""
    one, other = Provider(name=make_model(seed=1)), Provider(name=make_model(seed=2))
    assert one.fingerprint() != other.fingerprint()


def test_what_only_changes_the_speed_is_no_part_of_the_identity() -> None:
    """Device, batch size, processes and bars leave the vectors alone."""
    slow = Provider(device="cuda", batch_size=1, processes=4, show_progress_bar=True)
    assert slow.fingerprint() == Provider().fingerprint()


def test_short_and_full_hub_names_are_one_model() -> None:
    """The library reads a bare name as one of its own organisation."""
    short, full = Provider(), Provider(name="sentence-transformers/all-MiniLM-L6-v2")
    assert short.fingerprint() == full.fingerprint()


def test_a_used_function_pickles_without_its_model(minilm: str) -> None:
    """A function travels to another process in a few bytes and gives the same vectors there."""
    provider = Provider(name=minilm)
    vectors = provider.generate_embeddings(["cat"])
    data = pickle.dumps(provider)
    assert len(data) < 2000
    copy = pickle.loads(data)
    assert copy == provider
    np.testing.assert_array_equal(copy.generate_embeddings(["cat"]), vectors)


def test_settings_make_an_equal_function_again(minilm: str) -> None:
    """What a table stores is enough to make the function in another process."""
    provider = Provider.create(
        name=minilm, truncate_dim=64, prompts={"query": "q: "}, model_kwargs={"dtype": "float32"}
    )
    settings = json.loads(json.dumps(provider.safe_model_dump()))
    assert Provider.create(**settings) == provider


@pytest.mark.parametrize("device", ["cpu", "auto", "CPU"])
def test_names_of_devices_that_are_there(minilm: str, device: str) -> None:
    """The CPU is found by its name and by "auto"."""
    assert Provider(name=minilm, device=device).generate_embeddings(["cat"]).shape == (1, 384)


def test_a_device_that_is_not_there_is_named(minilm: str) -> None:
    """The message names the device asked for and two that work."""
    with pytest.raises(ConfigurationError, match="device='nonsense' cannot be used here"):
        Provider(name=minilm, device="nonsense").generate_embeddings(["cat"])


def test_asking_for_a_missing_gpu_says_what_works(minilm: str) -> None:
    """ "gpu" and "cuda" without a GPU are errors that name the way out."""
    import torch

    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("this machine has a GPU")
    for device in ("gpu", "cuda"):
        with pytest.raises(ConfigurationError, match="device='auto'"):
            Provider(name=minilm, device=device).generate_embeddings(["cat"])


def test_a_model_that_is_not_here_says_how_to_get_it(tmp_path: Path) -> None:
    """Without a network the error names the model, the cause and the command."""
    provider = Provider(cache_folder=str(tmp_path))
    with pytest.raises(ConfigurationError) as caught:
        provider.generate_embeddings(["cat"])
    assert "hf download sentence-transformers/all-MiniLM-L6-v2" in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)
    assert provider.classify(caught.value).kind is FailureKind.PERMANENT


def test_a_folder_that_holds_no_model_is_named(tmp_path: Path) -> None:
    """An empty folder is not looked for on the hub."""
    with pytest.raises(ConfigurationError, match="holds no model that sentence-transformers"):
        Provider(name=str(tmp_path)).ndims()


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


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_a_backend_that_is_not_there_says_why(minilm: str, backend: str) -> None:
    """The first cause is told, where the library says "not installed" whatever it was."""
    if importlib_has("optimum"):
        pytest.skip("optimum is installed here")
    with pytest.raises(ConfigurationError, match=r"No module named '(optimum|onnxruntime)'"):
        Provider(name=minilm, backend=backend).generate_embeddings(["cat"])


def importlib_has(module: str) -> bool:
    """Return whether a module can be imported."""
    import importlib.util

    return importlib.util.find_spec(module) is not None


def test_a_full_gpu_asks_for_smaller_calls() -> None:
    """Out of memory splits the call instead of ending it."""
    import torch

    error = torch.OutOfMemoryError("CUDA out of memory")
    assert Provider().classify(error).kind is FailureKind.TOO_LARGE


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_embeds(minilm: str) -> None:
    """A process forked after the model was used has not its threads, and does without."""
    embed_in_a_child("sentence-transformers", {"name": minilm}, ["word " * 200] * 8)


@pytest.mark.parametrize("more", ["notes.txt", "train.py", "README.md", "onnx/config.json"])
def test_one_more_file_in_the_folder_changes_nothing(
    more: str, make_model: Any, tmp_path: Path
) -> None:
    """A table is still written to and searched after a file that is not read came in."""
    folder = Path(shutil.copytree(make_model(), tmp_path / "model"))
    func = Provider.create(name=str(folder))
    assert rows_found(func, folder, more, tmp_path / "db") == 2


def test_a_change_says_what_lies_where_and_what_differs(make_model: Any, tmp_path: Path) -> None:
    """The message names the folder and the file, and no whole digest."""
    folder = Path(shutil.copytree(make_model(), tmp_path / "my-model"))
    func = Provider.create(name=str(folder))

    class Rows(embow.Model):
        text: str = func.SourceField()
        vector: embow.Vector(func.ndims()) = func.VectorField()

    table = embow.connect(tmp_path / "db").create_table("rows", schema=Rows)
    table.add([{"text": "a cat"}])
    config = folder / "tokenizer_config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(IdentityMismatchError) as caught:
        table.add([{"text": "a dog"}])
    message = str(caught.value)
    assert repr(str(folder)) in message
    assert "files tokenizer_config.json." in message
    assert max(map(len, message.replace("'", " ").split())) < 64 + len(str(folder))
    assert re.search("[0-9a-f]{13}", message.replace(str(folder), "")) is None


@pytest.mark.parametrize(
    "settings", [{"revision": "abc"}, {"max_seq_length": 96}, {"cache_folder": "elsewhere"}]
)
def test_what_changes_no_vector_of_a_folder_is_no_part_of_it(
    settings: dict[str, Any], make_model: Any
) -> None:
    """A folder has no revisions, and the model's own limit is its limit."""
    name = make_model()
    assert Provider(name=name, **settings).fingerprint() == Provider(name=name).fingerprint()


def test_what_changes_vectors_is_still_part_of_it(make_model: Any) -> None:
    """Another limit, and the revision of a hub's model, count."""
    name = make_model()
    assert Provider(name=name, max_seq_length=8).fingerprint() != Provider(name=name).fingerprint()
    assert Provider(revision="abc").fingerprint() != Provider().fingerprint()


def test_a_folder_is_called_by_its_last_part(tmp_path: Path) -> None:
    """Messages on a model have no slash twice and no long path."""
    assert Provider(name=str(tmp_path / "my-model")).model_label() == "my-model"
    assert Provider(name="org/model").model_label() == "org/model"
