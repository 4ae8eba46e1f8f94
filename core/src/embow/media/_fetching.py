"""Fetch one input over http or https, within limits of place, size and time.

No proxy is used: the address a name resolves to is checked here and connected to here.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import embow
from embow.errors import BadInputError
from embow.media._addresses import resolve_host
from embow.media._settings import MediaSettings

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAY_PASS = frozenset({408, 425, 429, 500, 502, 503, 504})
_CHUNK = 64 * 1024
_FIRST_WAIT = 0.5


class _MayPassError(Exception):
    """An attempt failed in a way that another may not. ``after`` is the wait asked for."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches addresses under one set of limits.

    Attributes:
        settings: The limits.
        clock: Monotonic seconds.
        wait: Waits so many seconds.
    """

    settings: MediaSettings
    clock: Callable[[], float] = time.monotonic
    wait: Callable[[float], None] = time.sleep
    _private: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_private", self.settings.reaches_private_hosts())

    def fetch(self, url: str) -> bytes:
        """Return what is at an address, following redirects.

        Raises:
            BadInputError: It may not be fetched, is not there, is too large or took too long. The
                message leaves out the user, password and query of the address.
        """
        deadline = self.clock() + self.settings.timeout
        for attempt in range(self.settings.retries + 1):
            try:
                return self._follow(url, deadline)
            except _MayPassError as exc:
                pause = exc.after if exc.after is not None else _FIRST_WAIT * 2.0**attempt
                last = attempt == self.settings.retries
                if last or self.clock() + pause >= deadline:
                    raise BadInputError(
                        f"{shown(url)} could not be fetched, in {attempt + 1} attempt(s): {exc}"
                    ) from exc.__cause__
                self.wait(pause)
        raise AssertionError("the loop returns or raises")  # pragma: no cover

    def _follow(self, url: str, deadline: float) -> bytes:
        for _ in range(self.settings.max_redirects + 1):
            parts = _checked(url)
            with self._response(parts, deadline) as response:
                if response.status not in _REDIRECTS:
                    return self._body(parts, response)
                target = response.getheader("Location")
            if not target:
                raise BadInputError(f"{shown(url)} redirects, and does not say where to.")
            url = urljoin(url, target)
        raise BadInputError(
            f"{shown(url)} is redirected more than {self.settings.max_redirects} times."
        )

    @contextmanager
    def _response(self, parts: SplitResult, deadline: float) -> Iterator[http.client.HTTPResponse]:
        """Send one request and yield the response; cut the connection off at the deadline."""
        url = parts.geturl()
        left = deadline - self.clock()
        if left <= 0:
            raise BadInputError(self._too_slow(url))
        connection = self._connection(parts, left)
        # A timeout of the socket starts anew with every byte; a slow server could go on for ever.
        expired = threading.Event()
        watch = threading.Timer(left, _cut_off, (connection, expired))
        watch.daemon = True
        watch.start()
        try:
            connection.request("GET", _target(parts), headers=_headers())
            with connection.getresponse() as response:  # what is left unread is not waited for
                yield response
            if expired.is_set():  # a body without a length seems to end where it was cut off
                raise BadInputError(self._too_slow(url))
        except BadInputError:
            raise
        except (OSError, http.client.HTTPException) as exc:
            if expired.is_set() or isinstance(exc, TimeoutError):
                raise BadInputError(self._too_slow(url)) from exc
            if isinstance(exc, (ssl.SSLCertVerificationError, http.client.InvalidURL)):
                raise BadInputError(f"{shown(url)} cannot be fetched: {exc}") from exc
            raise _MayPassError(f"{type(exc).__name__}: {exc}") from exc
        finally:
            watch.cancel()
            connection.close()
            if connection.wire is not None:
                connection.wire.close()

    def _connection(self, parts: SplitResult, timeout: float) -> _PinnedHTTP | _PinnedHTTPS:
        host, port = _host_and_port(parts)
        try:
            addresses = resolve_host(host, port, self._private)
        except (OSError, UnicodeError) as exc:
            raise _MayPassError(f"the host {host!r} is not found ({exc})") from exc
        secure = parts.scheme.lower() == "https"
        return (_PinnedHTTPS if secure else _PinnedHTTP)(host, port, addresses, timeout)

    def _body(self, parts: SplitResult, response: http.client.HTTPResponse) -> bytes:
        url, most = parts.geturl(), self.settings.max_bytes
        if response.status in _MAY_PASS:
            raise _MayPassError(_status(response), _asked_wait(response))
        if response.status != 200:
            raise BadInputError(f"{shown(url)} was answered with {_status(response)}.")
        declared = response.getheader("Content-Length", "")
        if declared.isdigit() and int(declared) > most:
            raise BadInputError(_too_large(url, most))
        body = bytearray()
        while chunk := response.read(_CHUNK):
            body += chunk
            if len(body) > most:
                raise BadInputError(_too_large(url, most))
        if declared.isdigit() and len(body) < int(declared):
            raise http.client.IncompleteRead(bytes(body), int(declared) - len(body))
        return bytes(body)

    def _too_slow(self, url: str) -> str:
        return (
            f"{shown(url)} was not there within {self.settings.timeout:g} s. "
            'To wait longer: media={"timeout": ...}.'
        )


class _PinnedHTTP(http.client.HTTPConnection):
    """A connection to addresses that were checked, whatever the host's name resolves to now."""

    def __init__(self, host: str, port: int, addresses: list[str], timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._addresses = addresses
        self.wire: socket.socket | None = None

    def connect(self) -> None:
        self.sock = self.wire = _connect(self._addresses, self.port, self.timeout)


class _PinnedHTTPS(http.client.HTTPSConnection):
    """The same with TLS; the certificate is checked against the name."""

    def __init__(self, host: str, port: int, addresses: list[str], timeout: float) -> None:
        self._tls = ssl.create_default_context()
        super().__init__(host, port, timeout=timeout, context=self._tls)
        self._addresses = addresses
        self.wire: socket.socket | None = None

    def connect(self) -> None:
        plain = self.wire = _connect(self._addresses, self.port, self.timeout)
        try:
            self.sock = self.wire = self._tls.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


def _connect(addresses: list[str], port: int, timeout: float | None) -> socket.socket:
    for address in addresses[:-1]:
        try:
            return socket.create_connection((address, port), timeout)
        except OSError:
            continue  # the last one's error is raised
    return socket.create_connection((addresses[-1], port), timeout)


def _cut_off(connection: _PinnedHTTP | _PinnedHTTPS, expired: threading.Event) -> None:
    """End whatever waits for the server. ``connection.sock`` is gone once the answer began."""
    expired.set()
    if connection.wire is not None:
        try:
            connection.wire.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # closed meanwhile


def _checked(url: str) -> SplitResult:
    """Return the parts of an http or https address.

    Raises:
        BadInputError: It is none, or is not well formed.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise BadInputError(
            f"{shown(url)} is not fetched: only http and https are, also after a redirect."
        )
    try:
        parts = urlsplit(url)
        _host_and_port(parts)
    except ValueError as exc:
        raise BadInputError(f"{shown(url)} is no well-formed address ({exc}).") from exc
    return parts


def _host_and_port(parts: SplitResult) -> tuple[str, int]:
    if not parts.hostname:
        raise ValueError("it has no host")
    return parts.hostname, parts.port or (443 if parts.scheme.lower() == "https" else 80)


def _target(parts: SplitResult) -> str:
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    return f"{path}?{quote(parts.query, safe='/%:@!$&()*+,;=~-._?')}" if parts.query else path


def _headers() -> dict[str, str]:
    return {
        "User-Agent": f"embow/{embow.__version__}",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }


def _asked_wait(response: http.client.HTTPResponse) -> float | None:
    asked = response.getheader("Retry-After", "")
    return float(asked) if asked.isdigit() else None


def _status(response: http.client.HTTPResponse) -> str:
    return f"HTTP {response.status} {response.reason}".strip()


def _too_large(url: str, most: int) -> str:
    return f'{shown(url)} holds more than {most} bytes. To allow more: media={{"max_bytes": ...}}.'


def shown(url: str) -> str:
    """Return an address for messages: without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "The address"
    return f"{parts.scheme}://{host}{port}{parts.path}"[:200]
