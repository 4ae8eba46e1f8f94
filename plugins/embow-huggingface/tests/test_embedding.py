"""Vectors: what transformers itself gives for each text alone, pooled as asked, in order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from embow_huggingface import TransformersEmbeddingFunction as Provider


def hidden_states(folder: str, text: str, limit: int) -> np.ndarray:
    """Return the last hidden states of one text, by transformers alone."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    with torch.no_grad():
        inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=limit)
        return model(**inputs).last_hidden_state[0].numpy()


POOLED = {
    "mean": lambda states: states.mean(axis=0),
    "max": lambda states: states.max(axis=0),
    "cls": lambda states: states[0],
    "last": lambda states: states[-1],
}


@pytest.mark.parametrize("architecture", ["bert", "roberta", "t5", "gpt2"])
@pytest.mark.parametrize("pooling", sorted(POOLED))
def test_batches_give_what_each_text_gives_alone(
    make_model: Any, texts: list[str], architecture: str, pooling: Any
) -> None:
    """Neither padding, nor the order of work, nor the batch changes a vector."""
    folder = make_model(architecture)
    some = texts[:40]
    expected = [POOLED[pooling](hidden_states(folder, text, 24)) for text in some]
    provider = Provider(name=folder, pooling=pooling, batch_size=16, max_length=24)
    vectors = provider.generate_embeddings(some)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, np.stack(expected), atol=2e-5)


@pytest.mark.parametrize("count", [0, 1, 32, 33])
def test_minilm_gives_the_numbers_of_sentence_transformers(
    minilm: str, texts: list[str], count: int
) -> None:
    """Mean and normalize on real weights are what sentence-transformers does with them."""
    from sentence_transformers import SentenceTransformer

    provider = Provider(name=minilm, normalize=True, max_length=256)
    vectors = provider.compute_source_embeddings(texts[:count])
    expected = SentenceTransformer(minilm, device="cpu").encode(texts[:count])
    assert vectors.shape == (count, 384)
    np.testing.assert_allclose(vectors, expected.reshape(count, 384), atol=1e-6)


def test_vectors_are_not_scaled_unless_asked(make_model: Any, texts: list[str]) -> None:
    """The default keeps the model's lengths; normalize makes them 1."""
    folder = make_model()
    raw = Provider(name=folder).generate_embeddings(texts)
    unit = Provider(name=folder, normalize=True).generate_embeddings(texts)
    lengths = np.linalg.norm(raw, axis=1, keepdims=True)
    assert np.abs(lengths - 1).min() > 0.1
    np.testing.assert_allclose(unit, raw / lengths, atol=1e-6)


@pytest.mark.parametrize(
    "inputs",
    ["cat", ["cat"], np.array(["cat"]), pa.array(["cat"]), pa.chunked_array([["cat"]])],
    ids=lambda value: type(value).__name__,
)
def test_inputs_of_every_kind_are_texts(make_model: Any, inputs: object) -> None:
    """One string, a list, numpy, Arrow and chunked Arrow data give the same vector."""
    provider = Provider(name=make_model())
    expected = provider.generate_embeddings(["cat"])
    np.testing.assert_array_equal(provider.compute_source_embeddings(inputs), expected)
    np.testing.assert_array_equal(provider.compute_query_embeddings(inputs), expected)


def test_what_is_not_text_is_refused_by_position(make_model: Any) -> None:
    """The error says which input is wrong and what it is."""
    with pytest.raises(TypeError, match="Input 1 is NoneType"):
        Provider(name=make_model()).compute_source_embeddings(["cat", None])


@pytest.mark.parametrize(("architecture", "limit"), [("bert", 24), ("roberta", 24), ("gpt2", 24)])
def test_long_texts_are_cut_at_the_models_positions(
    make_model: Any, architecture: str, limit: int
) -> None:
    """A tokenizer without a limit does not let a text run past what the model has learnt."""
    folder = make_model(architecture)
    provider = Provider(name=folder)
    text = "cat dogs rain " * 30
    assert provider.limits().max_tokens_per_item == limit
    expected = hidden_states(folder, text, limit).mean(axis=0)
    np.testing.assert_allclose(provider.generate_embeddings([text])[0], expected, atol=2e-5)


def test_cutting_at_the_limit_changes_no_vector(make_model: Any) -> None:
    """The model gives a text and its beginning up to the limit the same vector."""
    provider = Provider(name=make_model(), max_length=10)
    text = "cat dogs rain query " * 10
    cut = provider.truncate(text, 10)
    assert provider.count_tokens([text, cut])[1] == 10
    whole, beginning = provider.generate_embeddings([text, cut])
    np.testing.assert_allclose(whole, beginning, atol=1e-6)


def test_no_gradient_is_kept(make_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model runs in inference mode."""
    import torch
    from transformers import BertModel

    modes: list[bool] = []
    original = BertModel.forward

    def spy(self: object, **kwargs: object) -> object:
        modes.append(torch.is_inference_mode_enabled())
        return original(self, **kwargs)

    monkeypatch.setattr(BertModel, "forward", spy)
    Provider(name=make_model(), batch_size=2).generate_embeddings(["cat", "dogs", "rain"])
    assert modes == [True, True]


def test_batches_hold_texts_of_like_length(
    make_model: Any, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest texts go first and together, so that little is spent on padding."""
    from transformers import BertModel

    widths: list[tuple[int, int]] = []
    original = BertModel.forward

    def spy(self: object, **kwargs: Any) -> object:
        widths.append(tuple(kwargs["input_ids"].shape))
        return original(self, **kwargs)

    monkeypatch.setattr(BertModel, "forward", spy)
    provider = Provider(name=make_model(), batch_size=16)
    provider.generate_embeddings(texts)
    lengths = sorted((min(n, 24) for n in provider.count_tokens(texts)), reverse=True)
    assert widths == [(len(lengths[n : n + 16]), lengths[n]) for n in range(0, len(texts), 16)]


def test_half_precision_gives_float32(make_model: Any) -> None:
    """The model computes in the precision asked for; what comes out is float32."""
    folder = make_model()
    half = Provider(name=folder, dtype="bfloat16").generate_embeddings(["cat"])
    whole = Provider(name=folder).generate_embeddings(["cat"])
    assert half.dtype == np.float32
    assert 0 < np.abs(half - whole).max() < 0.2
