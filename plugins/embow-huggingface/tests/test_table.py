"""Through a table: stored and searched with a transformers encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embow
from embow.embeddings import TransformersEmbeddingFunction
from embow.errors import SchemaError
from embow.pydantic import LanceModel, MultiVector, Vector
from embow_huggingface import maxsim


def test_rows_are_embedded_and_found_by_meaning(minilm: str, tmp_path: Path) -> None:
    """Real weights through a table: what is near in meaning is found first."""
    func = TransformersEmbeddingFunction.create(name=minilm, normalize=True)

    class Words(LanceModel):
        text: str = func.SourceField()
        vector: Vector(func.ndims()) = func.VectorField()  # type: ignore[valid-type]

    table = embow.connect(str(tmp_path)).create_table("words", schema=Words)
    texts = ["hello world", "goodbye world", "a stock market crash"]
    table.add({"text": texts})
    assert table.search("greetings").limit(1).to_pydantic(Words)[0].text == "hello world"
    stored = np.array(table.to_arrow()["vector"].to_pylist(), dtype=np.float32)
    expected = func.compute_source_embeddings(texts)
    np.testing.assert_allclose(stored, expected, atol=1e-6)


def test_token_vectors_are_stored_and_searched_by_the_best_matches(
    make_colbert: Any, tmp_path: Path
) -> None:
    """A ColBERT checkpoint through a table ranks as its own scoring does, also when reopened."""
    func = TransformersEmbeddingFunction.create(name=make_colbert(), multivector=True)

    class Words(LanceModel):
        text: str = func.SourceField()
        vectors: MultiVector(func.ndims()) = func.VectorField()  # type: ignore[valid-type]

    texts = ["cat mat", "river bank money", "birds sang", "open file"]
    embow.connect(str(tmp_path)).create_table("words", schema=Words).add({"text": texts})
    table = embow.connect(str(tmp_path)).open_table("words")
    documents = func.compute_source_embeddings(texts)
    for given, expected in zip(table.to_arrow()["vectors"].to_pylist(), documents, strict=True):
        np.testing.assert_allclose(np.array(given, np.float32), expected, atol=1e-6)
    found = table.search("bank cat").metric("cosine").to_list()
    (query,) = func.compute_query_embeddings("bank cat")
    scores = maxsim(query, documents)
    assert [row["text"] for row in found] == [texts[at] for at in np.argsort(-scores)]
    distances = sorted(len(query) - scores)
    np.testing.assert_allclose([row["_distance"] for row in found], distances, atol=1e-4)
    assert table.verify(remote=True).ok


def test_one_vector_a_row_holds_no_token_vectors() -> None:
    """The sentence says how to declare the column."""
    func = TransformersEmbeddingFunction.create(multivector=True)

    class Words(LanceModel):
        text: str = func.SourceField()
        vector: Vector(func.ndims()) = func.VectorField()  # type: ignore[valid-type]

    with pytest.raises(SchemaError, match=r"makes several of each input.*MultiVector\(128\)"):
        embow.connect("memory://").create_table("words", schema=Words)
