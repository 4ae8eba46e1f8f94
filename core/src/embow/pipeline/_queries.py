"""Embed a few inputs at once in the calling thread: the way of queries."""

from __future__ import annotations

from typing import Any

import numpy as np

from embow.embeddings._retry import CallFailedError
from embow.pipeline._requests import Ints, Queue, Request, Segment, Vectors
from embow.pipeline._settle import RowFailedError, Settler
from embow.pipeline._sources import hash_value


class _Answers:
    """Gathers vectors by position."""

    def __init__(self, count: int, ndims: int) -> None:
        self.vectors: Vectors = np.empty((count, ndims), dtype=np.float32)

    def store(self, rows: Ints, vectors: Vectors) -> None:
        self.vectors[rows] = vectors

    def fail(self, row: int, failed: CallFailedError) -> None:
        raise AssertionError("a failed query stops the call")  # pragma: no cover

    def position(self, row: int) -> int:
        return row


def embed_inputs(settler: Settler, values: list[Any]) -> Vectors:
    """Return one vector for each value, from the cache where it has one.

    Raises:
        EmbowError: One of them could not be embedded.
    """
    answers = _Answers(len(values), settler.caller.ndims)
    request = _request(settler, values, answers)
    found, vectors = settler.cached.get(request.digests)
    if found:
        answers.vectors[found] = vectors
        if len(found) == len(values):
            return answers.vectors
        request = request.pick(sorted(set(range(len(values))).difference(found)))
    try:
        parts = settler.longer.fitted(request, settler.refuse, settler.caller.exact)
        if len(values) == 1 and parts:
            settler.settle(parts[0])
            return answers.vectors
        queue = Queue()
        for part in parts:
            queue.put(part)
        while queue.items:
            settler.settle(queue.take(settler.caps()))
    except RowFailedError as failed:
        raise failed.error from failed.cause
    return answers.vectors


def _request(settler: Settler, values: list[Any], answers: _Answers) -> Request:
    digests: list[bytes | None] = []
    sizes = np.zeros(len(values), dtype=np.int64)
    text = True
    for at, value in enumerate(values):
        if isinstance(value, str):
            sizes[at] = len(value.encode("utf-8", "surrogatepass"))
        else:
            text = False
        if isinstance(value, (bytes, bytearray)):
            sizes[at] = len(value)
        # Inputs that are neither text nor bytes are not cached.
        cacheable = isinstance(value, (str, bytes, bytearray))
        digests.append(hash_value(value) if cacheable else None)
    tokens = settler.caller.estimate(values, sizes, text)
    return Request(values, digests, tokens, sizes, [Segment(answers, np.arange(len(values)))])
