"""Run one provider call: waited for where it is a coroutine, and given up where it takes too long.

An SDK's timeout counts from byte to byte as a rule, so a server that drips bytes is never late for
it. Here the caller waits for a thread, and leaves it behind when the time is over: the thread is
no reason to stay for a process that ends, and nobody looks at what it comes back with.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from embow._processes import in_child
from embow.embeddings.types import CURRENT_CALL, CallRecord
from embow.errors import TransientError

if TYPE_CHECKING:
    from embow.embeddings._provider import Provider

Wait = Callable[[threading.Event, float], bool]


def wait_for(event: threading.Event, seconds: float) -> bool:
    """Wait until an event is set, or so many seconds; return whether it is."""
    return event.wait(min(seconds, threading.TIMEOUT_MAX))


def timeout_of(function: Provider) -> float:
    """Return the seconds one request of a function may take: its setting ``timeout``, if any."""
    timeout = getattr(function, "timeout", None)
    return float(timeout) if isinstance(timeout, (int, float)) else math.inf


def call_once(
    function: Provider,
    call: Callable[[], Any],
    record: CallRecord,
    rest: float = math.inf,
    wait: Wait = wait_for,
) -> Any:
    """Return what a call of a function gives, or give it up where the function is remote.

    Its setting ``timeout`` holds for one request; a call of several gets it again for each.

    Args:
        function: Whose call it is. A local one runs in the calling thread for as long as it takes.
        call: What to run.
        record: What it reports to.
        rest: Seconds for all of it.
        wait: Waits for an event.

    Raises:
        TransientError: The time was over.
    """
    if not function.remote:
        return _recorded(call, record)
    if rest <= 0:
        raise TransientError("No time was left for a request before the deadline.")
    done = threading.Event()
    outcome: list[tuple[Any, BaseException | None]] = []

    def run() -> None:
        try:
            outcome.append((_recorded(call, record), None))
        except BaseException as error:
            outcome.append((None, error))
        done.set()

    target = copy_context().run
    threading.Thread(target=target, args=(run,), name="embow-request", daemon=True).start()
    try:
        _await(done, record, timeout_of(function), rest, wait)
    finally:
        if not done.is_set():
            record.given_up = True
            if record.coroutine is not None:
                record.coroutine.cancel()
    value, error = outcome.pop()
    if error is None:
        return value
    try:
        raise error
    finally:
        del error  # a traceback that holds its own frame would keep the inputs alive


def given_up() -> bool:
    """Tell whether nobody waits for the current call any more.

    Ask it between the pieces of an answer, and stop reading then: a server may drip for ever.
    """
    record = CURRENT_CALL.get()
    return record is not None and record.given_up


def _recorded(call: Callable[[], Any], record: CallRecord) -> Any:
    """Return what a call gives, with its reports going to ``record``."""
    outer = CURRENT_CALL.set(record)
    try:
        return completed(call())
    finally:
        CURRENT_CALL.reset(outer)


def _await(
    done: threading.Event, record: CallRecord, timeout: float, rest: float, wait: Wait
) -> None:
    sent = 1
    while not wait(done, min(timeout, rest)):
        if rest <= timeout:
            raise TransientError(f"No answer came within the {rest:.3g} s left of the deadline.")
        rest -= timeout
        if record.requests <= sent:
            raise TransientError(f"No answer came within {timeout:g} s (timeout).")
        sent = record.requests


# -- providers whose methods are coroutines ------------------------------------------------

_loops: list[asyncio.AbstractEventLoop] = []
_loops_lock = threading.Lock()


@in_child
def _after_fork() -> None:
    """Leave the parent's event loop alone: its thread is not in the child."""
    global _loops_lock
    _loops_lock = threading.Lock()
    _loops.clear()


def completed(answer: Any) -> Any:
    """Return an answer, waited for where it is a coroutine.

    All coroutines of a process run in one event loop, so that clients may keep their connections.
    """
    if not inspect.iscoroutine(answer):
        return answer
    future, record = asyncio.run_coroutine_threadsafe(answer, _loop()), CURRENT_CALL.get()
    if record is not None:
        record.coroutine = future
        if record.given_up:  # between the two lines above
            future.cancel()
    return future.result()


def _loop() -> asyncio.AbstractEventLoop:
    with _loops_lock:
        if not _loops:
            _loops.append(asyncio.new_event_loop())
            target = _loops[0].run_forever
            threading.Thread(target=target, name="embow-loop", daemon=True).start()
        return _loops[0]
