"""Arguments, identity, limits, loading and errors."""

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
from embow_instructor import InstructorEmbeddingFunction as Provider
from forked import embed_in_a_child
from one_more_file import rows_found

TEXTS = ["cells use oxygen", "how do cells get energy", "s"]


@pytest.fixture
def provider(folder: str) -> Any:
    """Return a provider of the small model."""
    return Provider(name=folder, show_progress_bar=False)


def test_defaults_are_those_of_the_documentation() -> None:
    """Spelling included: it decides the vectors."""
    settings = Provider.create().safe_model_dump()
    assert settings["source_instruction"] == "represent the docuement for retreival"
    assert (
        settings["query_instruction"]
        == "represent the document for retreiving the most similar documents"
    )
    assert (settings["name"], settings["batch_size"], settings["device"]) == (
        "hkunlp/instructor-base",
        32,
        "cpu",
    )
    assert (settings["show_progress_bar"], settings["normalize_embeddings"]) == (True, True)
    assert settings["quantize"] is False


def test_roles_have_instructions_of_their_own(provider: Any) -> None:
    """A text as a query has another vector than as a document."""
    documents = provider.compute_source_embeddings(TEXTS)
    queries = provider.compute_query_embeddings(TEXTS)
    assert np.abs(documents - queries).max(axis=1).min() > 1e-3
    np.testing.assert_array_equal(provider.generate_embeddings(TEXTS), documents)


def test_instructions_are_part_of_the_identity(provider: Any, folder: str) -> None:
    """One letter makes another identity, for documents and for queries."""
    for role in ("source", "query"):
        other = Provider(name=folder, **{f"{role}_instruction": "represent the document"})
        assert other.fingerprint() != provider.fingerprint()
    elsewhere = Provider(name=folder, device="cuda", batch_size=1)
    assert elsewhere.fingerprint() == provider.fingerprint()


def test_published_models_tell_their_dimension_unloaded(folder: str) -> None:
    """The three published models are known; a folder's dimension is the model's own."""
    assert Provider().ndims() == 768
    assert Provider(name=folder).ndims() == 16


@pytest.mark.parametrize("count", [0, 1, 32, 33])
def test_one_vector_a_text_in_order(provider: Any, count: int) -> None:
    """No text, one, a batch, a batch and one: each vector stands at its text's place."""
    texts = [TEXTS[n % 3] + " energy" * (n % 7) for n in range(count)]
    vectors = provider.compute_source_embeddings(texts)
    assert vectors.shape == (count, 16)
    assert vectors.dtype == np.float32
    for place, text in enumerate(texts):
        alone = provider.compute_source_embeddings([text])[0]
        np.testing.assert_allclose(vectors[place], alone, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_cutting_at_the_limit_changes_no_vector(provider: Any) -> None:
    """The limit counts the instruction: the model reads a cut text whole, and nothing behind it."""
    limit = provider.limits().max_tokens_per_item
    words = "cells use oxygen to turn sugar into energy " * 80
    cut, shorter = provider.truncate(words, limit), provider.truncate(words, limit - 1)
    assert provider.count_tokens([words, cut, shorter])[1:] == [512, 511]
    assert words.startswith(cut)
    whole, same, other = provider.compute_source_embeddings([words, cut, shorter])
    np.testing.assert_allclose(whole, same, atol=1e-6)
    assert np.abs(same - other).max() > 1e-6


def test_a_text_that_fits_is_not_cut(provider: Any) -> None:
    """Nothing but the white space around a text is lost, as it is when the text is embedded."""
    assert provider.truncate(" cells use oxygen\n", 512) == "cells use oxygen"


def test_quantized_vectors_are_near_and_another_identity(folder: str, provider: Any) -> None:
    """Eight bits change the vectors a little, and the table knows."""
    quantized = Provider(name=folder, show_progress_bar=False, quantize=True)
    vectors = quantized.compute_source_embeddings(TEXTS)
    whole = provider.compute_source_embeddings(TEXTS)
    assert np.abs(vectors - whole).max() > 1e-6
    assert (vectors * whole).sum(axis=1).min() > 0.9
    assert quantized.fingerprint() != provider.fingerprint()


@pytest.mark.usefixtures("fresh")
def test_threads_and_instructions_share_one_load(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight threads with functions of other instructions start together: one model is loaded."""
    from sentence_transformers import SentenceTransformer

    loads: list[str] = []
    original = SentenceTransformer.__init__

    def counting(self: Any, path: str, **kwargs: Any) -> None:
        loads.append(path)
        original(self, path, **kwargs)

    monkeypatch.setattr(SentenceTransformer, "__init__", counting)
    barrier = Barrier(8)
    instructions = ["represent", "represent the document for retrieval", "", "s "] * 2

    def embed(instruction: str) -> np.ndarray:
        own = Provider(name=folder, show_progress_bar=False, source_instruction=instruction)
        barrier.wait()
        return own.generate_embeddings(TEXTS)

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(embed, instructions))
    assert loads == [folder]
    for instruction, vectors in zip(instructions, results, strict=True):
        own = Provider(name=folder, show_progress_bar=False, source_instruction=instruction)
        np.testing.assert_allclose(vectors, own.generate_embeddings(TEXTS), atol=1e-6)


def test_a_used_function_pickles_without_its_model(provider: Any) -> None:
    """A function travels to another process in a few bytes and gives the same vectors there."""
    vectors = provider.generate_embeddings(TEXTS)
    data = pickle.dumps(provider)
    assert len(data) < 2000
    np.testing.assert_array_equal(pickle.loads(data).generate_embeddings(TEXTS), vectors)


def test_settings_make_an_equal_function_again(folder: str) -> None:
    """What a table stores is enough to make the function in another process."""
    made = Provider.create(name=folder, source_instruction="represent")
    assert Provider.create(**json.loads(json.dumps(made.safe_model_dump()))) == made


@pytest.mark.parametrize("shown", [True, False])
def test_the_bar_is_shown_unless_switched_off(
    folder: str, shown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """The library's own bar appears on the terminal."""
    provider = Provider(name=folder, show_progress_bar=shown)
    provider.ndims()
    capsys.readouterr()
    provider.generate_embeddings(TEXTS)
    assert ("Batches" in capsys.readouterr().err) is shown


def test_a_model_that_is_not_here_says_how_to_get_it(tmp_path: Path) -> None:
    """Without a network the error names the model, the cause and the command."""
    provider = Provider(cache_folder=str(tmp_path))
    with pytest.raises(ConfigurationError, match="hf download hkunlp/instructor-base") as caught:
        provider.generate_embeddings(TEXTS)
    assert isinstance(caught.value.__cause__, OSError)
    assert provider.classify(caught.value).kind is FailureKind.PERMANENT


def test_a_folder_that_holds_no_model_is_named(tmp_path: Path) -> None:
    """An empty folder is not looked for on the hub."""
    with pytest.raises(ConfigurationError, match="holds no model that instructor can load"):
        Provider(name=str(tmp_path)).ndims()


def test_an_unknown_device_is_named(folder: str) -> None:
    """The message names the device asked for and two that work."""
    with pytest.raises(ConfigurationError, match="device='nonsense' cannot be used here"):
        Provider(name=folder, device="nonsense").generate_embeddings(TEXTS)


def test_what_is_not_text_is_refused_by_position(provider: Any) -> None:
    """The error says which input is wrong and what it is."""
    with pytest.raises(TypeError, match="Input 1 is NoneType"):
        provider.compute_source_embeddings(["cat", None])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_embeds(folder: str) -> None:
    """A process forked after the model was used has not its threads, and does without."""
    settings = {"name": folder, "show_progress_bar": False}
    embed_in_a_child("instructor", settings, ["word " * 200] * 64)


@pytest.mark.parametrize("more", ["notes.txt", "train.py", "README.md", "onnx/config.json"])
def test_one_more_file_in_the_folder_changes_nothing(
    more: str, folder: str, tmp_path: Path
) -> None:
    """A table is still written to and searched after a file that is not read came in."""
    copy = Path(shutil.copytree(folder, tmp_path / "model"))
    func = Provider.create(name=str(copy), show_progress_bar=False)
    assert rows_found(func, copy, more, tmp_path / "db") == 2
