"""What an input is, by type, content and name."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from embow.errors import BadInputError
from embow.media import Media, is_reference, kind_of, kind_of_bytes, kind_of_name


def encoded(format_name: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(file, format_name)
    return file.getvalue()


def wav() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16))
    return file.getvalue()


@pytest.mark.parametrize("name", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "ICO", "PPM"])
def test_images_are_known_by_their_first_bytes(name: str) -> None:
    """What Pillow writes is recognised as an image."""
    assert kind_of_bytes(encoded(name)) == "image"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (wav(), "audio"),
        (b"fLaC" + bytes(8), "audio"),
        (b"ID3\x04" + bytes(8), "audio"),
        (b"\xff\xfb\x90\x00" + bytes(8), "audio"),
        (b"OggS" + bytes(24) + b"OpusHead", "audio"),
        (b"OggS" + bytes(24) + b"\x80theora", "video"),
        (bytes(4) + b"ftypM4A ", "audio"),
        (bytes(4) + b"ftypisom", "video"),
        (bytes(4) + b"ftypavif", "image"),
        (b"RIFF" + bytes(4) + b"AVI ", "video"),
        (b"\x1aE\xdf\xa3" + bytes(8), "video"),
        (b"just some words", None),
        (b"BMW is a car maker", None),
        (b"", None),
    ],
)
def test_other_media_are_known_by_their_first_bytes(head: bytes, kind: str | None) -> None:
    """Containers are told apart by what they declare to hold."""
    assert kind_of_bytes(head) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("dog.JPG", "image"),
        ("http://a.example/dog.jpeg?size=2&name=a.wav#top", "image"),
        ("file:///a/b%20c.Wav", "audio"),
        (r"C:\clips\dog.MP4", "video"),
        ("data:image/png;base64,AAAA", "image"),
        ("http://a.example/watch?v=1", None),
        ("archive.tar.gz", None),
        ("http://[/a.png", None),
        ("", None),
    ],
)
def test_names_tell_by_their_extension(name: str, kind: str | None) -> None:
    """Case, queries and fragments do not matter."""
    assert kind_of_name(name) == kind


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("look at dog.jpg", False),
        ("dog.jpg", True),
        ("./assets/dog_image2.JPG", True),
        ("https://a.example/page", True),
        ("see https://a.example/dog.jpg", False),
        ("an animal which flies and tweets", False),
        ("e.g. this", False),
        ("a\nb.jpg", False),
    ],
)
def test_a_sentence_is_no_path(value: str, answer: bool) -> None:
    """Only a string that is a path or address as a whole stands for a file."""
    assert is_reference(value) is answer


def test_a_path_with_spaces_counts_where_the_file_is_there(tmp_path: Path) -> None:
    """A name with spaces is a path once the file exists."""
    path = tmp_path / "my dog.jpg"
    assert not is_reference(str(path))
    path.write_bytes(b"x")
    assert is_reference(str(path))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Media("depth", "dog.jpg"), "depth"),
        (Path("a/b.flac"), "audio"),
        (np.zeros((2, 2, 3), np.uint8), "image"),
        (Image.new("L", (1, 1)), "image"),
        ("words", "text"),
        (memoryview(encoded("PNG")), "image"),
    ],
)
def test_the_type_tells_where_it_can(value: Any, kind: str) -> None:
    """A stated kind comes first; PIL images and arrays of pixels are images."""
    assert kind_of(value) == kind


@pytest.mark.parametrize("value", [3, None, np.zeros(4), Media("smell", b"x")])  # type: ignore[arg-type]
def test_what_is_no_medium_is_refused(value: Any) -> None:
    """Numbers, nothing, bare samples and unknown kinds are bad inputs."""
    with pytest.raises(BadInputError):
        kind_of(value)


@given(st.binary(max_size=300))
def test_any_bytes_can_be_asked(data: bytes) -> None:
    """No content makes detection fail."""
    assert kind_of_bytes(data) in (None, "image", "audio", "video")


@given(st.text())
def test_any_text_can_be_asked(value: str) -> None:
    """No string makes detection fail."""
    assert kind_of(value) in (None, "text", "image", "audio", "video")
