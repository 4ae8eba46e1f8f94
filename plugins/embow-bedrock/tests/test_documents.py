"""The documents' own example, with only the import changed."""

import pandas as pd
import pytest

import embow
from embow.embeddings import get_registry
from embow.pydantic import LanceModel, Vector

MODELS = ("amazon.titan-embed-text-v1", "cohere.embed-english-v3", "cohere.embed-multilingual-v3")


@pytest.mark.parametrize("arguments", [{}, *({"name": name} for name in MODELS)])
def test_the_example_of_the_documents(server, monkeypatch, tmp_path, arguments):
    """A data frame goes in, a text finds its row, a data frame comes out."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", server.url)

    model = get_registry().get("bedrock-text").create(**arguments)

    class TextModel(LanceModel):
        text: str = model.SourceField()
        vector: Vector(model.ndims()) = model.VectorField()

    df = pd.DataFrame({"text": ["hello world", "goodbye world"]})
    db = embow.connect(tmp_path)
    tbl = db.create_table("test", schema=TextModel, mode="overwrite")

    tbl.add(df)
    rs = tbl.search("hello").limit(1).to_pandas()

    assert rs["text"].tolist() == ["hello world"]
    assert server.items[-1] == "hello"
