"""A server that drips its answer is given up in time, and its connection is let go."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator

import openai  # noqa: F401 - loading it is not what is timed here
import pytest

from embow.errors import TransientError
from embow.pipeline import Pipeline, PipelineOptions
from embow_openai import OpenAIEmbeddings

ENDED = "No answer came|No time was left|was still sending"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


class Drip:
    """Answers every request with one byte now and then, for as long as somebody listens."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while not self._closing.is_set():
                connection, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(65_536)
            connection.sendall(HEAD)
            while not self._closing.wait(0.01):
                connection.sendall(b"1\r\n \r\n")
        if not self._closing.is_set():
            self.let_go.set()

    def close(self) -> None:
        """End all threads."""
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def drip() -> Iterator[Drip]:
    """A server that drips."""
    server = Drip()
    yield server
    server.close()


@pytest.mark.parametrize("settings", [{"timeout": 0.1}, {"timeout": 60.0, "deadline": 0.1}])
def test_a_dripping_server_hangs_nobody(drip: Drip, settings, caplog) -> None:
    """Timeout and deadline hold by the clock on the wall, and the client stops reading."""
    options = PipelineOptions(deadline=settings.pop("deadline", 600.0))
    function = OpenAIEmbeddings(
        name="drip", dim=4, base_url=drip.address, max_retries=0, **settings
    )
    for _ in range(20):  # on a busy machine the first ones may end before anything is sent
        with caplog.at_level(logging.ERROR), pytest.raises(TransientError, match=ENDED):
            Pipeline(None).embed_queries(function, "q", options)
        if drip.let_go.wait(1):
            break
    assert drip.let_go.is_set()
