"""A call that is cancelled from outside sends nothing more and says so."""

from __future__ import annotations

import threading

import pytest

from embow._cancel import (
    Cancellation,
    CancelledError,
    cancellable,
    current,
    stop_if_cancelled,
)
from embow.pipeline import AddReport, Pipeline, PipelineOptions
from embow.pipeline._clock import Clock
from scripted import column, embed, job, rows_of, scripted, vectors_of

TEXTS = [f"text {at}" for at in range(50)]


def test_the_event_belongs_to_its_context():
    """Inside there is an event, outside there is none, and only a set one stops anything."""
    event = threading.Event()
    assert current() is None
    with cancellable(event):
        assert current() is event
        stop_if_cancelled()
        event.set()
        with pytest.raises(CancelledError):
            stop_if_cancelled()
    stop_if_cancelled()


def test_a_call_that_ends_its_own_work_leaves_the_event_of_its_context_alone():
    """What follows in the same context is not cancelled by a call that is done."""
    event = threading.Event()
    with cancellable(event):
        out, _ = embed(scripted(), TEXTS)
        assert column(out).shape[0] == len(TEXTS)
        stop_if_cancelled()
    assert not event.is_set()


def test_cancelled_while_requests_are_on_their_way_they_end_and_are_cached(tmp_path):
    """What was paid for is kept; nothing more is sent, and the caller is told."""
    event = threading.Event()

    def answer(texts):
        event.set()
        return vectors_of(texts)

    function = scripted(answer, max_items=5, max_concurrency=4)
    pipeline = Pipeline(tmp_path / "cache.sqlite")
    with cancellable(event), pytest.raises(CancelledError):
        embed(function, TEXTS, pipeline=pipeline)
    sent = function.sent
    assert len(function.asked) <= 4
    _, report = embed(function, TEXTS, pipeline=pipeline)
    pipeline.close()
    assert report.cached == sent


def documents(function, clock):
    """Embed a few rows."""
    embed(function, TEXTS, clock=clock)


def query(function, clock):
    """Embed one query."""
    Pipeline(None, clock=clock).embed_queries(function, "text")


@pytest.mark.parametrize("call", [documents, query])
def test_a_call_that_backs_off_ends_its_wait(call):
    """A wait of an hour before the next attempt ends when the call is cancelled."""
    event = threading.Event()

    class Pressing(Clock):
        def wait(self, seconds, cancelled):
            event.set()
            super().wait(3600, cancelled)

    def answer(texts):
        raise ConnectionError

    function = scripted(answer, max_retries=5)
    with cancellable(event), pytest.raises(CancelledError):
        call(function, Pressing())
    assert len(function.asked) == 1


def test_a_call_that_waits_for_its_turn_ends_its_wait():
    """The first call of an account is let through alone; a cancelled one does not wait for it."""
    began, go_on, event = threading.Event(), threading.Event(), threading.Event()

    def answer(texts):
        began.set()
        assert go_on.wait(30)
        return vectors_of(texts)

    function = scripted(answer, max_concurrency=1)
    first = threading.Thread(target=Pipeline(None).embed_queries, args=(function, "first"))
    first.start()
    assert began.wait(30)
    threading.Timer(0.01, event.set).start()
    with cancellable(event), pytest.raises(CancelledError):
        Pipeline(None).embed_queries(function, "second")
    go_on.set()
    first.join()
    assert function.asked == [["first"]]


def test_a_set_event_lets_nothing_be_sent():
    """A call begun after the event was set asks the provider for nothing."""
    event, function = threading.Event(), scripted()
    event.set()
    stream = Pipeline(None).embed_batches(
        rows_of(TEXTS), [job(function)], PipelineOptions(), AddReport()
    )
    with cancellable(event), pytest.raises(CancelledError):
        list(stream)
    assert not function.asked


def test_waiting_ends_with_either_event_or_with_the_time():
    """A call's own event, the one of its context, and the time each end the wait."""
    event = threading.Event()
    with cancellable(event):
        own, outer, timed = Cancellation(), Cancellation(), Cancellation()
    assert not timed.wait(0.001)
    own.set()
    assert own.wait(30)
    assert not own.from_outside
    event.set()
    assert outer.wait()
    assert outer.from_outside
