"""Keeping BLAS to one thread while a block is scored.

A scan is bound by memory bandwidth, which one thread nearly uses up, and a second one spins on a
busy machine. The setting belongs to the process, so it is counted: the first to come sets it, the
last to leave restores it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_lock = threading.Lock()
_users = 0
_before: list[int | None] = []


@contextmanager
def one_thread() -> Iterator[None]:
    """Run numpy's BLAS on one thread; threads of the caller may nest and overlap."""
    global _users, _before
    libraries = _libraries()
    with _lock:
        if not _users:
            _before = [library.num_threads for library in libraries]
            for library in libraries:
                library.set_num_threads(1)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                for library, count in zip(libraries, _before, strict=True):
                    library.set_num_threads(count)


@cache
def _libraries() -> list[Any]:
    from threadpoolctl import ThreadpoolController

    # Finding the libraries takes milliseconds; setting one takes microseconds.
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)
