"""Inputs on their way to a provider: how they are queued, packed, halved and delivered."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from embow.embeddings._retry import CallFailedError
from embow.embeddings.remote import fitting
from embow.embeddings.types import VectorForm

Ints = NDArray[np.int64]
Vectors = NDArray[np.float32]
"""A row an input; of objects, each an array of several vectors, where a function makes these."""


def blank_vectors(count: int, ndims: int, form: VectorForm) -> Vectors:
    """Return where the vectors of so many inputs are gathered."""
    return np.empty(count, object) if form.multi else np.empty((count, ndims), np.float32)


def bytes_of(vectors: Vectors) -> int:
    """Return how many bytes vectors take."""
    if vectors.dtype != object:
        return vectors.nbytes
    return sum(each.nbytes for each in vectors)


class Target(Protocol):
    """Where the vectors of inputs go."""

    def store(self, rows: Ints, vectors: Vectors) -> None:
        """Take the vectors of some rows."""
        ...

    def fail(self, row: int, failed: CallFailedError) -> None:
        """Take note that a row has no vector."""
        ...

    def position(self, row: int) -> int:
        """Return the row's position in the data given to the call."""
        ...


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows of one target, in a request."""

    target: Target
    rows: Ints

    def cut(self, start: int, stop: int) -> Segment:
        """Return part of the rows."""
        return Segment(self.target, self.rows[start:stop])


@dataclass(frozen=True, slots=True)
class Request:
    """Inputs of one provider call, in order, and where their vectors go.

    Attributes:
        values: The inputs.
        digests: Their cache digests, ``None`` where an input cannot be cached.
        tokens: Their estimated tokens.
        sizes: Their bytes.
        segments: Where the vectors go, in the same order.
    """

    values: list[Any]
    digests: list[bytes | None]
    tokens: Ints
    sizes: Ints
    segments: list[Segment]

    def __len__(self) -> int:
        return len(self.values)

    def cut(self, start: int, stop: int) -> Request:
        """Return the inputs from ``start`` to ``stop``."""
        segments, at = [], 0
        for segment in self.segments:
            low, high = max(start - at, 0), min(stop - at, len(segment.rows))
            if low < high:
                segments.append(segment.cut(low, high))
            at += len(segment.rows)
        return Request(
            self.values[start:stop],
            self.digests[start:stop],
            self.tokens[start:stop],
            self.sizes[start:stop],
            segments,
        )

    def halves(self) -> tuple[Request, Request]:
        """Return the first and the second half."""
        middle = len(self) // 2
        return self.cut(0, middle), self.cut(middle, len(self))

    def pick(self, positions: Iterator[int] | list[int]) -> Request:
        """Return the inputs at some positions, in order."""
        return join([self.cut(at, at + 1) for at in positions])

    def deliver(self, vectors: Vectors) -> None:
        """Hand each segment its vectors."""
        at = 0
        for segment in self.segments:
            count = len(segment.rows)
            segment.target.store(segment.rows, vectors[at : at + count])
            at += count

    def position(self) -> int:
        """Return where the first input stands in the data given to the call."""
        first = self.segments[0]
        return first.target.position(int(first.rows[0]))


def join(requests: list[Request]) -> Request:
    """Return several requests as one."""
    if len(requests) == 1:
        return requests[0]
    return Request(
        [value for request in requests for value in request.values],
        [digest for request in requests for digest in request.digests],
        np.concatenate([request.tokens for request in requests]),
        np.concatenate([request.sizes for request in requests]),
        [segment for request in requests for segment in request.segments],
    )


@dataclass(frozen=True, slots=True)
class Caps:
    """What one request may hold."""

    items: int
    tokens: int | None = None
    size: int | None = None

    def less(self, size: int) -> Caps:
        """Return what is left beside one more input of so many bytes."""
        return Caps(
            max(1, self.items - 1),
            None if self.tokens is None else max(1, self.tokens - size),
            None if self.size is None else max(1, self.size - size),
        )

    def exceeded_by(self, request: Request) -> bool:
        """Whether a request of several inputs holds more than this."""
        if len(request.values) < 2:
            return False  # nothing smaller can be sent: the provider decides
        return (
            len(request.values) > self.items
            or (self.tokens is not None and int(request.tokens.sum()) > self.tokens)
            or (self.size is not None and int(request.sizes.sum()) > self.size)
        )


@dataclass(slots=True)
class Queue:
    """Inputs waiting to be packed, first come first served."""

    items: int = 0
    tokens: int = 0
    size: int = 0
    _waiting: deque[Request] = field(default_factory=deque)

    def put(self, request: Request) -> None:
        """Append inputs."""
        if request.values:
            self._waiting.append(request)
            self.items += len(request.values)
            self.tokens += int(request.tokens.sum())
            self.size += int(request.sizes.sum())

    def full_requests(self, caps: Caps) -> int:
        """Return how many full requests the waiting inputs make, about."""
        count = self.items // caps.items
        if caps.tokens:
            count = max(count, self.tokens // caps.tokens)
        if caps.size:
            count = max(count, self.size // caps.size)
        return count

    def front_position(self) -> int:
        """Return where the first waiting input stands in the data given to the call."""
        return self._waiting[0].position()

    def take(self, caps: Caps) -> Request:
        """Remove as many inputs as one request may hold, at least one, and return them."""
        parts: list[Request] = []
        items, tokens, size = caps.items, caps.tokens, caps.size
        while self._waiting and items > 0:
            first = self._waiting.popleft()
            total = len(first.values)
            count = fitting(min(items, total), ((first.tokens, tokens), (first.sizes, size)))
            if not parts:
                count = max(1, count)
            if count < total:
                self._waiting.appendleft(first.cut(count, total))
                parts += [first.cut(0, count)] if count else []
                break
            parts.append(first)
            items -= count
            tokens = None if tokens is None else tokens - int(first.tokens.sum())
            size = None if size is None else size - int(first.sizes.sum())
        taken = join(parts)
        self.items -= len(taken.values)
        self.tokens -= int(taken.tokens.sum())
        self.size -= int(taken.sizes.sum())
        return taken
