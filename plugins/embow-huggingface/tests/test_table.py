"""Through a table: stored and searched with a transformers encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import embow
from embow.embeddings import TransformersEmbeddingFunction
from embow.errors import UnsupportedOperationError
from embow.pydantic import LanceModel, Vector


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


def test_a_schema_with_many_vectors_a_text_is_refused() -> None:
    """The class body of the schema raises, so no table is made that cannot be searched."""
    func = TransformersEmbeddingFunction.create(multivector=True)
    with pytest.raises(UnsupportedOperationError, match="one vector a row"):

        class Words(LanceModel):
            text: str = func.SourceField()
            vector: Vector(func.ndims()) = func.VectorField()  # type: ignore[valid-type]
