"""Images: how they are recognised, encoded and sent."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embow.errors import BadInputError
from embow.media import MediaSettings
from embow_cohere import images
from embow_cohere.images import is_image
from embow_testing.vectors import embed_values

FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}


def data_uri(value):
    """Read an image with the usual settings."""
    return images.data_uri(value, MediaSettings())


def encoded(form="PNG", color=(200, 30, 30)):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), color).save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize("form", FORMATS)
def test_the_media_type_is_read_from_the_bytes(form):
    """Every format Cohere takes is named properly."""
    content = encoded(form)
    head, _, body = data_uri(content).partition(",")
    assert head == f"data:{FORMATS[form]};base64"
    assert base64.b64decode(body) == content


@pytest.mark.parametrize("kind", [str, Path, Path.as_uri])
def test_files_are_read(tmp_path, kind):
    """Paths and file URIs give the bytes of the file."""
    path = tmp_path / "a picture.png"
    path.write_bytes(encoded())
    assert data_uri(kind(path)) == data_uri(encoded())


def test_pil_images_are_sent_as_png():
    """A PIL image keeps its pixels."""
    uri = data_uri(Image.new("RGB", (4, 4), (1, 2, 3)))
    decoded = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert decoded.getpixel((0, 0)) == (1, 2, 3)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"not an image", "Cohere takes PNG"),
        ("http://127.0.0.1:9/a.png", "127.0.0.1"),
        ("no-such-file.png", "no-such-file.png"),
    ],
)
def test_what_cannot_be_sent_is_refused(value, says):
    """Other bytes, private addresses and missing files are an error that says so."""
    with pytest.raises(BadInputError, match=says):
        data_uri(value)


def test_strings_are_text_and_bytes_are_images():
    """Nothing is guessed from the look of a text."""
    assert not is_image("photo.png")
    assert is_image(b"x")
    assert is_image(Path("photo.png"))
    assert is_image(data_uri(encoded()))


def test_v4_takes_texts_and_images_in_one_request(make, server):
    """A mixed column keeps its order."""
    function, image = make(name="embed-v4.0"), encoded()
    vectors = function.compute_source_embeddings(["a cat", image, "a dog"])
    expected = embed_values(["a cat", data_uri(image), "a dog"], 1536)
    np.testing.assert_array_equal(vectors, expected)
    assert len(server.requests) == 1
    assert server.requests[0].payload["input_type"] == "search_document"


def test_v3_takes_one_image_a_request_beside_the_texts(make, server):
    """Texts go together, each image alone, and the order is kept."""
    images = [encoded(color=(i, 0, 0)) for i in range(2)]
    vectors = make().compute_source_embeddings([images[0], "a", images[1], "b"])
    expected = embed_values([data_uri(images[0]), "a", data_uri(images[1]), "b"], 1024)
    np.testing.assert_array_equal(vectors, expected)
    sent = [(request.payload["input_type"], len(request.items)) for request in server.requests]
    assert sent == [("search_document", 2), ("image", 1), ("image", 1)]


def test_more_than_96_images_are_split(make, server):
    """The limit of a request holds for images as well."""
    make(name="embed-v4.0").compute_source_embeddings([encoded()] * 100)
    assert [len(request.items) for request in server.requests] == [96, 4]


def test_a_column_of_paths_is_read_where_said_so(make, server, tmp_path):
    """With the modality given, strings are paths; queries stay text."""
    path = tmp_path / "a.png"
    path.write_bytes(encoded())
    function = make(name="embed-v4.0", source_modality="image")
    function.compute_source_embeddings([str(path)])
    function.compute_query_embeddings("a cat")
    assert server.items == [data_uri(encoded()), "a cat"]


def test_a_text_model_refuses_images(make):
    """The error names a model that takes them."""
    with pytest.raises(TypeError, match=r"embed-v4\.0"):
        make(name="embed-english-v2.0").compute_source_embeddings([encoded()])


def test_an_image_may_be_a_query(make, server):
    """A picture finds pictures."""
    function = make(name="embed-v4.0")
    assert function.compute_query_embeddings(Image.new("RGB", (4, 4))).shape == (1, 1536)
    assert server.requests[0].payload["input_type"] == "search_query"
