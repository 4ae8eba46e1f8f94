"""Counting and cutting with the model's own tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from embow.errors import ConfigurationError
from embow_onnx import OnnxEmbeddings
from embow_onnx.folder import bundled_path
from embow_onnx.tokens import TextTokenizer

TOKENIZER = bundled_path() / "tokenizer.json"
FUNC = OnnxEmbeddings.create()
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@pytest.mark.parametrize(("text", "tokens"), [("", 2), ("word", 3), ("word " * 1000, 1002)])
def test_count_is_exact_past_the_limit(text: str, tokens: int) -> None:
    """Texts longer than the model reads are counted whole."""
    assert FUNC.count_tokens([text]) == [tokens]


def test_count_agrees_with_the_library(docstrings: list[str]) -> None:
    """Real texts have as many tokens as the tokenizer gives without any limit."""
    plain = tokenizers.Tokenizer.from_file(str(TOKENIZER))
    plain.no_padding()
    plain.no_truncation()
    expected = [len(encoding.ids) for encoding in plain.encode_batch(docstrings)]
    assert FUNC.count_tokens(docstrings) == expected


@given(text=TEXTS, limit=st.integers(3, 60))
@settings(deadline=None)
def test_a_cut_text_is_a_beginning_that_fits(text: str, limit: int) -> None:
    """Any text is cut to a beginning of itself within the limit, and kept where it fits."""
    cut = FUNC.truncate(text, limit)
    assert text.startswith(cut)
    assert FUNC.count_tokens([cut])[0] <= limit
    assert cut == text or FUNC.count_tokens([text])[0] > limit


def test_a_cut_text_keeps_what_fits() -> None:
    """Nothing that fits is lost at the model's own limit."""
    assert FUNC.truncate("word " * 1000, 256).split() == ["word"] * 254


def test_other_values_are_not_cut() -> None:
    """What is not text is left for the checks that follow."""
    assert FUNC.truncate(3, 10) == 3


def test_cutting_ends_where_lower_case_is_longer() -> None:
    """A letter that becomes two in lower case moves offsets, and cutting still ends."""
    tokenizer = TextTokenizer(tokenizers, TOKENIZER, 256, lowercase=True)
    cut = tokenizer.cut("İ " * 40, 32)
    assert 2 < tokenizer.count([cut])[0] <= 32


@pytest.mark.parametrize("lowercase", [True, False])
def test_lower_case_is_applied_where_the_model_wants_it(
    make_folder: Callable[..., Path], lowercase: bool
) -> None:
    """A tokenizer that keeps case sees lower case only behind a model that says so."""
    folder = make_folder(
        "types",
        modules=[],
        sentence_bert_config={"max_seq_length": 8, "do_lower_case": lowercase},
    )
    cased = tokenizers.Tokenizer(tokenizers.models.WordLevel({"WORD": 7, "word": 8}))
    cased.save(str(folder / "tokenizer.json"))
    func = OnnxEmbeddings.create(name=str(folder), normalize=False)
    upper, lower = func.compute_source_embeddings(["WORD", "word"])
    assert func.truncate("WORD", 8) == "WORD"
    assert np.allclose(upper, lower) is lowercase


def test_limits_leave_room_for_the_longest_prompt() -> None:
    """A text of the stated length still fits behind either prompt."""
    prompted = OnnxEmbeddings.create(prompts={"query": "find this: ", "document": "text: "})
    assert FUNC.limits().max_tokens_per_item == 256
    assert prompted.limits().max_tokens_per_item == 256 - len(["find", "this", ":"])


def test_a_limit_without_room_is_refused() -> None:
    """The model's own two tokens are not all there may be."""
    with pytest.raises(ConfigurationError, match="max_seq_length=2 leaves no room"):
        OnnxEmbeddings.create(max_seq_length=2).compute_query_embeddings("x")


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    """The file is named."""
    broken = tmp_path / "tokenizer.json"
    broken.write_text(json.dumps({"version": "1.0"}))
    with pytest.raises(ConfigurationError, match=r"tokenizer\.json' is not a tokenizer file"):
        TextTokenizer(tokenizers, broken, 256, lowercase=False)
