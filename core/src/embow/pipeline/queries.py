"""Embed a few inputs at once in the calling thread: the way of queries."""

from __future__ import annotations

from typing import Any

import numpy as np

from embow.embeddings.retry import CallFailedError
from embow.pipeline.requests import Ints, Queue, Request, Segment, Vectors
from embow.pipeline.settle import RowFailedError, Settler
from embow.pipeline.sources import hash_value
from embow.pipeline.workers import counts_exactly, estimate_tokens


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
    digests = [_digest(value) for value in values]
    missing = _fill(answers, settler, digests)
    if missing:
        request = _request(settler, values, digests, answers).pick(missing)
        exact = counts_exactly(settler.caller.function)
        queue = Queue()
        try:
            for part in settler.longer.fitted(request, settler.refuse, exact):
                queue.put(part)
            while len(queue):
                settler.settle(queue.take(settler.caps()))
        except RowFailedError as failed:
            raise failed.error from failed.cause
    return answers.vectors


def _fill(answers: _Answers, settler: Settler, digests: list[bytes | None]) -> list[int]:
    """Fill in what the cache knows; return the positions it does not."""
    known = [at for at, digest in enumerate(digests) if digest is not None]
    found, vectors = settler.cached.get([digest for digest in digests if digest is not None])
    rows = [known[at] for at in found]
    answers.vectors[rows] = vectors
    return sorted(set(range(len(digests))) - set(rows))


def _request(
    settler: Settler, values: list[Any], digests: list[bytes | None], answers: _Answers
) -> Request:
    sizes = np.array([_size(value) for value in values], dtype=np.int64)
    text = all(isinstance(value, str) for value in values)
    tokens = estimate_tokens(settler.caller.function, values, sizes, text)
    return Request(values, digests, tokens, sizes, [Segment(answers, np.arange(len(values)))])


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    return len(value) if isinstance(value, (bytes, bytearray)) else 0


def _digest(value: Any) -> bytes | None:
    """Return the content hash of text and bytes. Other inputs are not cached."""
    return hash_value(value) if isinstance(value, (str, bytes, bytearray)) else None
