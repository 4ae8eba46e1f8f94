"""Cancelling a call from outside: an event that whoever started it may set, found by context."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from embow.errors import EmbowError, TimeLimitError

_LOOK_EVERY = 0.05
"""Seconds after which a waiting thread looks whether it is still wanted."""

_current: ContextVar[threading.Event | None] = ContextVar("embow_cancel", default=None)


class CancelledError(EmbowError):
    """The call was cancelled by whoever started it; what had been paid for is in the cache."""


@contextmanager
def cancellable(event: threading.Event) -> Iterator[None]:
    """Have everything done in this context stop once ``event`` is set, from any thread."""
    token = _current.set(event)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> threading.Event | None:
    """Return the event that cancels what this context does, if there is one."""
    return _current.get()


def stop_if_cancelled() -> None:
    """Return at once unless the call was cancelled.

    Raises:
        CancelledError: It was.
    """
    event = _current.get()
    if event is not None and event.is_set():
        raise CancelledError("The call was cancelled before it was finished.")


class _Deadline(threading.Event):
    """Set once so much time has passed, or what cancels the context around it is."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._outer = _current.get()
        self._end = time.monotonic() + seconds

    @property
    def from_outside(self) -> bool:
        """Whether it was not the time."""
        return self._outer is not None and self._outer.is_set()

    def is_set(self) -> bool:
        """Return whether nothing more is to be done."""
        return time.monotonic() >= self._end or self.from_outside


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Have the calls in this context end once so many seconds have passed.

    They look before each request, commit and read of a version, so a call ends a little later; what
    had been paid for is in the cache, and nothing is committed.

    Args:
        seconds: ``None`` for no limit.

    Raises:
        TimeLimitError: The time was over before a call was done.
    """
    if seconds is None:
        yield
        return
    deadline = _Deadline(seconds)
    try:
        with cancellable(deadline):
            yield
    except CancelledError as exc:
        if deadline.from_outside:
            raise
        raise TimeLimitError(f"The call took longer than its time limit of {seconds:g} s.") from exc


class Cancellation(threading.Event):
    """Set when one call is to send nothing more: by the call itself, or from outside.

    The call ends its own work by setting this one, and leaves the event of its context alone: more
    work may follow in that context.
    """

    def __init__(self) -> None:
        super().__init__()
        self._outer = _current.get()

    @property
    def from_outside(self) -> bool:
        """Whether the event of the context is set."""
        return self._outer is not None and self._outer.is_set()

    @property
    def look_every(self) -> float | None:
        """Seconds after which a thread that waits for something else has to look again."""
        return None if self._outer is None else _LOOK_EVERY

    def is_set(self) -> bool:
        """Return whether nothing more is to be sent."""
        return super().is_set() or (self._outer is not None and self._outer.is_set())

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing more is to be sent, or so many seconds; return which it was."""
        if self._outer is None:
            return super().wait(timeout)
        until = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            rest = _LOOK_EVERY if until is None else until - time.monotonic()
            if rest <= 0:
                return False
            super().wait(min(rest, _LOOK_EVERY))
        return True
