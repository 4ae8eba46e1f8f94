"""What must happen together with a commit, and doing work again where a commit was refused.

Called by the modules that write.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import pyarrow as pa

from embow.engines.base import Engine
from embow.errors import CommitConflictError

T = TypeVar("T")
_TRIES = 40
_LONGEST_WAIT = 0.5


@contextmanager
def committing(
    engine: Engine,
    batches: Iterable[pa.RecordBatch],
    within: Callable[[], None],
    needed: Callable[[], bool] = lambda: True,
) -> Iterator[Iterator[pa.RecordBatch]]:
    """Yield the batches to hand to the engine, so that ``within`` is one with their commit.

    The engine reads all batches before it commits. When it has read the last one, other writers
    are kept out until this context is left: what ``within`` finds still holds at the commit, and
    what it writes takes effect with it or not at all.

    Args:
        engine: Engine of the table.
        batches: Rows about to be written.
        within: Called after the last batch; an error of its own stops the commit.
        needed: Asked before; where it says no, there is nothing to do and nobody has to wait.
    """
    with ExitStack() as commit:

        def stream() -> Iterator[pa.RecordBatch]:
            yield from batches
            if needed():
                commit.enter_context(engine.atomic())
                within()

        yield stream()


def again_on_conflict(work: Callable[[], T], wait: Callable[[float], None] = time.sleep) -> T:
    """Do the work, again where another writer changed the same rows first.

    Waits a little longer each time, at random, so that of several writers all get their turn.

    Raises:
        CommitConflictError: It happened ``_TRIES`` times in a row.
    """
    for attempt in range(_TRIES - 1):
        try:
            return work()
        except CommitConflictError:
            wait(random.uniform(0, min(_LONGEST_WAIT, 0.002 * 2**attempt)))
    return work()
