"""Scoring on several threads.

numpy lets other threads run while it multiplies, so pieces of a scan are scored side by side. Each
thread reads memory at the speed of one core; where the cores share a channel to memory that is
full, more of them bring nothing.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def thread_count() -> int:
    """Return how many threads a scan may use: ``OMP_NUM_THREADS``, else one for each core."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def side_by_side(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with what the work on it gives, in order, a few items ahead.

    The threads end with the iteration, so that none is left where a process forks.
    """
    if threads == 1:
        for item in items:
            yield item, work(item)
        return
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[tuple[Item, Future[Result]]] = deque()
        for item in items:
            ahead.append((item, pool.submit(work, item)))
            if len(ahead) > 2 * threads:
                first, done = ahead.popleft()
                yield first, done.result()
        for item, done in ahead:
            yield item, done.result()
