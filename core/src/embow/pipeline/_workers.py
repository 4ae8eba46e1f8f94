"""The jobs of one call that share a function: rows in, and the threads that embed them."""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from embow.pipeline._clock import StopWork
from embow.pipeline._embedder import Embedder
from embow.pipeline._parts import Part
from embow.pipeline._requests import Queue, Request, Segment


@dataclass(slots=True, eq=False)
class WorkerPool:
    """Takes parts in, asks the cache, and embeds the rest.

    Full requests go out on threads, which end when there is none left; what is less than a request
    goes out when the call waits for it, by :meth:`work_once` in its own thread.

    Args:
        embedder: Embeds the requests.
        condition: Guards the queues and says when a part is done.
        stopping: Set when no further request may be packed.
        may_send_partial: Whether a request that is not full may be sent now.
        fail: Ends the call because of an error.
    """

    embedder: Embedder
    _condition: threading.Condition
    _stopping: threading.Event
    _may_send_partial: Callable[[Queue], bool]
    _fail: Callable[[BaseException], None]
    _queue: Queue = field(default_factory=Queue)
    _pending: dict[bytes, tuple[Part, int]] = field(default_factory=dict)
    _threads: set[threading.Thread] = field(default_factory=set)
    _working: int = 0

    @property
    def appetite(self) -> int:
        """Rows that keep all threads busy while the next ones are prepared."""
        return 2 * self.embedder.caller.at_once * self.embedder.caps().items

    # -- rows in ------------------------------------------------------------------------

    def admit(self, part: Part) -> None:
        """Find what is known for a part and queue the rest. Called by one thread."""
        missing = self._from_cache(part, self._distinct(part))
        if not missing:
            return
        for digest, row in missing.items():
            self._pending[digest] = (part, row)
        part.claimed = list(missing)
        part.expect(len(missing))
        request = self._request(part, missing)
        fitted, exact = self.embedder.longer.fitted, self.embedder.caller.exact
        for ready in fitted(request, self.embedder.refuse, exact, self._derived_from_cache):
            with self._condition:
                self._queue.put(ready)
            self.start()

    def forget(self, part: Part) -> None:
        """Stop offering a finished part's inputs to later equal ones."""
        for digest in part.claimed:
            self._pending.pop(digest, None)

    def _distinct(self, part: Part) -> dict[bytes, int]:
        """Return the rows whose input is new to this call's window, by their digests.

        The others are copied from their equals once those are there.
        """
        new: dict[bytes, int] = {}
        digests, rows = part.source.digests, np.flatnonzero(part.needed).tolist()
        for row in rows:
            digest = digests[row]
            known = self._pending.get(digest) or (part, new.setdefault(digest, row))
            if known != (part, row):
                part.copy_from(*known, row)
        if len(new) < len(rows):
            self.embedder.caller.context.usage.count(deduplicated=len(rows) - len(new))
        return new

    def _from_cache(self, part: Part, wanted: dict[bytes, int]) -> dict[bytes, int]:
        """Fill what the cache knows; return the rest."""
        digests = list(wanted)
        found, vectors = self.embedder.cached.get(digests)
        if not found:
            return wanted
        known = [wanted.pop(digests[at]) for at in found]
        part.fill(np.array(known), vectors)
        self.embedder.caller.context.usage.count(cached=len(known))
        return wanted

    # -- inputs to requests -------------------------------------------------------------

    def _request(self, part: Part, wanted: dict[bytes, int]) -> Request:
        source, rows = part.source, np.array(list(wanted.values()))
        values, sizes = list(map(source.values.__getitem__, wanted.values())), source.sizes[rows]
        tokens = self.embedder.caller.estimate(values, sizes, source.is_text)
        return Request(values, list(wanted), tokens, sizes, [Segment(part, rows)])

    def _derived_from_cache(self, request: Request) -> Request | None:
        found, vectors = self.embedder.cached.get(request.digests)
        if not found:
            return request
        for position, vector in zip(found, vectors, strict=True):
            request.cut(position, position + 1).deliver(vector[np.newaxis])
        rest = sorted(set(range(len(request))) - set(found))
        return request.pick(rest) if rest else None

    # -- threads ------------------------------------------------------------------------

    def start(self, partial: bool = False) -> None:
        """Start as many threads as there are full requests for, or one for what may be sent."""
        with self._condition:
            wanted = self._queue.full_requests(self.embedder.caps())
            if not wanted and partial and self._queue.items:
                wanted = int(self._may_send_partial(self._queue))
            for _ in range(min(wanted, self.embedder.caller.at_once - self._working)):
                run = contextvars.copy_context().run
                thread = threading.Thread(
                    target=run, args=(self._work,), name="embow-embed", daemon=True
                )
                self._threads.add(thread)
                self._working += 1
                thread.start()

    def work_once(self) -> bool:
        """Embed one request in the calling thread, if one may be sent and a place is free."""
        with self._condition:
            if self._working >= self.embedder.caller.at_once:
                return False
            self._working += 1
        request = self._take()
        if request is None:
            return False
        self._embed(request)
        with self._condition:
            self._working -= 1
        return True

    def _work(self) -> None:
        while (request := self._take()) is not None:
            self._embed(request)
        self._threads.discard(threading.current_thread())

    def _embed(self, request: Request) -> None:
        try:
            self.embedder.embed(request)
        except StopWork:
            pass
        except BaseException as error:
            self._fail(error)

    def _take(self) -> Request | None:
        """Return the next request, or ``None`` and give the place back where there is none."""
        with self._condition:
            caps, queue = self.embedder.caps(), self._queue
            stopped = (
                not queue.items
                or self._stopping.is_set()
                or self.embedder.caller.context.cancelled.is_set()
            )
            if not stopped and (self._may_send_partial(queue) or queue.full_requests(caps)):
                return queue.take(caps)
            self._working -= 1
            return None

    def wake(self) -> None:
        """Have threads that wait for their turn see that the call was cancelled."""
        self.embedder.caller.limiter.wake()

    def join(self) -> None:
        """Wait for the threads. They end once ``stopping`` or ``cancelled`` is set."""
        if self._threads:
            self.wake()
        if sys.is_finalizing():
            return  # The interpreter has ended them already, and some releases wait for ever.
        for thread in tuple(self._threads):
            thread.join()
