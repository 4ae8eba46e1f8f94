"""Keeping BLAS to one thread while a block is scored.

A scan has threads of its own, each at a piece of the rows; those of BLAS share one product, and
spin on a busy machine. The setting belongs to the process, so it is counted: the first to come sets
it, the last to leave restores it.
"""

from __future__ import annotations

from functools import cache
from operator import attrgetter
from typing import Any

from threadpoolctl import ThreadpoolController

from embow.engines._forks import Guard


class _OneThread(Guard):
    """Runs numpy's BLAS on one thread; threads of the caller may nest and overlap."""

    def __init__(self) -> None:
        super().__init__()
        self._users = 0
        self._before: list[int | None] = []

    def __enter__(self) -> None:
        libraries = _libraries()
        with self._lock:
            if not self._users:
                self._before = list(map(attrgetter("num_threads"), libraries))
                for library in libraries:
                    library.set_num_threads(1)
            self._users += 1

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._restore()

    def resume(self, *, child: bool) -> None:
        """Also forget the threads that a child has not."""
        if child and self._users:
            self._users = 0
            self._restore()
        super().resume(child=child)

    def _restore(self) -> None:
        for library, count in zip(_libraries(), self._before, strict=True):
            library.set_num_threads(count)


one_thread = _OneThread()


@cache
def _libraries() -> list[Any]:
    # Finding the libraries takes milliseconds; setting one takes microseconds.
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)
