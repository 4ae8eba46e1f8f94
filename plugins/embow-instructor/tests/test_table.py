"""Through a table: the documentation's example, with its spellings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import embow
from embow.errors import IdentityMismatchError
from embow.pydantic import LanceModel, Vector


@pytest.fixture(autouse=True)
def _models_here(tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go to a folder where the default model's name is the small model."""
    (tmp_path / "hkunlp").mkdir()
    (tmp_path / "hkunlp" / "instructor-base").symlink_to(folder)
    monkeypatch.chdir(tmp_path)


def test_the_documented_example_runs_as_it_is_spelt() -> None:
    """The misspelt class name is served, the misspelt instructions reach the model."""
    from embow.embeddings import InstuctorEmbeddingFunction, get_registry

    instructor = (
        get_registry()
        .get("instructor")
        .create(
            source_instruction="represent the docuement for retreival",
            query_instruction="represent the document for retreiving the most similar documents",
        )
    )
    assert isinstance(instructor, InstuctorEmbeddingFunction)

    class Schema(LanceModel):
        vector: Vector(instructor.ndims()) = instructor.VectorField()  # type: ignore[valid-type]
        text: str = instructor.SourceField()

    db = embow.connect("./db")
    tbl = db.create_table("test", schema=Schema, mode="overwrite")
    texts = [
        {"text": "Capitalism has been dominant in the Western world since the end of feudalism"},
        {"text": "The disparate impact theory is especially controversial under the Fair Housing"},
        {"text": "Disparate impact in United States labor law refers to practices in employment"},
    ]
    tbl.add(texts)
    stored = np.array(tbl.to_arrow()["vector"].to_pylist(), dtype=np.float32)
    expected = instructor.compute_source_embeddings([row["text"] for row in texts])
    np.testing.assert_allclose(stored, expected, atol=1e-6)
    query = "capitalism in the western world"
    (hit,) = tbl.search(query).limit(1).to_list()
    distances = ((expected - instructor.compute_query_embeddings(query)) ** 2).sum(axis=1)
    assert hit["text"] == texts[int(distances.argmin())]["text"]


def test_a_table_is_not_opened_with_another_instruction() -> None:
    """Correcting the spelling of an instruction is another function, and is refused by name."""
    from embow.embeddings import InstructorEmbeddingFunction

    def schema(instruction: str) -> type[LanceModel]:
        func = InstructorEmbeddingFunction.create(
            source_instruction=instruction, show_progress_bar=False
        )

        class Schema(LanceModel):
            vector: Vector(func.ndims()) = func.VectorField()  # type: ignore[valid-type]
            text: str = func.SourceField()

        return Schema

    db = embow.connect("./db")
    db.create_table("test", schema=schema("represent the docuement")).add([{"text": "sugar"}])
    with pytest.raises(IdentityMismatchError, match="vector"):
        db.open_table("test", schema=schema("represent the document"))
