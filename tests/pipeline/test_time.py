"""A request ends in the time it is given, whatever the server or its SDK does meanwhile."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

from embow.embeddings import TextEmbeddingFunction
from embow.embeddings.remote import Timeout
from embow.embeddings.transport import bounded
from embow.embeddings.types import Usage, record_request, record_usage
from embow.errors import BadOutputError, ConfigurationError, TransientError
from embow.pipeline import Pipeline, PipelineOptions
from scripted import NDIMS, FakeClock, Scripted, column, embed, scripted, vectors_of


class Timed(Scripted):
    """Has a timeout."""

    timeout: Timeout = 2.0


class ImpatientClock(FakeClock):
    """Has every wait for an answer end at once, as if the time were over."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait_for(self, event: threading.Event, seconds: float) -> bool:
        """Note the wait, and let the time pass."""
        self.waits.append(seconds)
        self._now += seconds
        return False


def hanging(stop: threading.Event, cls: type[Scripted] = Timed, **settings: Any) -> Scripted:
    """Return a function whose server never answers before ``stop``."""
    function = cls(**settings)

    def answer(texts):
        stop.wait(30)
        return vectors_of(texts)

    function._answer = answer
    return function


@pytest.fixture
def stop():
    """An event set at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def documents(function, clock, deadline):
    """Embed a row."""
    embed(function, ["a"], clock=clock, deadline=deadline)


def query(function, clock, deadline):
    """Embed a query."""
    options = PipelineOptions(deadline=deadline)
    Pipeline(None, clock=clock).embed_queries(function, "a", options)


@pytest.mark.parametrize("call", [documents, query])
def test_a_request_is_given_up_after_its_timeout(call, stop, caplog):
    """Each attempt takes ``timeout`` seconds, and the last failure says so."""
    clock = ImpatientClock()
    function = hanging(stop, max_retries=2)
    with caplog.at_level(logging.ERROR), pytest.raises(TransientError, match=r"within 2 s \(timeo"):
        call(function, clock, 600)
    assert clock.waits == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("call", [documents, query])
@pytest.mark.parametrize("cls", [Timed, Scripted])
def test_the_deadline_bounds_a_request_that_is_on_its_way(call, cls, stop, caplog):
    """Also where the function has no timeout of its own; attempts and waits count together."""
    clock = ImpatientClock()
    began = clock.monotonic()
    function = hanging(stop, cls)
    with caplog.at_level(logging.ERROR), pytest.raises(TransientError):
        call(function, clock, 5)
    assert clock.monotonic() - began <= 5 + 1e-6
    assert 1 <= len(function.asked) <= 3


def test_a_call_of_several_requests_has_the_timeout_for_each(stop):
    """Requests that were counted since then start the time anew."""
    counted, waits = threading.Event(), []

    class StepClock(FakeClock):
        def wait_for(self, event, seconds):
            waits.append(seconds)
            if len(waits) == 1:
                assert counted.wait(30)
                return False
            stop.set()
            return event.wait(30)

    def answer(texts):
        for _ in range(2):
            record_request()
        counted.set()
        assert stop.wait(30)
        return vectors_of(texts)

    function = Timed()
    function._answer = answer
    embed(function, ["a"], clock=StepClock())
    assert waits == [2.0, 2.0]


def test_a_late_answer_is_not_stored(tmp_path, stop, caplog):
    """What comes after the call was given up goes nowhere: not to the cache, not to the report."""
    late = threading.Event()
    function = Timed(max_retries=0)

    def answer(texts):
        stop.wait(30)
        record_usage(Usage(1000))
        late.set()
        return vectors_of(texts)

    function._answer = answer
    pipeline = Pipeline(tmp_path / "cache.sqlite", clock=ImpatientClock())
    with caplog.at_level(logging.ERROR), pytest.raises(TransientError):
        embed(function, ["a"], pipeline=pipeline)
    stop.set()
    assert late.wait(30)
    function._answer = vectors_of
    pipeline._clock = FakeClock()
    _, report = embed(function, ["a"], pipeline=pipeline)
    pipeline.close()
    assert (report.cached, report.embedded) == (0, 1)


def test_an_answer_nobody_waits_for_is_not_read_on(caplog):
    """A server that drips for ever holds neither a thread nor a connection for ever."""
    reading, ended = threading.Event(), threading.Event()
    function = Timed(max_retries=0)

    def dripping():
        while True:
            reading.set()
            yield b"x"

    def answer(texts):
        try:
            bounded(dripping())
        finally:
            ended.set()

    class WhenReading(FakeClock):
        def wait_for(self, event, seconds):
            assert reading.wait(30)
            return False

    function._answer = answer
    with caplog.at_level(logging.ERROR), pytest.raises(TransientError):
        embed(function, ["a"], clock=WhenReading())
    assert ended.wait(30)


def test_the_timeout_holds_for_direct_calls_too(stop, caplog):
    """``compute_source_embeddings_with_retry`` does not hang either."""
    function = hanging(stop, timeout=0.01, max_retries=0)
    with caplog.at_level(logging.ERROR), pytest.raises(TransientError, match="timeout"):
        function.compute_source_embeddings_with_retry(["a"])


def test_an_interrupt_and_an_error_come_out_of_the_request_as_they_are():
    """The thread between changes neither."""

    def answer(texts):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed(scripted(answer), ["a"])


_EXIT = """
import threading
from embow.embeddings.types import CallRecord
from embow.embeddings._calling import call_once
from embow.errors import TransientError

class Function:
    remote, timeout = True, 0.01

try:
    call_once(Function(), threading.Event().wait, CallRecord())
except TransientError as error:
    print(error)
"""


def test_a_request_that_hangs_does_not_keep_the_process():
    """The interpreter ends although a thread still waits for the server."""
    done = subprocess.run([sys.executable, "-c", _EXIT], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "No answer came within 0.01 s" in done.stdout


# -- providers written with async ----------------------------------------------------------


class Async(TextEmbeddingFunction):
    """Is called with ``await``."""

    remote = True

    def ndims(self) -> int:
        """Return the length of the vectors."""
        return NDIMS

    async def generate_embeddings(self, texts: list[str]) -> Any:
        """Answer after the loop went round once."""
        await asyncio.sleep(0)
        record_usage(Usage(3))
        return vectors_of(texts)


class LocalAsync(Async):
    """The same on this machine."""

    remote = False


class AsyncParts(Async):
    """Has its contract's own methods as coroutines."""

    async def compute_source_embeddings(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Embed documents."""
        return await self.generate_embeddings(list(inputs))


@pytest.mark.parametrize("cls", [Async, LocalAsync, AsyncParts])
def test_providers_may_be_coroutines(cls):
    """Rows, queries and direct calls are waited for; what is reported arrives."""
    function = cls()
    out, report = embed(function, ["a", "b"])
    np.testing.assert_array_equal(column(out), vectors_of(["a", "b"]))
    assert report.tokens == 3
    assert Pipeline(None).embed_queries(function, "q").shape == (1, NDIMS)


def test_a_coroutine_is_waited_for_inside_a_running_loop():
    """A direct call from a notebook, which has a loop of its own."""

    async def direct():
        return Async().compute_query_embeddings("a")

    assert asyncio.run(direct()).shape == (1, NDIMS)


def test_a_coroutine_that_is_given_up_is_cancelled(caplog):
    """It does not go on in the background."""
    cancelled, begun = threading.Event(), threading.Event()

    class Slow(Async):
        timeout: Timeout = 2.0

        async def generate_embeddings(self, texts):
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    class WhenBegun(FakeClock):
        def wait_for(self, event, seconds):
            assert begun.wait(30)
            return False

    with caplog.at_level(logging.ERROR), pytest.raises(TransientError):
        embed(Slow(max_retries=0), ["a"], clock=WhenBegun())
    assert cancelled.wait(30)


# -- options -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("deadline", value) for value in (0, -1, "x", float("nan"), True)],
        *[("concurrency", value) for value in (0, -2, 1.5, "many", True)],
        *[("budget", value) for value in (-1, 0.5, "all")],
        ("progress", "yes"),
    ],
)
def test_an_option_out_of_its_range_is_named(name, value):
    """The message says which option, what was given and what is wanted."""
    with pytest.raises(ConfigurationError, match=rf"^{name}="):
        PipelineOptions(**{name: value})


def test_a_deadline_may_be_endless(stop):
    """``inf`` is a number above zero."""
    embed(scripted(), ["a"], deadline=float("inf"))


def test_the_wrong_length_is_told_apart_at_the_provider():
    """``as_vectors`` in a provider ends the call at once, as the pipeline's own check does."""
    from embow.embeddings import as_vectors

    function = scripted(lambda texts: as_vectors(np.ones((len(texts), 3)), len(texts), NDIMS))
    with pytest.raises(BadOutputError, match="3 dimensions"):
        embed(function, [str(at) for at in range(30)], on_error="skip")
    assert len(function.asked) == 1
