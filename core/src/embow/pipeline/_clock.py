"""Time and waiting, in one place, so that tests can replace both."""

from __future__ import annotations

import threading
import time as _time

from embow.embeddings._calling import wait_for


class StopWork(BaseException):
    """Work was cancelled while it waited. Not an ``Exception``: nothing may retry it."""


class Clock:
    """The clock of the machine.

    Attributes:
        time: Returns wall-clock seconds, comparable between processes.
        monotonic: Returns seconds that never run backwards.
    """

    time = staticmethod(_time.time)
    monotonic = staticmethod(_time.monotonic)

    def wait_for(self, event: threading.Event, seconds: float) -> bool:
        """Wait until an event is set, or so many seconds; return whether it is."""
        return wait_for(event, seconds)

    def wait(self, seconds: float, cancelled: threading.Event) -> None:
        """Wait so many seconds.

        Raises:
            StopWork: ``cancelled`` is set, before or during the wait.
        """
        if cancelled.wait(max(0.0, seconds)):
            raise StopWork
