"""The example for open-clip of LanceDB's documents, with the imports changed."""

from __future__ import annotations

import io
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

import embow
from embow.embeddings import EmbeddingFunctionRegistry
from embow.pydantic import LanceModel, Vector


@pytest.fixture(autouse=True)
def _loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBOW_ALLOW_PRIVATE_HOSTS", "1")


def get(uri: str) -> bytes:
    with urllib.request.urlopen(uri) as response:
        return response.read()


def test_the_example_of_the_documents_runs(folder: str, site: list[str], tmp_path: Path) -> None:
    """One dict of lists, addresses and bytes, text and image queries, two vector columns."""
    db = embow.connect(tmp_path)
    registry = EmbeddingFunctionRegistry.get_instance()
    func = registry.get("open-clip").create(name=folder)

    class Images(LanceModel):
        label: str
        image_uri: str = func.SourceField()  # image uri as the source
        image_bytes: bytes = func.SourceField()  # image bytes as the source
        vector: Vector(func.ndims()) = func.VectorField()  # vector column
        vec_from_bytes: Vector(func.ndims()) = func.VectorField()  # Another vector column

    table = db.create_table("images", schema=Images)
    labels = ["cat", "cat", "dog", "dog", "horse", "horse"]
    uris = site
    # another picture in each column, so that a mix-up of the columns would show
    image_bytes = [get(uri) for uri in reversed(uris)]
    table.add([{"label": labels, "image_uri": uris, "image_bytes": image_bytes}])

    actual = table.search("man's best friend").limit(1).to_pydantic(Images)[0]
    first = table.search("man's best friend", vector_column_name="vector").limit(1)
    assert actual == first.to_pydantic(Images)[0]
    frombytes = (
        table.search("man's best friend", vector_column_name="vec_from_bytes")
        .limit(1)
        .to_pydantic(Images)[0]
    )
    assert frombytes.image_bytes == get(actual.image_uri)

    query_image = Image.open(io.BytesIO(get(uris[2])))
    actual = table.search(query_image).limit(1).to_pydantic(Images)[0]
    assert (actual.label, actual.image_uri) == ("dog", uris[2])
    other = (
        table.search(query_image, vector_column_name="vec_from_bytes")
        .limit(1)
        .to_pydantic(Images)[0]
    )
    assert other.image_bytes == get(uris[2])
