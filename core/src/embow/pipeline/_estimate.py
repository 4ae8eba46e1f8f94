"""What embedding some rows would take, found out without a provider call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from embow.pipeline._embedder import Embedder
from embow.pipeline._requests import Queue, Request
from embow.pipeline._sources import Source
from embow.pipeline._types import EmbedJob, Estimate, SourceRows

Plan = tuple[list[EmbedJob], Embedder]


def estimate_rows(rows: Iterable[SourceRows], plans: Sequence[Plan]) -> Estimate:
    """Return the totals over all rows and functions."""
    counts = [_Count(embedder) for _, embedder in plans]
    for given in rows:
        for count, (jobs, _) in zip(counts, plans, strict=True):
            for job in jobs:
                source = Source(given.batch.column(job.source_column))
                count.add(source, given.needed(job.vector_column))
    return Estimate(
        inputs=sum(count.inputs for count in counts),
        distinct=sum(len(count.seen) for count in counts),
        cached=sum(count.cached for count in counts),
        tokens=sum(count.tokens for count in counts),
        requests=sum(count.requests(to_the_end=True) for count in counts),
    )


class _Count:
    """Counts the inputs of one function, and packs them as they would be sent."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._queue = Queue()
        self._requests = 0
        self.seen: set[bytes] = set()
        self.inputs = self.cached = self.tokens = 0

    def add(self, source: Source, needed: np.ndarray) -> None:
        rows = np.flatnonzero(source.present & needed).tolist()
        self.inputs += len(rows)
        new = {source.digests[row]: row for row in rows if source.digests[row] not in self.seen}
        self.seen.update(new)
        known = set(self._embedder.cached.get(list(new))[0])
        self.cached += len(known)
        wanted = [row for at, row in enumerate(new.values()) if at not in known]
        values, sizes = [source.values[row] for row in wanted], source.sizes[wanted]
        tokens = self._embedder.caller.estimate(values, sizes, source.is_text)
        longer = self._embedder.longer
        if longer.most is not None and longer.policy == "truncate":
            tokens = np.minimum(tokens, longer.most)
        self.tokens += int(tokens.sum())
        nothing: list[None] = [None] * len(wanted)
        self._queue.put(Request(nothing, list(nothing), tokens, sizes, []))
        self.requests()

    def requests(self, to_the_end: bool = False) -> int:
        """Return how many requests there are so far, the last one included where it is the end."""
        caps = self._embedder.caps()
        while self._queue.full_requests(caps) or (to_the_end and self._queue.items):
            self._queue.take(caps)
            self._requests += 1
        return self._requests
