"""What a fork must find at rest: no lock held by a thread the child lacks, no file open in both."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc


class Resting(Protocol):
    """Something that other threads use and that can pause."""

    def pause(self) -> None:
        """Wait until no thread is at work, and let none begin."""

    def resume(self, *, child: bool) -> None:
        """Go on, in the process that forked or in the new one."""


_known: weakref.WeakSet[Resting] = weakref.WeakSet()
_resting: list[Resting] = []
_forking = threading.Lock()
_NOTHING = pa.nulls(0)  # pa.array would import pandas where that is installed


def rest_at_fork(each: Resting) -> None:
    """Pause something around every fork of this process."""
    with _forking:  # A set that grows cannot be walked.
        _known.add(each)


class Guard:
    """A lock that a thread may take again, and that nobody holds in a forked child."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        rest_at_fork(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *raised: object) -> None:
        self._lock.release()

    def pause(self) -> None:
        """Take the lock."""
        self._lock.acquire()

    def resume(self, *, child: bool) -> None:
        """Give it back; the thread that forked is the one that lives on in the child."""
        self._lock.release()


def _before() -> None:
    # Arrow makes what all its functions share in the first call of one. A child born while another
    # thread is at that would wait for it for ever; now that call is over.
    pc.is_valid(_NOTHING)
    _forking.acquire()
    _resting.extend(_known)
    for each in _resting:
        each.pause()


def _after(*, child: bool) -> None:
    while _resting:
        _resting.pop().resume(child=child)
    _forking.release()


if hasattr(os, "register_at_fork"):
    # Arrow makes what its functions share in the first call of one. A child forked in that moment,
    # while another thread makes it, would wait for that thread for ever.
    pc.is_valid(pa.chunked_array([pa.nulls(1)]))
    os.register_at_fork(
        before=_before,
        after_in_parent=lambda: _after(child=False),
        after_in_child=lambda: _after(child=True),
    )
