"""What embedding some rows would take, found out without a provider call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from embow.pipeline._requests import Queue, Request
from embow.pipeline._settle import Settler
from embow.pipeline._sources import Source
from embow.pipeline._types import EmbedJob, Estimate, SourceRows

Plan = tuple[list[EmbedJob], Settler]


class _Count:
    """Counts the inputs of one function."""

    def __init__(self, plan: Plan) -> None:
        self.jobs, self._settler = plan
        self._seen: set[bytes] = set()
        self._queue = Queue()
        self.inputs = self.cached = self.tokens = self.requests = 0

    @property
    def distinct(self) -> int:
        return len(self._seen)

    def add(self, source: Source, needed: np.ndarray) -> None:
        rows = np.flatnonzero(source.present & needed).tolist()
        self.inputs += len(rows)
        new = {source.digests[row]: row for row in rows if source.digests[row] not in self._seen}
        self._seen.update(new)
        digests = list(new)
        known = set(self._settler.cached.get(digests)[0])
        self.cached += len(known)
        self._send([row for at, row in enumerate(new.values()) if at not in known], source)

    def _send(self, rows: list[int], source: Source) -> None:
        """Pack inputs as they would be sent, without sending them."""
        values = [source.values[row] for row in rows]
        sizes = source.sizes[rows]
        most = self._settler.longer.most
        tokens = self._settler.caller.estimate(values, sizes, source.is_text)
        if most is not None and self._settler.longer.policy == "truncate":
            tokens = np.minimum(tokens, most)
        self.tokens += int(tokens.sum())
        self._queue.put(Request([None] * len(rows), [None] * len(rows), tokens, sizes, []))
        caps = self._settler.caps()
        while self._queue.full_requests(caps):
            self._queue.take(caps)
            self.requests += 1

    def finish(self) -> None:
        caps = self._settler.caps()
        while self._queue.items:
            self._queue.take(caps)
            self.requests += 1


def estimate_rows(rows: Iterable[SourceRows], plans: Sequence[Plan]) -> Estimate:
    """Return the totals over all rows and functions."""
    counts = [_Count(plan) for plan in plans]
    for given in rows:
        for count in counts:
            for job in count.jobs:
                source = Source(given.batch.column(job.source_column))
                count.add(source, given.needed(job.vector_column))
    for count in counts:
        count.finish()
    return Estimate(
        inputs=sum(count.inputs for count in counts),
        distinct=sum(count.distinct for count in counts),
        cached=sum(count.cached for count in counts),
        tokens=sum(count.tokens for count in counts),
        requests=sum(count.requests for count in counts),
    )
