"""Time limits of calls, in LanceDB's words."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from embow import time_limit
from embow.errors import TimeLimitError

T = TypeVar("T")
QUERY = "Query timeout"
MERGE = "merge insert timed out"


@contextmanager
def limited(timeout: timedelta | float | None, what: str = QUERY) -> Iterator[None]:
    """Have the calls in this context end after so much time.

    Raises:
        TimeLimitError: They took longer.
    """
    try:
        with time_limit(_seconds(timeout)):
            yield
    except TimeLimitError as exc:
        raise TimeLimitError(f"{what}. {exc}") from exc


async def within(timeout: timedelta | float | None, call: Awaitable[T], what: str = QUERY) -> T:
    """Await a call, for so long at most.

    Raises:
        TimeLimitError: It took longer, and was cancelled.
    """
    limit = _seconds(timeout)
    try:
        async with asyncio.timeout(limit):
            return await call
    except TimeoutError as exc:
        raise TimeLimitError(f"{what}. The call took longer than {limit:g} s.") from exc


def _seconds(timeout: timedelta | float | None) -> float | None:
    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
