"""The documents' own example, with only the import changed."""

import pandas as pd

import embow
from embow.embeddings import get_registry
from embow.pydantic import LanceModel, Vector


def test_the_example_of_the_documents(server, monkeypatch, tmp_path):
    """A data frame goes in, a text finds its row, a data frame comes out."""
    monkeypatch.setenv("GOOGLE_API_KEY", "key-of-the-test")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)

    model = get_registry().get("gemini-text").create()

    class TextModel(LanceModel):
        text: str = model.SourceField()
        vector: Vector(model.ndims()) = model.VectorField()

    df = pd.DataFrame({"text": ["hello world", "goodbye world"]})
    db = embow.connect(tmp_path)
    tbl = db.create_table("test", schema=TextModel, mode="overwrite")

    tbl.add(df)
    rs = tbl.search("hello").limit(1).to_pandas()

    assert rs["text"].tolist() == ["hello world"]
    first, *_, last = [part for r in server.requests for part in r.payload["requests"]]
    assert (first["taskType"], last["taskType"]) == ("RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY")
