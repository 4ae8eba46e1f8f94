"""Files, addresses and bytes as inputs, and the limits on them."""

from __future__ import annotations

import base64
import io
import ipaddress
import os
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from embow.errors import BadInputError, ConfigurationError
from embow.media import (
    Media,
    MediaSettings,
    map_inputs,
    open_image,
    read_bytes,
    resolve,
    split_inputs,
    text,
)
from embow.media._addresses import is_public
from embow.media._fetching import Fetcher
from embow.media._settings import widens

LOCAL = MediaSettings(allow_private_hosts=True)
ANY = MediaSettings()


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(BadInputError) as caught:
        call()
    return str(caught.value)


# -- files -------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [str, Path, lambda p: p.as_uri()])
def test_a_file_is_read_by_path_and_by_uri(
    form: Callable[[Path], Any], tmp_path: Path, png: bytes
) -> None:
    """A string, a path object and a file URI with escapes name the same file."""
    path = tmp_path / "a dög #1.png"
    path.write_bytes(png)
    assert read_bytes(form(path), ANY) == png


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The message says which file is not there."""
    assert "gone.png" in refused(lambda: read_bytes(str(tmp_path / "gone.png"), ANY))


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "/dev/zero", "/dev/full"])
@pytest.mark.parametrize("form", [str, Path, lambda path: Path(path).as_uri()])
def test_what_is_no_regular_file_is_not_waited_for(
    kind: str, form: Callable[[Any], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pipes and sockets would never answer, and devices never end."""
    path = tmp_path / "a.png"
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    else:
        path = Path(kind)
    assert "regular" in refused(lambda: read_bytes(form(path), ANY))


SPELLINGS: dict[str, Callable[[Path], Any]] = {
    "absolute": str,
    "doubled": lambda path: "/" + str(path),
    "object": lambda path: path,
    "uri": lambda path: path.as_uri(),
    "localhost": lambda path: f"file://localhost{path}",
    "capitals": lambda path: f"FILE://{path}",
    "escaped": lambda path: f"file://{path.parent}/%73ecret.png",
    "one slash": lambda path: f"file:{path}",
    "dots": lambda path: "../secret.png",
    "dots in a uri": lambda path: f"file://{path.parent}/folder/../secret.png",
    "home": lambda path: "~/secret.png",
    "link": lambda path: "link.png",
    "linked folder": lambda path: "up/secret.png",
    "process": lambda path: "/proc/self/cwd/../secret.png",
}


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="has no /proc")
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_leads_out_of_the_root(
    spelling: str, tmp_path: Path, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each way to name a file reads it where all may be read, and is refused beside the root."""
    root = tmp_path / "folder"
    root.mkdir()
    secret = tmp_path / "secret.png"
    secret.write_bytes(png)
    (root / "link.png").symlink_to(secret)
    (root / "up").symlink_to(tmp_path)
    monkeypatch.chdir(root)
    monkeypatch.setenv("HOME", str(tmp_path))
    value = SPELLINGS[spelling](secret)
    assert read_bytes(value, ANY) == png
    monkeypatch.setenv("EMBOW_MEDIA_ROOT", str(root))
    assert "outside" in refused(lambda: read_bytes(value, ANY))


@pytest.mark.parametrize("variable", [True, False])
def test_files_stay_under_the_root(
    variable: bool, tmp_path: Path, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither dots nor links lead out of the folder that files are confined to."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.png").write_bytes(png)
    (root / "inside.png").write_bytes(png)
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    if variable:
        monkeypatch.setenv("EMBOW_MEDIA_ROOT", str(root))
    settings = MediaSettings(root=None if variable else str(root))
    assert read_bytes(root / "inside.png", settings) == png
    for way in (root / ".." / "secret.png", root / "link.png", tmp_path / "secret.png"):
        assert "outside" in refused(lambda way=way: read_bytes(way, settings))


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    """A file is read no further than the limit."""
    (tmp_path / "big.png").write_bytes(bytes(11))
    message = refused(lambda: read_bytes(tmp_path / "big.png", MediaSettings(max_bytes=10)))
    assert "more than 10 bytes" in message


def test_a_data_address_holds_its_bytes(png: bytes) -> None:
    """Base64 data addresses are decoded; damaged ones are refused."""
    address = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    assert read_bytes(address, ANY) == png
    assert "damaged" in refused(lambda: read_bytes("data:image/png;base64,@@", ANY))


@pytest.mark.parametrize("value", ["ftp://a.example/b.png", "s3://bucket/b.png", b"", 3])
def test_what_cannot_be_read_is_refused(value: Any) -> None:
    """Other schemes, no bytes, and other types are bad inputs."""
    refused(lambda: read_bytes(value, ANY))


# -- the network ---------------------------------------------------------------------------


def test_a_page_is_fetched(web: Any, png: bytes) -> None:
    """An address gives its bytes."""
    assert read_bytes(web.serve("/a.png", png), LOCAL) == png


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::",
    ],
)  # fmt: skip
def test_inner_addresses_are_not_public(address: str) -> None:
    """Loopback, private and reserved addresses, also inside IPv6 ones, are told from public."""
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_public_addresses_are_public(address: str) -> None:
    """Ordinary addresses are let through."""
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]"])
def test_this_machine_is_not_reached_unless_allowed(host: str, web: Any, png: bytes) -> None:
    """However loopback is written, nothing is sent to it."""
    port = web.serve("/a.png", png).rpartition(":")[2]
    message = refused(lambda: read_bytes(f"http://{host}:{port}", ANY))
    assert "EMBOW_ALLOW_PRIVATE_HOSTS" in message
    assert web.asked == []


def test_the_environment_has_the_last_word_on_private_hosts(
    web: Any, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable allows what settings do not, forbids what they allow, and must be readable."""
    address = web.serve("/a.png", png)
    monkeypatch.setenv("EMBOW_ALLOW_PRIVATE_HOSTS", "1")
    assert read_bytes(address, ANY) == png
    monkeypatch.setenv("EMBOW_ALLOW_PRIVATE_HOSTS", "0")
    refused(lambda: read_bytes(address, LOCAL))
    monkeypatch.setenv("EMBOW_ALLOW_PRIVATE_HOSTS", "maybe")
    with pytest.raises(ConfigurationError, match="maybe"):
        read_bytes(address, LOCAL)


def test_a_name_is_resolved_once(web: Any, png: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was checked is what is connected to, and the server is asked by its name."""
    address = web.serve("/a.png", png)
    port = int(address.split(":")[2].partition("/")[0])
    answers = iter(["127.0.0.1"])  # a second question would raise StopIteration

    def resolver(host: str, *args: Any, **kwargs: Any) -> Any:
        number = host if host[0].isdigit() else next(answers)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    assert read_bytes(f"http://pictures.example:{port}/a.png", LOCAL) == png
    assert web.hosts == [f"pictures.example:{port}"]


def test_a_redirect_is_checked_like_the_first_address(
    web: Any, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A public server cannot send us on to a private one."""
    asked: list[str] = []

    def resolve_host(host: str, port: int, allow_private: bool) -> list[str]:
        asked.append(host)
        if host == "public.example":
            return ["127.0.0.1"]
        raise BadInputError(f"{host} is no public address")

    monkeypatch.setattr("embow.media._fetching.resolve_host", resolve_host)
    port = web.redirect("/a", "http://169.254.169.254/latest").split(":")[2].partition("/")[0]
    refused(lambda: read_bytes(f"http://public.example:{port}/a", ANY))
    assert asked == ["public.example", "169.254.169.254"]


def test_redirects_are_followed_to_a_bound(web: Any, png: bytes) -> None:
    """A few redirects, relative ones too, are followed; a circle is not."""
    web.serve("/a.png", png)
    web.redirect("/2", "/a.png")
    assert read_bytes(web.redirect("/1", "2"), LOCAL) == png
    assert "redirected" in refused(lambda: read_bytes(web.redirect("/round", "/round"), LOCAL))


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://a.example/x", "data:,x"])
def test_a_redirect_leaves_no_http(target: str, web: Any) -> None:
    """A server cannot make us read a file."""
    message = refused(lambda: read_bytes(web.redirect("/a", target), LOCAL))
    assert "only http and https" in message


def test_a_large_page_is_not_read_to_its_end(web: Any) -> None:
    """Neither a declared nor an undeclared length gets past the limit."""
    small = MediaSettings(allow_private_hosts=True, max_bytes=1000)

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(bytes(100_000))
        except OSError:
            return

    web.pages["/endless"] = endless
    declared = web.serve("/declared", bytes(1001))
    for address in (declared, web.url + "/endless"):
        assert "more than 1000 bytes" in refused(lambda a=address: read_bytes(a, small))


@pytest.mark.parametrize("part", ["header", "body"])
def test_a_server_that_drips_is_cut_off(part: str, web: Any) -> None:
    """Bytes that keep coming, one at a time, do not extend the time allowed."""
    released = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        if part == "body":
            handler.send_response(200)
            handler.end_headers()
        try:
            while not released.wait(0.02):
                handler.wfile.write(b"x")
                handler.wfile.flush()
        except OSError:
            return

    web.pages["/drip"] = drip
    settings = MediaSettings(allow_private_hosts=True, timeout=0.3, retries=0)
    message = refused(lambda: read_bytes(web.url + "/drip", settings))
    released.set()
    assert "within 0.3 s" in message


def test_a_busy_server_is_asked_again(web: Any, png: bytes) -> None:
    """503 is tried again after the wait it asks for, and 404 is not."""
    answers = iter([503, 200])
    waits: list[float] = []

    def page(handler: BaseHTTPRequestHandler) -> None:
        status = next(answers)
        handler.send_response(status)
        handler.send_header("Retry-After", "7")
        handler.end_headers()
        if status == 200:
            handler.wfile.write(png)

    web.pages["/busy"] = page
    assert Fetcher(LOCAL, wait=waits.append).fetch(web.url + "/busy") == png
    assert waits == [7.0]
    web.serve("/none", b"", 404)
    assert "404" in refused(lambda: Fetcher(LOCAL, wait=waits.append).fetch(web.url + "/none"))
    assert web.asked.count("/none") == 1


def test_a_dead_server_is_given_up_in_time(web: Any) -> None:
    """Attempts are bounded, and the message says how many there were."""
    web.serve("/busy", b"", 503)
    waits: list[float] = []
    message = refused(lambda: Fetcher(LOCAL, wait=waits.append).fetch(web.url + "/busy"))
    assert "3 attempt(s): HTTP 503" in message
    assert waits == [0.5, 1.0]


def test_messages_leave_out_what_is_secret_in_an_address(web: Any) -> None:
    """User, password and query never show up in an error."""
    web.serve("/a.png?sig=s3cret", b"", 404)
    address = web.url.replace("//", "//user:pa55@") + "/a.png?sig=s3cret#frag"
    message = refused(lambda: read_bytes(address, LOCAL))
    assert "/a.png" in message
    for hidden in ("user", "pa55", "s3cret", "frag"):
        assert hidden not in message


def test_fetching_can_be_forbidden(web: Any, png: bytes) -> None:
    """With fetch off no request leaves."""
    address = web.serve("/a.png", png)
    settings = MediaSettings(allow_private_hosts=True, fetch=False)
    assert "forbids" in refused(lambda: read_bytes(address, settings))
    assert web.asked == []


@pytest.mark.parametrize("address", ["http://", "http://[", "http://a.example:99999/x"])
def test_a_malformed_address_is_refused(address: str) -> None:
    """An address that cannot be taken apart is a bad input."""
    assert "well-formed" in refused(lambda: read_bytes(address, LOCAL))


# -- what it is, and images ------------------------------------------------------------------


def test_content_decides_over_the_name(tmp_path: Path, png: bytes) -> None:
    """A picture named like a sound is a picture, unless its kind is stated."""
    path = tmp_path / "dog.wav"
    path.write_bytes(png)
    assert resolve(str(path), ANY).kind == "image"
    assert resolve(Media("thermal", path), ANY).kind == "thermal"
    assert resolve(text(str(path)), ANY).value == str(path)


def test_unknown_content_is_refused(web: Any) -> None:
    """An address that serves a web page is no medium."""
    address = web.serve("/page", b"<html>")
    assert "no format" in refused(lambda: resolve(address, LOCAL))


@pytest.mark.parametrize("form", ["bytes", "pil", "array", "float", "path", "url", "media"])
def test_every_form_gives_the_same_image(
    form: str, tmp_path: Path, web: Any, png: bytes, pixels: np.ndarray
) -> None:
    """However an image is handed over, its pixels are the same."""
    path = tmp_path / "a.png"
    path.write_bytes(png)
    value = {
        "bytes": png,
        "pil": Image.fromarray(pixels),
        "array": pixels,
        "float": pixels / 255,
        "path": str(path),
        "url": web.serve("/a.png", png),
        "media": Media("image", png),
    }[form]
    np.testing.assert_array_equal(np.asarray(open_image(value, LOCAL)), pixels)


@pytest.mark.parametrize(
    "damaged",
    [b"no image", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", np.zeros((2, 2, 7))],
)
def test_what_is_no_image_is_refused(damaged: Any) -> None:
    """Other bytes, formats that run programs, and other shapes are bad inputs."""
    assert "no image" in refused(lambda: open_image(damaged, ANY))


def test_a_truncated_image_is_refused(png: bytes) -> None:
    """Half of a file is not silently half a picture."""
    assert "decoded" in refused(lambda: open_image(png[: len(png) // 2], ANY))


@pytest.mark.parametrize("form", ["bytes", "pil", "array"])
def test_an_image_of_too_many_pixels_is_refused(form: str) -> None:
    """The limit holds before pixels are decoded, whatever the form."""
    image = Image.new("1", (300, 300))
    file = io.BytesIO()
    image.save(file, "PNG")
    value = {"bytes": file.getvalue(), "pil": image, "array": np.zeros((300, 300), np.uint8)}[form]
    assert "300 x 300" in refused(lambda: open_image(value, MediaSettings(max_pixels=89_999)))


@pytest.mark.parametrize("array", [np.full((2, 2), 1.5), np.full((2, 2), -1), np.full((2, 2), 256)])
def test_pixels_out_of_range_are_refused(array: np.ndarray) -> None:
    """Numbers that cannot be pixels are not wrapped round."""
    assert "from 0 to" in refused(lambda: open_image(array, ANY))


# -- many at once -----------------------------------------------------------------------------


def test_all_bad_inputs_are_told_at_once() -> None:
    """The error names the first bad input and holds those of the others by position."""

    def work(value: int) -> int:
        if value % 3 == 1:
            raise BadInputError(f"no {value}")
        return value

    with pytest.raises(BadInputError, match="no 1") as caught:
        map_inputs(work, range(8), 4)
    assert caught.value.row == 1
    assert {at: str(error) for at, error in caught.value.others.items()} == {4: "no 4", 7: "no 7"}
    assert map_inputs(work, [0, 2, 3], 4) == [0, 2, 3]


def test_another_error_is_raised_as_it_is() -> None:
    """An error that is nobody's input is not blamed on a row."""
    with pytest.raises(ZeroDivisionError):
        map_inputs(lambda value: 1 // value, [1, 0], 2)


@pytest.mark.parametrize(
    ("inputs", "count"),
    [
        (np.zeros((4, 5, 3), np.uint8), 1),
        (np.zeros((2, 4, 5, 3), np.uint8), 2),
        (Image.new("L", (2, 2)), 1),
        (Media("audio", (np.zeros(9), 16000)), 1),
        (["a", b"b"], 2),
        ("a", 1),
        ([], 0),
    ],
)
def test_what_counts_as_one_input(inputs: Any, count: int) -> None:
    """An image is one input however it is held, and a batch of images is many."""
    assert len(split_inputs(inputs)) == count


@pytest.mark.parametrize(
    ("asked", "more"),
    [
        ({}, False),
        ({"root": "photos", "fetch": False, "timeout": 5}, False),
        ({"max_bytes": 1, "max_pixels": 1, "workers": 1, "retries": 0, "max_redirects": 0}, False),
        ({"allow_private_hosts": True}, True),
        ({"max_bytes": 10**12}, True),
        ({"timeout": float("nan")}, True),
        ({"timeout": float("inf")}, True),
        ({"root": []}, True),
        ("everything", True),
        (None, True),
    ],
)
def test_settings_of_a_table_widen_nothing(asked: Any, more: bool) -> None:
    """What forbids more than the defaults may come with a table; what allows more may not."""
    assert widens(asked) is more
