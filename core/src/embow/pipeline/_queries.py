"""Embed a few inputs at once in the calling thread: the way of queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from embow.embeddings._retry import CallFailedError
from embow.embeddings.remote import size_of
from embow.pipeline._embedder import Embedder, RowFailedError
from embow.pipeline._requests import Ints, Queue, Request, Segment, Vectors, blank_vectors
from embow.pipeline._sources import hash_value


@dataclass(frozen=True, slots=True)
class _Answers:
    """Gathers vectors by position."""

    vectors: Vectors

    def store(self, rows: Ints, vectors: Vectors) -> None:
        self.vectors[rows] = vectors

    def fail(self, row: int, failed: CallFailedError) -> None:
        raise AssertionError("a failed query stops the call")  # pragma: no cover

    def position(self, row: int) -> int:
        return row


def embed_inputs(embedder: Embedder, values: list[Any]) -> Vectors:
    """Return one vector for each value, from the cache where it has one.

    Raises:
        EmbowError: One of them could not be embedded.
    """
    work = embedder.caller.work
    answers = _Answers(blank_vectors(len(values), work.ndims, work.form))
    # Inputs that are neither text nor bytes are not cached.
    kinds = (str, bytes, bytearray)
    digests = [hash_value(value) if isinstance(value, kinds) else None for value in values]
    found, vectors = embedder.cached.get(digests)
    wanted, keys = values, digests
    missing = np.arange(len(values))
    if found:
        answers.vectors[found] = vectors
        missing = np.delete(missing, found)
        wanted, keys = [values[at] for at in missing], [digests[at] for at in missing]
    if not wanted:
        return answers.vectors
    sizes = np.array([*map(size_of, wanted)], dtype=np.int64)
    is_text = all(isinstance(value, str) for value in wanted)
    tokens = embedder.caller.estimate(wanted, sizes, is_text)
    segments = [Segment(answers, missing)]
    queue = Queue()
    try:
        request = Request(wanted, keys, tokens, sizes, segments)
        parts = embedder.longer.fitted(request, embedder.refuse, embedder.caller.exact)
        if len(wanted) == 1 and parts:  # a search waits for every step
            embedder.embed(parts[0])
            return answers.vectors
        for part in parts:
            queue.put(part)
        while queue.items:
            embedder.embed(queue.take(embedder.caps()))
    except RowFailedError as failed:
        raise failed.error from failed.cause
    return answers.vectors
