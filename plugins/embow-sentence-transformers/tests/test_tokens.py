"""Token counts are exact, and a cut text is what the model reads of the whole one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embow_sentence_transformers import SentenceTransformerEmbeddings as Provider

WORDS = ["the", "cat", "sat", "mat", "while", "dogs", "ran", "green", "fields", "passage"]
LONG = " ".join(WORDS * 40)


def test_counts_are_the_tokenizers_own(minilm: str, texts: list[str]) -> None:
    """Special tokens are counted, padding and the model's limit are not."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(minilm)
    expected = [len(tokenizer(text, verbose=False)["input_ids"]) for text in [*texts, LONG]]
    assert Provider(name=minilm).count_tokens([*texts, LONG]) == expected
    assert expected[-1] > 256


def test_the_limit_is_what_the_model_reads(minilm: str) -> None:
    """MiniLM reads 256 tokens, or what it was told to read."""
    assert Provider(name=minilm).limits().max_tokens_per_item == 256
    assert Provider(name=minilm, max_seq_length=64).limits().max_tokens_per_item == 64


def test_a_prompt_takes_room_from_the_text(make_model: Any) -> None:
    """The longest prompt's tokens are taken off, whether given or the model's own."""
    own = make_model(max_seq_length=16, prompts={"query": "open file write read ", "document": ""})
    assert Provider(name=own).limits().max_tokens_per_item == 16 - 4
    given_here = Provider(name=own, prompts={"query": "river bank ", "document": "cat "})
    assert given_here.limits().max_tokens_per_item == 16 - 2


@pytest.mark.parametrize("limit", [3, 10, 200])
def test_a_cut_text_has_the_tokens_asked_for(minilm: str, limit: int) -> None:
    """Cutting uses up the limit exactly, special tokens included."""
    provider = Provider(name=minilm)
    cut = provider.truncate(LONG, limit)
    assert LONG.startswith(cut)
    assert provider.count_tokens([cut]) == [limit]


def test_a_text_that_fits_is_not_cut(minilm: str) -> None:
    """Nothing is lost of a text within the limit."""
    assert Provider(name=minilm).truncate("a cat  sat. ", 6) == "a cat  sat. "


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(WORDS) | st.text(alphabet="abcxyz é漢-.,", max_size=12), max_size=40)
)
def test_cutting_at_the_limit_changes_no_vector(cutting: tuple[Any, int], words: list[str]) -> None:
    """The model gives a text and its beginning up to the limit the same vector."""
    provider, limit = cutting
    text = " ".join(words)
    whole, cut = provider.generate_embeddings([text, provider.truncate(text, limit)])
    np.testing.assert_allclose(whole, cut, atol=1e-6)


@pytest.fixture(scope="module")
def cutting(make_model: Any) -> tuple[Any, int]:
    """Return a provider that reads 16 tokens, and that limit."""
    provider = Provider(name=make_model(max_seq_length=16))
    limit = provider.limits().max_tokens_per_item
    assert limit == 16
    return provider, limit
