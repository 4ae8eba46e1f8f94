"""Cross-encoders, with a real one that is tiny and knows which texts are about cats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embow
from embow.errors import ConfigurationError
from embow.rerankers import CrossEncoderReranker
from embow_testing.rerankers import RerankerConformance

ABOUT_CATS = (
    "the cat sat on a mat while rain sang",
    "stock market money bank",
    "birds ran through green fields",
)


class TestConformance(RerankerConformance):
    reranker = "cross-encoder"
    query = "cat on mat"
    texts = ABOUT_CATS

    @pytest.fixture(autouse=True)
    def _folder(self, cross_encoder: str) -> None:
        self.folder = cross_encoder

    def make(self) -> CrossEncoderReranker:
        return CrossEncoderReranker.create(model_name=self.folder)


def test_scores_are_those_of_the_library(cross_encoder: str) -> None:
    """Query and text go in as the library takes them, whatever the batch size."""
    from sentence_transformers import CrossEncoder

    own = CrossEncoder(cross_encoder, device="cpu")
    expected = own.predict([("cat", text) for text in ABOUT_CATS])
    for batch_size in (1, 32):
        reranker = CrossEncoderReranker(model_name=cross_encoder, batch_size=batch_size)
        found = reranker.scores("cat", list(ABOUT_CATS))
        np.testing.assert_allclose(found, expected, atol=1e-5)
    short = CrossEncoderReranker(model_name=cross_encoder, max_length=8)
    assert not np.allclose(short.scores("cat", list(ABOUT_CATS)), expected, atol=1e-5)


def test_a_search_is_reranked(cross_encoder: str) -> None:
    """A table's rows come in the model's order."""
    rows = [{"body": text, "vector": [float(n)]} for n, text in enumerate(reversed(ABOUT_CATS))]
    table = embow.connect("memory://").create_table("t", rows)
    reranker = CrossEncoderReranker(model_name=cross_encoder, column="body")
    query = table.search([0.0]).rerank(reranker, query_string="cat on mat")
    assert query.to_list()[0]["body"] == ABOUT_CATS[0]


def test_a_folder_counts_by_its_content(cross_encoder: str, tmp_path: Path) -> None:
    """The same model in another folder is the same; a name of the hub stays a name."""
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(cross_encoder, copy)
    one, other = (CrossEncoderReranker.create(model_name=str(f)) for f in (cross_encoder, copy))
    assert one.fingerprint() == other.fingerprint()
    assert CrossEncoderReranker.create().identity()["model_name"].startswith("cross-encoder/")


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The error says what was looked for, and how to get it."""
    reranker: Any = CrossEncoderReranker(model_name="acme/none", local_files_only=True)
    with pytest.raises(ConfigurationError, match=r"'acme/none'.*hf download acme/none"):
        reranker.scores("a", ["b"])
    with pytest.raises(ConfigurationError, match="holds no model"):
        CrossEncoderReranker(model_name=str(tmp_path)).scores("a", ["b"])
