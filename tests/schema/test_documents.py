"""The schema classes of LanceDB's documents, with the import changed."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from embow.pydantic import LanceModel, Vector

VECTOR = pa.field("vector", pa.list_(pa.float32(), 3))
TEXT = pa.field("text", pa.utf8(), nullable=False)


def pairs(model: type[LanceModel]) -> list[tuple[str, str]]:
    return [(b.source, b.vector) for b in model.parse_embedding_functions()]


def test_quick_start(func: Any) -> None:
    """The quick start's class, as BAAI, OpenAI, Gemini and Bedrock write it too."""

    class MySchema(LanceModel):
        # Embed the 'text' field automatically
        text: str = func.SourceField()
        # Store the embeddings in the 'vector' field
        vector: Vector(func.ndims()) = func.VectorField()  # type: ignore[valid-type]

    assert MySchema.to_arrow_schema().remove_metadata() == pa.schema([TEXT, VECTOR])
    assert pairs(MySchema) == [("text", "vector")]
    assert MySchema(text="This is a test.").text == "This is a test."


def test_instructor(func: Any) -> None:
    """The Instructor class declares the vector before its source."""

    class Schema(LanceModel):
        vector: Vector(func.ndims()) = func.VectorField()  # type: ignore[valid-type]
        text: str = func.SourceField()

    assert Schema.to_arrow_schema().remove_metadata() == pa.schema([VECTOR, TEXT])
    assert pairs(Schema) == [("text", "vector")]


def test_open_clip(func: Any) -> None:
    """Each of the two image columns feeds the vector that stands in its place."""

    class Images(LanceModel):
        label: str
        image_uri: str = func.SourceField()  # image uri as the source
        image_bytes: bytes = func.SourceField()  # image bytes as the source
        vector: Vector(func.ndims()) = func.VectorField()  # type: ignore[valid-type]
        vec_from_bytes: Vector(func.ndims()) = func.VectorField()  # type: ignore[valid-type]

    assert pairs(Images) == [("image_uri", "vector"), ("image_bytes", "vec_from_bytes")]


def test_imagebind(func: Any) -> None:
    """Columns beside the source are plain columns."""

    class ImageBindModel(LanceModel):
        text: str
        image_uri: str = func.SourceField()
        audio_path: str
        vector: Vector(func.ndims()) = func.VectorField()  # type: ignore[valid-type]

    assert pairs(ImageBindModel) == [("image_uri", "vector")]
    assert ImageBindModel.field_names() == ["text", "image_uri", "audio_path", "vector"]


@pytest.mark.parametrize(
    "name",
    [
        "LanceModel", "Vector", "MultiVector", "pydantic_to_schema", "FixedSizeListMixin",
        "get_extras", "model_to_dict",
    ],
)  # fmt: skip
def test_names_of_lancedb_pydantic(name: str) -> None:
    """Each name that lancedb.pydantic exports today is found in embow.pydantic."""
    import embow.pydantic

    assert name in embow.pydantic.__all__
    assert hasattr(embow.pydantic, name)


def test_fixed_size_list_mixin() -> None:
    """The check LanceDB users write for vector annotations works."""
    from embow.pydantic import FixedSizeListMixin

    assert issubclass(Vector(3), FixedSizeListMixin)  # type: ignore[arg-type]
