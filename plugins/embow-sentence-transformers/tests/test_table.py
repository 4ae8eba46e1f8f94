"""Through a table: the documents' examples, one load, several models, roles, long texts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embow
from embow.embeddings import EmbeddingFunctionRegistry, get_registry
from embow.errors import EmbeddingError, IdentityMismatchError
from embow.pipeline._longer import InputTruncatedWarning
from embow.pydantic import LanceModel, Vector


@pytest.fixture
def models_here(tmp_path: Path, minilm: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder where the names of two models are folders with MiniLM's real weights."""
    (tmp_path / "BAAI").mkdir()
    for name in ("all-MiniLM-L6-v2", "BAAI/bge-small-en-v1.5"):
        (tmp_path / name).symlink_to(minilm)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("models_here")
def test_the_quick_start_runs_with_the_import_changed() -> None:
    """The guide's first example: default model, plain add, search by text, a data frame."""
    func = get_registry().get("sentence-transformers").create()

    class MySchema(LanceModel):
        text: str = func.SourceField()
        vector: Vector(func.ndims()) = func.VectorField()  # type: ignore[valid-type]

    db = embow.connect("./mydb")
    table = db.create_table("mytable", schema=MySchema)
    table.add([{"text": "This is a test."}, {"text": "Another example."}])
    results = table.search("test example").limit(5).to_pandas()
    assert sorted(results["text"]) == ["Another example.", "This is a test."]
    assert set(results.columns) >= {"text", "vector", "_distance"}


@pytest.mark.usefixtures("models_here")
def test_the_baai_example_runs() -> None:
    """A model by the name of its repository, rows back as objects of the schema."""
    db = embow.connect("./db")
    registry = EmbeddingFunctionRegistry.get_instance()
    model = registry.get("sentence-transformers").create(
        name="BAAI/bge-small-en-v1.5", device="cpu"
    )

    class Words(LanceModel):
        text: str = model.SourceField()
        vector: Vector(model.ndims()) = model.VectorField()  # type: ignore[valid-type]

    table = db.create_table("words", schema=Words)
    table.add([{"text": "hello world"}, {"text": "goodbye world"}])
    query = "greetings"
    actual = table.search(query).limit(1).to_pydantic(Words)[0]
    assert actual.text == "hello world"


@pytest.mark.usefixtures("models_here")
def test_the_recipe_for_remote_tables_runs() -> None:
    """A query embedded by hand finds what a query given as text finds."""
    func = get_registry().get("sentence-transformers").create()

    class MySchema(LanceModel):
        text: str = func.SourceField()
        vector: Vector(func.ndims()) = func.VectorField()  # type: ignore[valid-type]

    table = embow.connect("./mydb").create_table("mytable", schema=MySchema)
    table.add([{"text": "This is a test."}, {"text": "Another example."}])
    query_vector = func.generate_embeddings(["test example"])[0]
    by_hand = table.search(query_vector).limit(5).to_pandas()
    by_text = table.search("test example").limit(5).to_pandas()
    assert list(by_hand["text"]) == list(by_text["text"])
    np.testing.assert_allclose(by_hand["_distance"], by_text["_distance"], atol=1e-6)


_READER = """
import sys, embow
table = embow.connect("./mydb").open_table("mytable")
table.add([{"text": "a cat on a mat"}])
print(table.search("an animal at home").limit(1).to_list()[0]["text"])
"""


def test_a_table_embeds_by_itself_in_another_process(models_here: Path) -> None:
    """A second process that knows only the table adds a row and finds it by its meaning."""
    func = get_registry().get("sentence-transformers").create()
    table = _table(models_here / "mydb", func, "mytable")
    table.add([{"text": "stock market news"}, {"text": "rain tomorrow"}])
    done = subprocess.run(
        [sys.executable, "-c", _READER],
        cwd=models_here,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "a cat on a mat"


def _table(folder: Path, func: Any, name: str = "words") -> Any:
    class Words(LanceModel):
        text: str = func.SourceField()
        vector: Vector(func.ndims()) = func.VectorField()  # type: ignore[valid-type]

    return embow.connect(str(folder)).create_table(name, schema=Words)


@pytest.mark.usefixtures("fresh")
def test_two_models_of_one_schema_are_loaded_once_each(
    make_model: Any, tmp_path: Path, count_loads: list[str]
) -> None:
    """Batches, searches and two more opens of the table load nothing again."""
    registry = get_registry()
    one = registry.get("sentence-transformers").create(name=make_model(seed=1))
    two = registry.get("sentence-transformers").create(name=make_model(seed=2))

    class Words(LanceModel):
        text: str = one.SourceField()
        title: str = two.SourceField()
        text_vector: Vector(one.ndims()) = one.VectorField()  # type: ignore[valid-type]
        title_vector: Vector(two.ndims()) = two.VectorField()  # type: ignore[valid-type]

    database = embow.connect(str(tmp_path / "db"))
    table = database.create_table("words", schema=Words)
    for start in range(3):
        table.add([{"text": f"cat {start}", "title": f"dogs {start}"}])
    for _ in range(2):
        opened = embow.connect(str(tmp_path / "db")).open_table("words")
        for column in ("text_vector", "title_vector"):
            opened.search("cat", vector_column_name=column).limit(1).to_list()
    assert sorted(count_loads) == sorted([one.name, two.name])


def test_documents_and_queries_get_their_prompts(make_model: Any, tmp_path: Path) -> None:
    """What is stored was embedded as a document, what is searched with as a query."""
    folder = make_model(prompts={"query": "query ", "document": "passage "})
    func = get_registry().get("sentence-transformers").create(name=folder)
    table = _table(tmp_path, func)
    table.add([{"text": "cat"}])
    (hit,) = table.search("cat").metric("cosine").limit(1).to_list()
    document = func.compute_source_embeddings(["cat"])[0]
    query = func.compute_query_embeddings(["cat"])[0]
    np.testing.assert_allclose(hit["vector"], document, atol=1e-6)
    np.testing.assert_allclose(hit["_distance"], 1 - query @ document, atol=1e-5)


def test_long_texts_are_told_of(make_model: Any, tmp_path: Path) -> None:
    """A text the model would cut without a word gives a warning, or an error where asked."""
    func = get_registry().get("sentence-transformers").create(name=make_model())
    table = _table(tmp_path, func)
    long = "cat dogs rain " * 40
    with pytest.warns(InputTruncatedWarning, match="96 tokens"):
        table.add([{"text": long}])
    (stored,) = table.to_arrow()["vector"].to_pylist()
    np.testing.assert_allclose(stored, func.generate_embeddings([long])[0], atol=1e-6)
    with pytest.raises(EmbeddingError, match="has 122 tokens and the model takes 96"):
        table.add([{"text": long}], on_long="error")


def test_a_folder_trained_further_is_refused_by_name(make_model: Any, tmp_path: Path) -> None:
    """A table written by one model is not searched with another of the same shape."""
    registry = get_registry()
    one = registry.get("sentence-transformers").create(name=make_model(seed=1))
    two = registry.get("sentence-transformers").create(name=make_model(seed=2))
    _table(tmp_path, one).add([{"text": "cat"}])

    class Words(LanceModel):
        text: str = two.SourceField()
        vector: Vector(two.ndims()) = two.VectorField()  # type: ignore[valid-type]

    with pytest.raises(IdentityMismatchError, match="vector"):
        embow.connect(str(tmp_path)).open_table("words", schema=Words)
