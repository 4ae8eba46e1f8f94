"""Late interaction, beside the implementation in sentence-transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embow.errors import ConfigurationError
from embow_huggingface import TransformersEmbeddingFunction as Provider
from embow_huggingface import maxsim
from embow_huggingface.colbert import ColbertSettings


def reference(folder: str) -> Any:
    """Return sentence-transformers' own reading of a ColBERT checkpoint."""
    sdk = pytest.importorskip("sentence_transformers", "6.0", exc_type=ImportError)
    return sdk.MultiVectorEncoder(folder, device="cpu")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"attend_to_mask_tokens": True},
        {"mask_punctuation": False},
        {"query_token_id": "[unused1]", "doc_token_id": "[unused0]"},
        {"weights": "pytorch_model.bin"},
    ],
    ids=str,
)
@pytest.mark.parametrize("role", ["query", "document"])
def test_a_colbert_checkpoint_gives_the_vectors_of_another_implementation(
    make_colbert: Any, texts: list[str], settings: dict[str, Any], role: str
) -> None:
    """Head, marks, filled queries, skipped punctuation and cutting agree for each setting."""
    folder = make_colbert(**settings)
    provider = Provider(name=folder, multivector=True, batch_size=16)
    expected = getattr(reference(folder), f"encode_{role}")(texts, convert_to_numpy=True)
    compute = {
        "query": provider.compute_query_embeddings,
        "document": provider.compute_source_embeddings,
    }
    vectors = compute[role](texts)
    assert [v.shape for v in vectors] == [e.shape for e in expected]
    for ours, theirs in zip(vectors, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_every_query_is_filled_up(make_colbert: Any) -> None:
    """A query has query_maxlen vectors of length 1, however short it is."""
    provider = Provider(name=make_colbert(), multivector=True)
    (vectors,) = provider.compute_query_embeddings("cat")
    assert vectors.shape == (12, provider.ndims()) == (12, 12)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_punctuation_of_documents_has_no_vectors(make_colbert: Any) -> None:
    """A comma more is no vector more."""
    provider = Provider(name=make_colbert(), multivector=True)
    plain, marked = provider.compute_source_embeddings(["cat dogs", "cat , dogs !"])
    assert len(plain) == len(marked) == 3 + 2


def test_without_the_flag_a_colbert_checkpoint_is_an_encoder(make_colbert: Any) -> None:
    """One vector a text, of the encoder's own length, from the same files."""
    provider = Provider(name=make_colbert())
    assert provider.generate_embeddings(["cat"]).shape == (1, 32) == (1, provider.ndims())


def test_an_encoder_without_a_head_gives_its_hidden_states(make_model: Any) -> None:
    """A plain model gives a vector for each token, special ones included."""
    provider = Provider(name=make_model(), multivector=True)
    assert [v.shape for v in provider.compute_source_embeddings(["cat", "cat dogs"])] == [
        (3, 32),
        (4, 32),
    ]
    assert provider.compute_source_embeddings([]) == []


def test_a_checkpoint_without_its_head_is_an_error(make_colbert: Any) -> None:
    """What calls itself ColBERT's is not taken for a plain encoder."""
    with pytest.raises(ConfigurationError, match=r"linear\.weight"):
        Provider(name=make_colbert(head=False), multivector=True).ndims()


def test_a_mark_the_tokenizer_lacks_is_an_error(make_colbert: Any) -> None:
    """A tokenizer of another model is noticed, not read as unknown words."""
    folder = make_colbert(query_token_id="[Q]")
    with pytest.raises(ConfigurationError, match=r"no token '\[Q\]'"):
        Provider(name=folder, multivector=True).compute_query_embeddings("cat")


def test_the_usual_settings_serve_where_none_are_stored(make_colbert: Any) -> None:
    """Without artifact.metadata the marks and the lengths of ColBERTv2 are taken."""
    folder = make_colbert()
    Path(folder, "artifact.metadata").unlink()
    provider = Provider(name=folder, multivector=True)
    colbert = provider._encoder().colbert
    assert colbert.settings == ColbertSettings("[unused0]", "[unused1]", 32, 220)


def test_documents_are_cut_at_the_length_asked_for(make_colbert: Any) -> None:
    """``max_length`` replaces the checkpoint's own limit, up to what the model has learnt."""
    folder = make_colbert(mask_punctuation=False)
    long = "cat dogs rain " * 30
    for asked, got in ((None, 20), (9, 9), (500, 24)):
        provider = Provider(name=folder, multivector=True, max_length=asked)
        assert len(provider.compute_source_embeddings([long])[0]) == got


def test_maxsim_adds_the_best_match_of_each_query_vector() -> None:
    """Two query vectors, each matched by its nearest document vector."""
    query = np.eye(2, dtype=np.float32)
    near = np.array([[1, 0], [0.6, 0.8]], dtype=np.float32)
    far = np.array([[-1, 0]], dtype=np.float32)
    np.testing.assert_allclose(maxsim(query, [near, far]), [1.8, -1.0], atol=1e-6)
    assert maxsim(query, []).shape == (0,)


def test_a_text_is_the_best_match_of_itself(make_colbert: Any) -> None:
    """Scores rank the text a query was made from first."""
    provider = Provider(name=make_colbert(), multivector=True)
    texts = ["cat mat", "river bank money", "birds sang", "open file"]
    documents = provider.compute_source_embeddings(texts)
    for place, vectors in enumerate(documents):
        assert maxsim(vectors, documents).argmax() == place
