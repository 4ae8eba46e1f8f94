"""Vectors: the library's own numbers, in order, in the right shape."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from embow.errors import ConfigurationError
from embow_sentence_transformers import SentenceTransformerEmbeddings as Provider


@pytest.fixture(scope="module")
def reference(minilm: str, texts: list[str]) -> np.ndarray:
    """Return what the library itself gives for each text alone."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(minilm, device="cpu")
    return np.stack([model.encode(text) for text in texts])


@pytest.mark.parametrize("count", [1, 32, 33, 70])
def test_vectors_are_the_librarys_own_in_order(
    minilm: str, texts: list[str], reference: np.ndarray, count: int
) -> None:
    """One text, a batch, a batch and one, and many: each vector stands at its text's place."""
    vectors = Provider(name=minilm).compute_source_embeddings(texts[:count])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, reference[:count], atol=1e-6)


def test_no_texts_give_no_vectors_of_the_right_length(minilm: str) -> None:
    """An empty list gives shape (0, 384), where the library gives (0,)."""
    provider = Provider(name=minilm)
    assert provider.compute_source_embeddings([]).shape == (0, 384)
    assert provider.compute_query_embeddings([]).shape == (0, 384)


@pytest.mark.parametrize(
    "inputs",
    ["cat", ["cat"], np.array(["cat"]), pa.array(["cat"]), pa.chunked_array([["cat"]])],
    ids=lambda value: type(value).__name__,
)
def test_inputs_of_every_kind_are_texts(minilm: str, inputs: object) -> None:
    """One string, a list, numpy, Arrow and chunked Arrow data give the same vector."""
    provider = Provider(name=minilm)
    expected = provider.generate_embeddings(["cat"])
    np.testing.assert_array_equal(provider.compute_source_embeddings(inputs), expected)


@pytest.mark.parametrize("value", [None, 3, b"cat"])
def test_what_is_not_text_is_refused_by_position(minilm: str, value: object) -> None:
    """The error says which input is wrong and what it is."""
    with pytest.raises(TypeError, match=f"Input 1 is {type(value).__name__}"):
        Provider(name=minilm).compute_source_embeddings(["cat", value])


def test_normalize_decides_the_length(make_unnormalized: str, texts: list[str]) -> None:
    """Vectors have length 1 when asked for, and the model's own length when not."""
    unit = Provider(name=make_unnormalized).generate_embeddings(texts)
    raw = Provider(name=make_unnormalized, normalize=False).generate_embeddings(texts)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-5)
    assert np.abs(np.linalg.norm(raw, axis=1) - 1).min() > 0.01


@pytest.fixture(scope="module")
def make_unnormalized(minilm: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return MiniLM without its last module, which would scale every vector."""
    import json
    import shutil
    from pathlib import Path

    folder = tmp_path_factory.mktemp("raw") / "model"
    shutil.copytree(minilm, folder)
    listing = Path(folder, "modules.json")
    listing.write_text(json.dumps(json.loads(listing.read_text())[:2]))
    return str(folder)


def test_shortened_vectors_are_scaled_again(minilm: str, texts: list[str]) -> None:
    """The leading dimensions are kept and have length 1, which the library leaves undone."""
    short = Provider(name=minilm, truncate_dim=64)
    whole = Provider(name=minilm).generate_embeddings(texts)[:, :64]
    vectors = short.generate_embeddings(texts)
    assert short.ndims() == 64
    np.testing.assert_allclose(
        vectors, whole / np.linalg.norm(whole, axis=1, keepdims=True), atol=1e-6
    )


def test_shortened_vectors_keep_their_length_when_not_normalized(
    minilm: str, texts: list[str]
) -> None:
    """Without normalize the leading dimensions stay as they are."""
    whole = Provider(name=minilm).generate_embeddings(texts)[:, :64]
    vectors = Provider(name=minilm, truncate_dim=64, normalize=False).generate_embeddings(texts)
    np.testing.assert_allclose(vectors, whole, atol=1e-6)


def test_more_dimensions_than_there_are_is_an_error(minilm: str) -> None:
    """Asking for 500 of 384 dimensions is refused, where the library gives 384."""
    with pytest.raises(ConfigurationError, match="truncate_dim=500 is more than the 384"):
        Provider(name=minilm, truncate_dim=500).ndims()


def test_half_precision_models_give_float32(minilm: str, texts: list[str]) -> None:
    """``model_kwargs`` reach the model, and what it gives is stored as float32."""
    half = Provider(name=minilm, model_kwargs={"dtype": "float16"})
    vectors = half.generate_embeddings(texts[:4])
    whole = Provider(name=minilm).generate_embeddings(texts[:4])
    assert vectors.dtype == np.float32
    assert 0 < np.abs(vectors - whole).max() < 0.01


def test_texts_go_through_the_model_sorted_by_length(
    minilm: str, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch holds texts of like length, so that little is spent on padding."""
    from sentence_transformers import SentenceTransformer

    batches: list[list[int]] = []
    original = SentenceTransformer.preprocess

    def spy(self: object, inputs: list[str], **kwargs: object) -> object:
        batches.append([len(text) for text in inputs])
        return original(self, inputs, **kwargs)

    monkeypatch.setattr(SentenceTransformer, "preprocess", spy)
    Provider(name=minilm, batch_size=16).generate_embeddings(texts)
    lengths = [length for batch in batches for length in batch]
    assert lengths == sorted(map(len, texts), reverse=True)
    assert max(map(len, batches)) == 16
