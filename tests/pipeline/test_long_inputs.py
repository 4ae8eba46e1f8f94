"""Inputs over the model's token limit: cut with a warning, split, or refused."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import embow
from embow.errors import InputTooLongError
from embow.pipeline import InputTruncatedWarning, Pipeline
from embow.pipeline._longer import mean_of_pieces, split
from scripted import Scripted, column, embed, scripted, vector_of, vectors_of

LONG = "word " * 100


def strict(most):
    """Return an answer that refuses texts of more than so many characters."""

    def answer(texts):
        if any(len(text) > most for text in texts):
            raise InputTooLongError(f"more than {most} characters")
        return vectors_of(texts)

    return answer


def test_the_default_cuts_and_warns_once_with_the_count():
    """Two long inputs, one warning."""
    function = scripted(max_tokens_per_item=10)
    with pytest.warns(InputTruncatedWarning, match="2 input") as caught:
        out, _ = embed(function, ["short", LONG, LONG + "x"], rows=2)
    cut = function.truncate(LONG, 10)
    assert len(caught) == 1
    assert not caught[0].filename.startswith(os.path.dirname(embow.__file__))
    assert len(cut) <= 40
    np.testing.assert_array_equal(column(out)[1], vector_of(cut))


def test_nothing_is_said_where_nothing_is_cut():
    """Short inputs cause no warning, which would fail this test."""
    embed(scripted(max_tokens_per_item=10), ["short"])


def test_an_estimate_never_refuses_an_input_of_a_remote_model():
    """``error`` sends what looks too long and lets the provider judge."""
    out, report = embed(scripted(max_tokens_per_item=10), [LONG], on_long="error")
    np.testing.assert_array_equal(column(out)[0], vector_of(LONG))
    assert report.failed == []


def test_error_fails_the_row_that_the_provider_judges_too_long():
    """The others are stored."""
    function = scripted(strict(40), max_tokens_per_item=10)
    _, report = embed(function, ["a", LONG, "b"], on_long="error", on_error="skip")
    assert [(row.row, row.kind) for row in report.failed] == [(1, "too_long")]


def test_error_fails_the_row_before_a_local_model_cuts_it_silently():
    """A local model would not say so."""
    function = scripted(local=True, max_tokens_per_item=10)
    with pytest.raises(InputTooLongError, match="row 1"):
        embed(function, ["a", LONG], on_long="error")
    assert LONG not in [text for asked in function.asked for text in asked]


def test_split_embeds_all_of_a_text():
    """The vector is the mean of its pieces by tokens, of length 1 as they are."""
    function = scripted(max_tokens_per_item=10)
    out, report = embed(function, ["short", LONG], on_long="split")
    pieces = split(function, LONG, 10)
    weights = np.array(function.count_tokens(pieces), dtype=float)
    np.testing.assert_allclose(column(out)[1], mean_of_pieces(vectors_of(pieces), weights))
    assert np.linalg.norm(column(out)[1]) == pytest.approx(1)
    assert report.embedded == 2


@given(text=st.text(min_size=1, max_size=300), most=st.integers(1, 20))
def test_pieces_make_up_the_text(text, most):
    """Nothing but white space is lost by splitting."""
    pieces = split(scripted(), text, most)
    assert "".join("".join(pieces).split()) == "".join(text.split())


def test_a_piece_that_fails_fails_its_row_once():
    """One bad piece is one failed row."""

    def answer(texts):
        if any("bad" in text for text in texts):
            from embow.errors import BadInputError

            raise BadInputError("bad")
        return vectors_of(texts)

    function = scripted(answer, max_tokens_per_item=10)
    _, report = embed(function, ["fine", "bad words " * 50], on_long="split", on_error="skip")
    assert [row.row for row in report.failed] == [1]


def test_what_the_provider_finds_too_long_is_cut_further():
    """An estimate that is off is put right by asking."""
    function = scripted(strict(200))
    with pytest.warns(InputTruncatedWarning):
        out, report = embed(function, ["a", LONG, "b"])
    assert report.failed == []
    np.testing.assert_array_equal(column(out)[[0, 2]], vectors_of(["a", "b"]))
    assert len(function.asked[-1][0]) <= 250 or len(function.asked[-1]) == 1


def test_what_was_cut_is_not_cached_as_the_whole(tmp_path):
    """A cut text and the whole text never share a vector, and neither is paid twice."""
    pipeline = Pipeline(tmp_path / "cache.sqlite")
    small = scripted(name="same", max_tokens_per_item=10)
    with pytest.warns(InputTruncatedWarning):
        embed(small, [LONG], pipeline=pipeline)
    large = scripted(name="same")
    out, _ = embed(large, [LONG], pipeline=pipeline)
    np.testing.assert_array_equal(column(out)[0], vector_of(LONG))
    again = scripted(name="same", max_tokens_per_item=10)
    embed(again, [LONG], pipeline=pipeline)
    pipeline.close()
    assert again.asked == []


class CountsBytes(Scripted):
    """Has a tokenizer of its own."""

    def count_tokens(self, inputs):
        """Return one token a character."""
        counted.extend(inputs)
        return [len(text) for text in inputs]


counted: list[str] = []


def test_short_texts_of_a_local_model_are_not_tokenized():
    """A text of fewer bytes than the limit cannot be too long, so counting it is wasted."""

    class Local(CountsBytes):
        remote = False

    function = Local()
    function._limits = function._limits.__class__(max_tokens_per_item=50)
    counted.clear()
    with pytest.warns(InputTruncatedWarning):
        embed(function, ["short"] * 10 + [LONG])
    assert "short" not in counted


def test_a_long_query_is_cut_with_the_same_warning():
    """Queries keep to the limit too."""
    function = scripted(max_tokens_per_item=10)
    with pytest.warns(InputTruncatedWarning):
        Pipeline(None).embed_queries(function, LONG)
    assert len(function.asked[0][0]) <= 40
