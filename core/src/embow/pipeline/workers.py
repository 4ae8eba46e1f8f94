"""The jobs of one call that share a function: rows in, and the threads that embed them."""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from embow.pipeline.clock import StopWork
from embow.pipeline.parts import Part
from embow.pipeline.requests import Ints, Queue, Request, Segment
from embow.pipeline.settle import Settler

if TYPE_CHECKING:
    from embow.pipeline.calls import CallContext


class Owner(Protocol):
    """The call a pool belongs to."""

    @property
    def condition(self) -> threading.Condition:
        """Guards the queues and says when a part is done."""
        ...

    @property
    def stopping(self) -> threading.Event:
        """Set when no further request may be packed."""
        ...

    def may_send_partial(self, queue: Queue) -> bool:
        """Whether a request that is not full may be sent now."""
        ...

    def fail(self, error: BaseException) -> None:
        """End the call because of an error."""
        ...


class WorkerPool:
    """Takes parts in, asks the cache, and embeds the rest on threads of its own."""

    def __init__(self, settler: Settler, context: CallContext, owner: Owner) -> None:
        self.settler = settler
        self._usage = context.usage
        self._cancelled = context.cancelled
        self._owner = owner
        self._condition = owner.condition
        self._stopping = owner.stopping
        self._queue = Queue()
        self._pending: dict[bytes, tuple[Part, int]] = {}
        self._threads: list[threading.Thread] = []
        self._idle = 0

    @property
    def appetite(self) -> int:
        """Rows that keep all threads busy while the next ones are prepared."""
        return 2 * self.settler.caller.at_once * self.settler.caps().items

    # -- rows in ------------------------------------------------------------------------

    def admit(self, part: Part) -> None:
        """Find what is known for a part and queue the rest. Called by one thread."""
        rows, digests = self._distinct(part)
        if not digests:
            return
        missing = self._from_cache(part, rows, digests)
        if not len(missing):
            return
        keys = [digests[at] for at in missing.tolist()]
        wanted = rows[missing]
        self._pending.update(zip(keys, ((part, row) for row in wanted.tolist()), strict=True))
        part.claimed = keys
        part.expect(len(keys))
        request = self._request(part, wanted, keys)
        fitted, exact = self.settler.longer.fitted, self.settler.caller.exact
        for ready in fitted(request, self.settler.refuse, exact, self._derived_from_cache):
            with self._condition:
                self._queue.put(ready)
                self._start()
                self._condition.notify_all()

    def forget(self, part: Part) -> None:
        """Stop offering a finished part's inputs to later equal ones."""
        for digest in part.claimed:
            self._pending.pop(digest, None)
        part.claimed = []

    def _distinct(self, part: Part) -> tuple[Ints, list[bytes]]:
        """Return the rows whose input is new to this call's window, with their digests."""
        rows = np.flatnonzero(part.needed)
        source = part.source.digests
        whole = len(rows) == len(source)
        digests = source if whole else [source[row] for row in rows.tolist()]
        first = dict(zip(reversed(digests), range(len(digests) - 1, -1, -1), strict=True))
        known = first.keys() & self._pending.keys() if self._pending else set()
        if len(first) == len(digests) and not known:
            return rows, digests
        self._copy_known(part, rows, digests, known)
        self._copy_repeated(part, rows, digests, first, known)
        keep = sorted(at for digest, at in first.items() if digest not in known)
        return rows[keep], [digests[at] for at in keep]

    def _copy_known(
        self, part: Part, rows: Ints, digests: list[bytes], known: AbstractSet[bytes]
    ) -> None:
        """Have rows copied from equal inputs of parts that are still in the window."""
        groups: dict[int, tuple[Part, list[int], list[int]]] = {}
        if known:
            for row, digest in zip(rows.tolist(), digests, strict=True):
                if digest in known:
                    other, their = self._pending[digest]
                    group = groups.setdefault(id(other), (other, [], []))
                    group[1].append(their)
                    group[2].append(row)
        for other, theirs, ours in groups.values():
            part.copy_from(other, np.array(theirs), np.array(ours))
            self._usage.count(deduplicated=len(ours))

    def _copy_repeated(
        self,
        part: Part,
        rows: Ints,
        digests: list[bytes],
        first: dict[bytes, int],
        known: AbstractSet[bytes],
    ) -> None:
        """Have rows copied from the first equal row of the same part."""
        pairs = [
            (first[digest], at)
            for at, digest in enumerate(digests)
            if first[digest] != at and digest not in known
        ]
        if pairs:
            theirs, ours = np.array(pairs).T
            part.copy_from(part, rows[theirs], rows[ours])
            self._usage.count(deduplicated=len(pairs))

    def _from_cache(self, part: Part, rows: Ints, digests: list[bytes]) -> NDArray[np.intp]:
        """Fill what the cache knows; return the positions it does not."""
        everything = np.arange(len(rows))
        found, vectors = self.settler.cached.get(digests)
        if not found:
            return everything
        part.fill(rows[found], vectors)
        self._usage.count(cached=len(found))
        return np.setdiff1d(everything, found, assume_unique=True)

    # -- inputs to requests -------------------------------------------------------------

    def _request(self, part: Part, rows: Ints, digests: list[bytes]) -> Request:
        source = part.source
        whole = len(rows) == len(source.values)
        values = source.values if whole else [source.values[row] for row in rows.tolist()]
        sizes = source.sizes[rows]
        tokens = self.settler.caller.estimate(values, sizes, source.is_text)
        return Request(values, list(digests), tokens, sizes, [Segment(part, rows)])

    def _derived_from_cache(self, request: Request) -> Request | None:
        found, vectors = self.settler.cached.get(request.digests)
        if not found:
            return request
        for position, vector in zip(found, vectors, strict=True):
            request.cut(position, position + 1).deliver(vector[np.newaxis])
        rest = sorted(set(range(len(request))) - set(found))
        return request.pick(rest) if rest else None

    # -- threads ------------------------------------------------------------------------

    def _start(self) -> None:
        """Start one more thread if there is work for it. The condition is held."""
        wanted = self._queue.requests(self.settler.caps())
        while self._idle < wanted and len(self._threads) < self.settler.caller.at_once:
            context = contextvars.copy_context()
            thread = threading.Thread(
                target=context.run, args=(self._work,), name="embow-embed", daemon=True
            )
            self._threads.append(thread)
            self._idle += 1
            thread.start()

    def _work(self) -> None:
        try:
            while (request := self._take()) is not None:
                self.settler.settle(request)
                with self._condition:
                    self._idle += 1
        except StopWork:
            pass
        except BaseException as error:
            self._owner.fail(error)

    def _take(self) -> Request | None:
        with self._condition:
            while not (self._stopping.is_set() or self._cancelled.is_set()):
                if self._queue.items:
                    caps = self.settler.caps()
                    if self._queue.fills(caps) or self._owner.may_send_partial(self._queue):
                        self._idle -= 1
                        return self._queue.take(caps)
                self._condition.wait(self._cancelled.look_every)
        return None

    def wake(self) -> None:
        """Have threads that wait for their turn see that the call was cancelled."""
        self.settler.caller.limiter.wake()

    def join(self) -> None:
        """Wait for the threads. They end once ``stopping`` or ``cancelled`` is set."""
        self.wake()
        if sys.is_finalizing():
            return  # The interpreter has ended them already, and some releases wait for ever.
        for thread in self._threads:
            thread.join()
