"""What goes into the model, in what batches, and which weights it has."""

from __future__ import annotations

import io
import math
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import embow
from embow import media
from embow.embeddings import unload
from embow.errors import BadInputError, ConfigurationError
from embow_open_clip import OpenClipEmbeddings, runtime
from forked import embed_in_a_child

Noise = Callable[[int], bytes]


def test_images_are_those_of_open_clip(folder: str, images: list[bytes], reference: Any) -> None:
    """A batch gives the library's own numbers, one image at a time."""
    func = OpenClipEmbeddings.create(name=folder, batch_size=4)
    expected = [reference(image) for image in images]
    np.testing.assert_allclose(func.compute_source_embeddings(images), expected, atol=1e-5)


def test_texts_are_those_of_open_clip(folder: str, reference: Any) -> None:
    """Query strings go through the text tower, also where they look like a file."""
    func = OpenClipEmbeddings.create(name=folder)
    for text in ("man's best friend", "look at dog.jpg", "dog.jpg"):
        (vector,) = func.compute_query_embeddings(text)
        np.testing.assert_allclose(vector, reference(text), atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_every_precision_embeds_images_and_texts(
    precision: str, folder: str, images: list[bytes], reference: Any
) -> None:
    """A model of half precision gives nearly the same vectors, of length 1."""
    func = OpenClipEmbeddings.create(name=folder, precision=precision)
    for given, vectors in (
        (images[:2], func.compute_source_embeddings(images[:2])),
        (["a dog"], func.compute_query_embeddings("a dog")),
    ):
        for vector, value in zip(vectors, given, strict=True):
            assert float(vector @ reference(value)) > 0.995
            assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("form", ["path", "string", "uri", "url", "pil", "array", "media"])
def test_every_form_of_an_image_gives_its_vector(
    form: str, folder: str, images: list[bytes], tmp_path: Path, site: list[str], reference: Any
) -> None:
    """Paths, addresses, PIL images and arrays are read as the same picture."""
    path = tmp_path / "a.png"
    path.write_bytes(images[0])
    opened = Image.open(io.BytesIO(images[0]))
    value = {
        "path": path,
        "string": str(path),
        "uri": path.as_uri(),
        "url": site[0],
        "pil": opened,
        "array": np.asarray(opened),
        "media": media.image(str(path)),
    }[form]
    func = OpenClipEmbeddings.create(name=folder, media={"allow_private_hosts": True})
    (vector,) = func.compute_source_embeddings([value])
    np.testing.assert_allclose(vector, reference(images[0]), atol=1e-5)
    if form not in ("string", "uri", "url"):
        np.testing.assert_allclose(func.compute_query_embeddings(value)[0], vector, atol=1e-6)


def test_a_mixed_column_keeps_its_order(
    folder: str, images: list[bytes], tmp_path: Path, reference: Any
) -> None:
    """With source_type="auto" text and images may alternate."""
    path = tmp_path / "a.png"
    path.write_bytes(images[1])
    func = OpenClipEmbeddings.create(name=folder, source_type="auto", batch_size=1)
    vectors = func.compute_source_embeddings(["a dog", str(path), images[2], "see a.png"])
    expected = [reference(v) for v in ("a dog", images[1], images[2], "see a.png")]
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_vectors_keep_their_length_where_asked(folder: str, images: list[bytes]) -> None:
    """normalize=False leaves the model's own lengths."""
    raw = OpenClipEmbeddings.create(name=folder, normalize=False).compute_source_embeddings(images)
    assert np.abs(np.linalg.norm(raw, axis=1) - 1).max() > 0.01


# -- batches ---------------------------------------------------------------------------------


@pytest.fixture
def forwards(folder: str) -> Iterator[list[int]]:
    """Return a list that grows by the size of each batch the image tower sees."""
    model = runtime.loaded_model(
        OpenClipEmbeddings.create(name=folder),
        runtime.LoadSettings(folder, "laion2b_s34b_b79k", "cpu", "fp32", None),
    ).model
    sizes: list[int] = []
    hook = model.visual.register_forward_hook(lambda _, args, __: sizes.append(len(args[0])))
    yield sizes
    hook.remove()


def test_a_thousand_rows_take_sixteen_forwards_a_column(
    folder: str, noise: Noise, tmp_path: Path, forwards: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two columns of 1,000 images run ceil(1000/64) forwards each, and load nothing more."""
    loads: list[object] = []
    load = runtime._load
    monkeypatch.setattr(runtime, "_load", lambda *args: (loads.append(args), load(*args))[1])
    func = OpenClipEmbeddings.create(name=folder)

    class Rows(embow.Model):
        first: bytes = func.SourceField()
        second: bytes = func.SourceField()
        vector: embow.Vector(func.ndims()) = func.VectorField(source="first")
        other: embow.Vector(func.ndims()) = func.VectorField(source="second")

    table = embow.connect(tmp_path / "db").create_table("rows", schema=Rows)
    table.add([{"first": noise(n), "second": noise(n + 1000)} for n in range(1000)])
    assert table.count_rows() == 1000
    assert loads == []  # the fixture loaded it already
    assert len(forwards) == 2 * math.ceil(1000 / 64)
    assert sum(forwards) == 2000


def test_the_model_is_loaded_once(
    folder: str, images: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Functions, adds and searches of one process share one load."""
    loads: list[object] = []
    load = runtime._load
    monkeypatch.setattr(runtime, "_load", lambda *args: (loads.append(args), load(*args))[1])
    unload()
    func = OpenClipEmbeddings.create(name=folder)

    class Rows(embow.Model):
        image: bytes = func.SourceField()
        vector: embow.Vector(func.ndims()) = func.VectorField()

    table = embow.connect(tmp_path / "db").create_table("rows", schema=Rows)
    for image in images:
        table.add([{"image": image}])
    embow.connect(tmp_path / "db").open_table("rows").search("a dog").to_list()
    assert len(loads) == 1


def test_the_model_is_in_evaluation_mode(folder: str) -> None:
    """Dropout and its like are off."""
    settings = runtime.LoadSettings(folder, "", "cpu", "fp32", None)
    model = runtime.loaded_model(OpenClipEmbeddings.create(name=folder), settings).model
    assert not any(module.training for module in model.modules())


# -- rows that fail --------------------------------------------------------------------------


def test_bad_images_are_named_all_at_once(folder: str, images: list[bytes]) -> None:
    """Positions are those among all inputs, text between them included."""
    func = OpenClipEmbeddings.create(name=folder, source_type="auto")
    with pytest.raises(BadInputError) as caught:
        func.compute_source_embeddings(["words", images[0], b"bad", images[1], b"worse"])
    assert caught.value.row == 2
    assert list(caught.value.others) == [4]


def test_bad_images_cost_one_more_look_at_their_batch(
    folder: str, images: list[bytes], tmp_path: Path, forwards: list[int]
) -> None:
    """Rows that cannot be decoded are reported with their own reasons; the rest goes in once."""
    func = OpenClipEmbeddings.create(name=folder)

    class Rows(embow.Model):
        image: bytes = func.SourceField()
        vector: embow.Vector(func.ndims()) | None = func.VectorField()

    rows = [{"image": v} for v in (images[0], b"bad", images[1], images[2][:60], images[3])]
    table = embow.connect(tmp_path / "db").create_table("rows", schema=Rows)
    report = table.add(rows, on_error="skip")
    assert [(failed.row, failed.kind) for failed in report.failed] == [
        (1, "bad_input"),
        (3, "bad_input"),
    ]
    assert report.failed[0].message != report.failed[1].message
    assert table.count_rows() == 3
    assert forwards == [3]


# -- weights ---------------------------------------------------------------------------------


def test_a_checkpoint_file_is_loaded(folder: str, images: list[bytes], reference: Any) -> None:
    """A model by name takes its weights from a file, and is known by the file's content."""
    file = Path(folder) / "weights.pt"
    func = OpenClipEmbeddings.create(name="tiny-clip", pretrained=str(file))
    vectors = func.compute_source_embeddings(images[:1])
    np.testing.assert_allclose(vectors[0], reference(images[0]), atol=1e-5)
    assert func.identity()["pretrained"].startswith("sha256:")
    assert str(file) not in str(func.identity())


def test_random_weights_come_by_name_only(folder: str) -> None:
    """Nothing but the word random gives a model nobody trained."""
    with pytest.raises(ConfigurationError, match="random"):
        OpenClipEmbeddings.create(name="tiny-clip", pretrained="")
    func = OpenClipEmbeddings.create(name="tiny-clip", pretrained="random")
    assert func.compute_query_embeddings("a").shape == (1, 32)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"name": "ViT-B-33"}, "no model 'ViT-B-33'"), ({"pretrained": "no-such-tag"}, "laion2b")],
)
def test_what_is_not_there_is_named(settings: dict[str, str], words: str) -> None:
    """An unknown model or tag says what there is."""
    func = OpenClipEmbeddings.create(**settings)
    with pytest.raises(ConfigurationError, match=words):
        func.compute_query_embeddings("a")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_embeds(folder: str) -> None:
    """A process forked after the model was used has not its threads, and does without."""
    settings = {"name": folder, "source_type": "text"}
    embed_in_a_child("open-clip", settings, ["word " * 70] * 64)


@pytest.mark.parametrize("more", ["notes.txt", "train.py", "README.md", "onnx/config.json"])
def test_one_more_file_in_the_folder_changes_nothing(
    more: str, folder: str, tmp_path: Path
) -> None:
    """A file that open_clip does not read, other weights included, makes no other model."""
    copy = Path(shutil.copytree(folder, tmp_path / "model"))
    before = OpenClipEmbeddings.create(name=str(copy)).fingerprint()
    (copy / more).parent.mkdir(exist_ok=True)
    (copy / more).write_text("more")
    (copy / "weights.pt").unlink()
    assert OpenClipEmbeddings.create(name=str(copy)).fingerprint() == before


@pytest.mark.parametrize("name", ["open_clip_config.json", "open_clip_model.safetensors"])
def test_what_is_read_of_a_folder_counts(name: str, folder: str, tmp_path: Path) -> None:
    """Configuration and weights are the model."""
    copy = Path(shutil.copytree(folder, tmp_path / "model"))
    before = OpenClipEmbeddings.create(name=str(copy)).fingerprint()
    (copy / name).write_bytes((copy / name).read_bytes() + b" ")
    assert OpenClipEmbeddings.create(name=str(copy)).fingerprint() != before


def test_a_text_that_is_no_unicode_is_named(folder: str) -> None:
    """A lone surrogate is a bad input of its row, among images and other texts."""
    func = OpenClipEmbeddings.create(name=folder, source_type="text")
    with pytest.raises(BadInputError, match="surrogate") as caught:
        func.compute_source_embeddings(["a dog", "q\ud83d"])
    assert caught.value.row == 1


def test_a_folder_is_called_by_its_last_part(folder: str) -> None:
    """However it is given, messages have no long path."""
    labels = {
        OpenClipEmbeddings.create(name=n).model_label() for n in (folder, f"local-dir:{folder}")
    }
    assert labels == {Path(folder).name}
