"""Inputs of every modality, alone and mixed, and which weights they meet."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embow
from embow import media
from embow.errors import BadInputError, ConfigurationError
from embow.plugins import ProviderSpec
from embow.plugins import _discovery as discovery
from embow_imagebind import ImageBindEmbeddings
from forked import embed_in_a_child

Make = dict[str, Callable[..., bytes]]


@pytest.fixture
def inputs(make: Make) -> dict[str, Any]:
    """Return one input of each modality."""
    rng = np.random.default_rng(1)
    return {
        "text": "an animal which flies and tweets",
        "image": make["image"](1),
        "audio": make["audio"](1),
        "video": make["video"](1),
        "depth": media.depth(rng.random((250, 300), dtype=np.float32)),
        "thermal": media.thermal(make["image"](2)),
        "imu": media.imu(rng.standard_normal((6, 500))),
    }


def test_every_modality_has_a_vector_alone_and_mixed(
    settings: dict[str, Any], inputs: dict[str, Any]
) -> None:
    """A column of all modalities gives each row what it gets alone."""
    func = ImageBindEmbeddings.create(**settings)
    rows = [*inputs.values(), *reversed(inputs.values())]
    together = func.compute_source_embeddings(rows)
    alone = np.concatenate([func.compute_source_embeddings([row]) for row in rows])
    assert together.shape == (14, 32)
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert len(np.unique(together.round(4), axis=0)) == 7


def test_vectors_have_length_one_where_asked(
    settings: dict[str, Any], inputs: dict[str, Any]
) -> None:
    """normalize=True brings all modalities to one length; the model's own lengths differ."""
    values = list(inputs.values())
    raw = ImageBindEmbeddings.create(**settings).compute_source_embeddings(values)
    unit = ImageBindEmbeddings.create(normalize=True, **settings).compute_source_embeddings(values)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-5)
    assert np.ptp(np.linalg.norm(raw, axis=1)) > 1


@pytest.mark.parametrize("kind", ["image", "audio", "video"])
def test_a_query_path_is_the_medium_it_names(
    kind: str, settings: dict[str, Any], make: Make, tmp_path: Path
) -> None:
    """A query string that is a path is read, whatever its extension says it is."""
    path = tmp_path / "thing.JPG"
    path.write_bytes(make[kind](5))
    func = ImageBindEmbeddings.create(**settings)
    by_path = func.compute_query_embeddings(str(path))
    np.testing.assert_allclose(by_path, func.compute_query_embeddings([make[kind](5)]), atol=1e-6)


def test_a_sentence_with_a_file_name_is_text(settings: dict[str, Any]) -> None:
    """Text that ends like a file is embedded as text, and a lone name by saying so."""
    func = ImageBindEmbeddings.create(**settings)
    assert func.compute_query_embeddings("look at dog.jpg").shape == (1, 32)
    assert func.compute_query_embeddings([media.text("dog.jpg")]).shape == (1, 32)
    with pytest.raises(BadInputError, match=r"no file 'dog\.jpg'"):
        func.compute_query_embeddings("dog.jpg")


def test_a_long_text_keeps_its_end_mark(settings: dict[str, Any]) -> None:
    """Texts over 77 tokens that differ at their start have different vectors, all finite."""
    func = ImageBindEmbeddings.create(**settings)
    tokens = func._model()._tokens("word " * 200)
    assert tokens.shape == (77,)
    assert tokens.argmax() == 76


def test_bad_inputs_are_named_all_at_once(settings: dict[str, Any], make: Make) -> None:
    """Errors name positions in the call, also past the first batch."""
    func = ImageBindEmbeddings.create(batch_size=2, **settings)
    image = make["image"](1)
    values = [image, "words", image, b"no medium", "gone.wav", image]
    with pytest.raises(BadInputError) as caught:
        func.compute_source_embeddings(values)
    assert caught.value.row == 3


@pytest.mark.parametrize(
    "value",
    [
        media.imu(np.zeros((5, 10))),
        media.audio(np.zeros(100), rate=16000),
        media.audio(b"RIFF1234WAVE"),
        media.video(b"\0\0\0\0ftypisom"),
        media.video(np.zeros((2, 3)), rate=1),
    ],
)
def test_damaged_inputs_are_refused(value: Any, settings: dict[str, Any]) -> None:
    """What cannot be decoded is a bad input, never a made-up vector."""
    with pytest.raises(BadInputError):
        ImageBindEmbeddings.create(**settings).compute_source_embeddings([value])


def test_weights_count_by_content(settings: dict[str, Any], tmp_path: Path) -> None:
    """A checkpoint may be moved; a missing one, or one of another shape, is named."""
    moved = tmp_path / "moved.pth"
    moved.write_bytes(Path(settings["checkpoint"]).read_bytes())
    here = ImageBindEmbeddings.create(**settings)
    assert (
        here.fingerprint()
        == ImageBindEmbeddings.create(**settings | {"checkpoint": str(moved)}).fingerprint()
    )
    with pytest.raises(ConfigurationError, match="no checkpoint"):
        ImageBindEmbeddings.create(checkpoint="gone.pth").identity()
    other = settings["model_kwargs"] | {"out_embed_dim": 16}
    with pytest.raises(ConfigurationError, match="could not be loaded"):
        ImageBindEmbeddings.create(
            checkpoint=settings["checkpoint"], model_kwargs=other
        ).compute_query_embeddings("a")


def test_the_licence_is_listed() -> None:
    """The listing says that use is restricted."""
    listed = discovery.catalog().find(ProviderSpec, "imagebind")
    assert listed is not None
    assert listed.spec is not None
    assert "non-commercial" in (listed.spec.licence or "")


def test_the_example_of_the_documents_runs(
    settings: dict[str, Any], make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Image paths in; image path, audio path and text as queries."""
    from embow.embeddings import EmbeddingFunctionRegistry
    from embow.pydantic import LanceModel, Vector

    monkeypatch.chdir(tmp_path)
    Path("assets").mkdir()
    for seed, name in enumerate(["dog", "car", "bird"]):
        Path(f"assets/{name}_image.jpg").write_bytes(make["image"](seed))
    Path("assets/dog_image2.jpg").write_bytes(make["image"](0))
    Path("assets/car_audio2.wav").write_bytes(make["audio"](0))

    db = embow.connect(tmp_path / "db")
    registry = EmbeddingFunctionRegistry.get_instance()
    func = registry.get("imagebind").create(**settings)

    class ImageBindModel(LanceModel):
        text: str
        image_uri: str = func.SourceField()
        audio_path: str
        vector: Vector(func.ndims()) = func.VectorField()

    text_list = ["A dog.", "A car", "A bird"]
    image_paths = [f"./assets/{name}_image.jpg" for name in ("dog", "car", "bird")]
    audio_paths = [f"./assets/{name}_audio.wav" for name in ("dog", "car", "bird")]
    inputs = [
        {"text": a, "audio_path": b, "image_uri": c}
        for a, b, c in zip(text_list, audio_paths, image_paths, strict=True)
    ]
    table = db.create_table("img_bind", schema=ImageBindModel)
    table.add(inputs)

    query_image = "./assets/dog_image2.jpg"
    actual = table.search(query_image).limit(1).to_pydantic(ImageBindModel)[0]
    assert actual.text == "A dog."
    for query in ("./assets/car_audio2.wav", "an animal which flies and tweets"):
        found = table.search(query).limit(3).to_pydantic(ImageBindModel)
        stored = np.array([row.vector for row in found])
        wanted = func.compute_query_embeddings(query)
        distances = ((stored - wanted) ** 2).sum(axis=1)
        assert (np.diff(distances) >= 0).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_embeds(settings: dict[str, Any]) -> None:
    """A process forked after the model was used has not its threads, and does without."""
    embed_in_a_child("imagebind", settings, ["word " * 70] * 64)


def test_a_text_that_is_no_unicode_is_named(settings: dict[str, Any]) -> None:
    """A lone surrogate is a bad input of its row."""
    func = ImageBindEmbeddings.create(**settings)
    with pytest.raises(BadInputError, match="surrogate") as caught:
        func.compute_source_embeddings(["a dog", "q\ud83d"])
    assert caught.value.row == 1
