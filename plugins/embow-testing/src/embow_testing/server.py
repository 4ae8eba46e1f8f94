"""A real HTTP server on loopback that embeds, records every request and misbehaves on command.

``AcmeProtocol`` is a :class:`~embow_testing.protocols.Protocol` of the plugin under test::

    from embow_testing import faults
    from embow_testing.server import EmbeddingServer

    with EmbeddingServer(AcmeProtocol(dims=8)) as server:
        server.script(faults.rate_limited(retry_after=2), None)  # first request, second request
        server.poison("bad text")                                 # by content, for ever
        client = SomeSdk(base_url=server.url + "/v1", api_key="test")
        ...
        assert [len(request.items) for request in server.requests] == [2048, 2048]
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from embow_testing import faults
from embow_testing._http import HttpServer, WireAnswer
from embow_testing.faults import Fault, Refusal
from embow_testing.protocols import HttpRequest, Protocol, Reply


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request the server received.

    Attributes:
        number: Position in order of arrival, from zero.
        time: When it arrived, by the server's clock.
        method: HTTP method.
        path: Path and query, percent-decoded.
        headers: Headers, names in lower case.
        payload: The JSON body.
        items: The inputs it asked to embed.
        status: HTTP status of the answer, ``None`` while it is being made.
        fault: Name of the fault that was played, ``None`` where the answer was good.
    """

    number: int
    time: float
    method: str
    path: str
    headers: Mapping[str, str]
    payload: Any
    items: tuple[Any, ...]
    status: int | None = None
    fault: str | None = None


Condition = Callable[[RecordedRequest], bool]


class EmbeddingServer:
    """Serve one vendor's protocol on a free port of 127.0.0.1. Use as a context manager.

    Args:
        protocol: How requests are read and answered.
        latency: Seconds to wait before each answer.
        clock: What the recorded times are read from.
    """

    def __init__(
        self,
        protocol: Protocol,
        *,
        latency: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.protocol = protocol
        self.latency = latency
        self._clock = clock
        self._changed = threading.Condition()
        self._released = threading.Event()
        self._closing = threading.Event()
        self._script: deque[Fault | None] = deque()
        self._rules: list[tuple[Condition, Callable[[RecordedRequest], Fault]]] = []
        self._requests: list[RecordedRequest] = []
        self._running = 0
        self._peak = 0
        self._bugs: list[BaseException] = []
        self._http = HttpServer(self._answer)

    def __enter__(self) -> Self:
        self._http.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        if self._bugs and error is None:
            raise RuntimeError("The protocol failed inside the test server.") from self._bugs[0]

    @property
    def url(self) -> str:
        """Where the server listens, such as ``http://127.0.0.1:40123``."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        """Let go of every held answer, end all connections and stop."""
        self._released.set()
        self._closing.set()
        self._http.stop()

    # -- what a test orders ---------------------------------------------------------------

    def script(self, *steps: Fault | None) -> None:
        """Play these steps, one a request in order of arrival; ``None`` answers well.

        After the last step rules apply again. Scripted steps go before rules.
        """
        with self._changed:
            self._script.extend(steps)

    def when(self, condition: Condition, fault: Fault) -> None:
        """Play ``fault`` whenever a request fulfils ``condition``; the first rule wins."""
        with self._changed:
            self._rules.append((condition, lambda request: fault))

    def always(self, fault: Fault) -> None:
        """Play ``fault`` for every request."""
        self.when(lambda request: True, fault)

    def poison(self, text: str, *, tell_index: bool = False, too_long: bool = False) -> None:
        """Refuse every request that holds an input containing ``text``.

        Args:
            text: What the refused input contains.
            tell_index: Say which input it is, as some vendors do.
            too_long: Refuse it for its length.
        """
        make = faults.too_long if too_long else faults.bad_input

        def fault_of(request: RecordedRequest) -> Fault:
            return make(_position(request, text) if tell_index else None)

        with self._changed:
            self._rules.append((lambda request: _position(request, text) is not None, fault_of))

    def forget(self) -> None:
        """Drop the script, the rules and the record; keep serving."""
        with self._changed:
            self._script.clear()
            self._rules.clear()
            self._requests.clear()
            self._peak = 0
        self._released.clear()

    def release(self) -> None:
        """Send the answers held by :func:`embow_testing.faults.hang`, and hold none from now on."""
        self._released.set()

    # -- what a test reads ----------------------------------------------------------------

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every request so far, in order of arrival."""
        with self._changed:
            return list(self._requests)

    @property
    def items(self) -> list[Any]:
        """Every input received so far, in order of arrival."""
        return [item for request in self.requests for item in request.items]

    @property
    def peak_concurrency(self) -> int:
        """The most requests that were being answered at once."""
        with self._changed:
            return self._peak

    def wait_for(self, count: int, timeout: float = 10.0) -> None:
        """Return once ``count`` requests have arrived.

        Raises:
            TimeoutError: They did not within ``timeout`` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._requests) >= count, timeout):
                raise TimeoutError(f"{len(self._requests)} of {count} requests arrived.")

    # -- one request ----------------------------------------------------------------------

    def _answer(self, request: HttpRequest) -> WireAnswer:
        record, fault = self._receive(request)
        status: int | None = None
        try:
            self._wait(fault)
            answer = self._make_answer(request, record, fault)
            status = answer.status
            return answer
        except Exception as exc:
            self._bugs.append(exc)
            return WireAnswer(500, {}, b'"protocol failure inside the test server"')
        finally:
            with self._changed:
                self._running -= 1
                self._note_status(record, status)

    def _note_status(self, record: RecordedRequest, status: int | None) -> None:
        kept = self._requests[record.number : record.number + 1]
        if kept and kept[0] is record:  # another one after forget()
            self._requests[record.number] = replace(record, status=status)

    def _receive(self, request: HttpRequest) -> tuple[RecordedRequest, Fault | None]:
        try:
            items = tuple(self.protocol.items(request) or ())
        except Exception as exc:
            self._bugs.append(exc)
            items = ()
        with self._changed:
            record = RecordedRequest(
                number=len(self._requests),
                time=self._clock(),
                method=request.method,
                path=request.path,
                headers=request.headers,
                payload=request.payload,
                items=items,
            )
            fault = self._choose(record)
            record = replace(record, fault=fault.name if fault else None)
            self._requests.append(record)
            self._running += 1
            self._peak = max(self._peak, self._running)
            self._changed.notify_all()
        return record, fault

    def _choose(self, record: RecordedRequest) -> Fault | None:
        if self._script:
            return self._script.popleft()
        return next((make(record) for fits, make in self._rules if fits(record)), None)

    def _wait(self, fault: Fault | None) -> None:
        if fault is not None and fault.hold:
            self._released.wait()
        seconds = self.latency + (fault.delay if fault else 0.0)
        if seconds:
            self._closing.wait(seconds)

    def _make_answer(
        self, request: HttpRequest, record: RecordedRequest, fault: Fault | None
    ) -> WireAnswer:
        if fault is not None and fault.raw is not None:
            return WireAnswer(fault.raw.status, dict(fault.raw.headers), fault.raw.body, fault.cut)
        reply = self._reply(request, list(record.items), fault)
        body = reply.body()
        if fault is not None and fault.spoil is not None:
            body = fault.spoil(body)
        return WireAnswer(reply.status, dict(reply.headers), body, bool(fault and fault.cut))

    def _reply(self, request: HttpRequest, items: list[Any], fault: Fault | None) -> Reply:
        refusal = self._refusal(request, items, fault)
        if refusal is not None:
            return self.protocol.refuse(refusal)
        vectors = self.protocol.embed(items, self.protocol.ndims(request))
        if fault is not None and fault.change is not None:
            vectors = fault.change(vectors)
        reply = self.protocol.answer(request, items, vectors)
        return replace(reply, headers={**self.protocol.headers, **reply.headers})

    def _refusal(
        self, request: HttpRequest, items: list[Any], fault: Fault | None
    ) -> Refusal | None:
        if fault is not None and fault.refusal is not None:
            return fault.refusal
        if self.protocol.items(request) is None:
            return Refusal("not_found")
        if self.protocol.keys is not None and self.protocol.key(request) not in self.protocol.keys:
            return Refusal("auth")
        return self.protocol.check(request, items)


def _position(request: RecordedRequest, text: str) -> int | None:
    for position, item in enumerate(request.items):
        if isinstance(item, str) and text in item:
            return position
    return None
