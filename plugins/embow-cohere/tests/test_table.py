"""Cohere behind a table."""

import io

from PIL import Image

import embow
from embow.embeddings import get_registry
from embow.pydantic import LanceModel, Vector


def test_text_finds_its_row(server, monkeypatch, tmp_path):
    """Documents and queries reach Cohere in their roles."""
    monkeypatch.setenv("COHERE_API_KEY", "key-of-the-test")
    monkeypatch.setenv("CO_API_URL", server.url)
    cohere = get_registry().get("cohere").create()

    class Words(LanceModel):
        text: str = cohere.SourceField()
        vector: Vector(cohere.ndims()) = cohere.VectorField()

    table = embow.connect(tmp_path).create_table("words", schema=Words)
    table.add([{"text": "hello world"}, {"text": "goodbye moon"}])
    assert table.search("hello").limit(1).to_list()[0]["text"] == "hello world"
    types = [request.payload["input_type"] for request in server.requests]
    assert types == ["search_document", "search_query"]


def test_a_column_of_images_is_embedded(make, server, tmp_path):
    """Bytes in a column are images, and a picture finds its like."""
    cohere = make(name="embed-v4.0", output_dimension=256)

    class Pictures(LanceModel):
        label: str
        image: bytes = cohere.SourceField()
        vector: Vector(cohere.ndims()) = cohere.VectorField()

    def picture(color):
        buffer = io.BytesIO()
        Image.new("RGB", (4, 4), color).save(buffer, "PNG")
        return buffer.getvalue()

    table = embow.connect(tmp_path).create_table("pictures", schema=Pictures)
    table.add([{"label": c, "image": picture(c)} for c in ("red", "green", "blue")])
    found = table.search(Image.open(io.BytesIO(picture("green")))).limit(1).to_list()
    assert found[0]["label"] == "green"
    assert all(item.startswith("data:image/png;base64,") for item in server.items)
