"""The sockets under the test server: threads, keep-alive, and connections that can be cut."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from embow_testing.protocols import HttpRequest


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """What goes onto the wire; with ``cut``, half of it."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool = False


Answerer = Callable[[HttpRequest], WireAnswer]


class HttpServer(ThreadingHTTPServer):
    """A threaded HTTP server on a free loopback port that closes its connections with it."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, answer: Answerer) -> None:
        self.answer = answer
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving, end every connection and wait for the threads."""
        self.shutdown()
        self._thread.join()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection and remember it."""
        connection, address = super().get_request()
        with self._lock:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """Close a connection and forget it."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet: a client that hangs up in the middle is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: HttpServer

    def do_POST(self) -> None:
        """Answer one request."""
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # the client died while it was sending
            self.close_connection = True
            return
        request = HttpRequest(
            method=self.command,
            path=unquote(self.path),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            payload=_parse(body),
        )
        self._send(self.server.answer(request))

    do_GET = do_POST  # noqa: N815 - the name http.server looks for

    def _send(self, answer: WireAnswer) -> None:
        self.send_response(answer.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body[: len(answer.body) // 2] if answer.cut else answer.body)
        self.wfile.flush()
        if answer.cut:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: the server keeps its own record."""


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None
