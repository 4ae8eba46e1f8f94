"""Answers that never end, in bytes or in time, and what the log of an HTTP client shows."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from embow.embeddings import transport
from embow.errors import PermanentError, TransientError

httpx = pytest.importorskip("httpx", reason="the SDKs of vendors bring it")


def test_an_answer_of_too_many_bytes_is_read_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is not asked for, and asking again would not help."""
    monkeypatch.setattr(transport, "MOST_BYTES", 10)
    chunks = iter([b"12345"] * 5)
    with pytest.raises(PermanentError, match="fewer inputs"):
        transport.bounded(chunks)
    assert len(list(chunks)) == 2


def test_an_answer_that_drips_ends_with_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then keeps no request alive."""
    now = 0.0
    monkeypatch.setattr(transport.time, "monotonic", lambda: now)

    def drip() -> Iterator[bytes]:
        nonlocal now
        while True:
            now += 0.4
            yield b" "

    with pytest.raises(TransientError, match="timeout"):
        transport.bounded(drip(), until=2.0)
    assert now < 3


def client(content: bytes, headers: dict[str, str] | None = None) -> Any:
    """Return a bounded client whose server answers with these bytes."""

    def answer(request: Any) -> Any:
        return httpx.Response(200, content=content, headers=headers)

    return transport.bounded_client(httpx.Client, 5.0, None, transport=httpx.MockTransport(answer))


def test_a_bounded_client_answers_as_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed or not, the answer is whole, and its headers no longer speak of the packing."""
    body = json.dumps({"a": 1}).encode()
    for content, headers in ((body, {}), (gzip.compress(body), {"content-encoding": "gzip"})):
        answer = client(content, {"x-team": "a", **headers}).get("http://server/x")
        assert answer.json() == {"a": 1}
        assert answer.headers["x-team"] == "a"
        assert "content-encoding" not in answer.headers
        assert str(answer.url) == "http://server/x"
    monkeypatch.setattr(transport, "MOST_BYTES", 1000)
    bomb = client(gzip.compress(b" " * 100_000), {"content-encoding": "gzip"})
    with pytest.raises(PermanentError):
        bomb.get("http://server/")


@pytest.mark.parametrize("address", ["http://u:s3cr3t@server/v1", "http://server/v1?token=s3cr3t"])
def test_the_log_shows_neither_password_nor_query(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Lines about other servers stay as they are."""
    http = httpx.MockTransport(lambda request: httpx.Response(200))
    made = transport.bounded_client(httpx.Client, 5.0, address, transport=http)
    with caplog.at_level("INFO", logger="httpx"):
        made.get(address)
        made.get("http://other/?q=1")
    assert "http://server/v1" in caplog.text
    assert "http://other/?q=1" in caplog.text
    assert "s3cr3t" not in caplog.text
