"""Inputs over a model's token limit: shortened, split, or refused, and never silently."""

from __future__ import annotations

import inspect
import threading
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embow.embeddings._base import EmbeddingFunction
from embow.embeddings._made import ragged
from embow.embeddings._retry import CallFailedError, label
from embow.embeddings.remote import size_of
from embow.embeddings.types import Failure, FailureKind
from embow.errors import InputTooLongError
from embow.pipeline._requests import Ints, Request, Segment, Target, Vectors, join
from embow.pipeline._sources import hash_value

if TYPE_CHECKING:
    from embow.pipeline._types import OnLong

Refuse = Callable[[Request, CallFailedError], None]
Known = Callable[[Request], "Request | None"]

_SHORTEST = 16
"""Tokens below which an input is not cut further: if that is too long, its length is not it."""


class InputTruncatedWarning(UserWarning):
    """Inputs were longer than the model accepts and were cut."""


LEFT_TO_CALLER: ContextVar[list[str] | None] = ContextVar("left_to_caller", default=None)
"""Where set, warnings are put there for whoever waits: on another thread no line is the user's."""


def warn_user(text: str) -> None:
    """Warn of inputs that were cut, at the user's line."""
    left = LEFT_TO_CALLER.get()
    if left is None:
        warnings.warn(text, InputTruncatedWarning, stacklevel=_stacklevel_of_user())
    else:
        left.append(text)


def _stacklevel_of_user() -> int:
    """Return how far above the caller the first line is that is neither embow's nor a plugin's."""
    level, frame = 0, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("embow"):
        level, frame = level + 1, frame.f_back
    return level


@dataclass(slots=True)
class LongInputs:
    """The policy for inputs that are too long for one function.

    The length is a count by the function's own ``count_tokens``. For a remote function it is
    taken as an estimate: ``error`` still sends the input alone and lets the provider judge. A
    local model cuts its input without a word, so there the count decides.
    """

    function: EmbeddingFunction
    policy: OnLong
    most: int | None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _cut: int = 0

    def fitted(
        self, request: Request, refuse: Refuse, exact: bool, known: Known | None = None
    ) -> list[Request]:
        """Return a request with inputs that are too long shortened, split, or refused.

        Args:
            request: Inputs of any length.
            refuse: Called with a single input that is not to be sent, and why.
            exact: Whether ``request.tokens`` come from the function rather than from the size.
            known: Delivers what the cache has of a derived request and returns the rest.
        """
        if self.most is None:
            return [request]
        replaced: dict[int, Request | None] = {}
        # A text of so many bytes has at most so many tokens, so short texts are never counted.
        suspects = np.flatnonzero((request.tokens if exact else request.sizes) > self.most)
        for at in suspects.tolist():
            outcome = self._fit(request, at)
            if isinstance(outcome, CallFailedError):
                refuse(request.cut(at, at + 1), outcome)
                replaced[at] = None
            elif outcome is not None:
                replaced[at] = known(outcome) if known is not None else outcome
        if not replaced:
            return [request]
        kept = [at for at in range(len(request)) if at not in replaced]
        others = [new for new in replaced.values() if new is not None]
        return [*([request.pick(kept)] if kept else []), *([join(others)] if others else [])]

    def _fit(self, request: Request, at: int) -> Request | CallFailedError | None:
        """Return what to send for a long input: itself, a shorter one, its pieces, or a refusal.

        ``None`` stands for the input as it is.
        """
        assert self.most is not None
        value = request.values[at]
        if not isinstance(value, str):
            return None
        count = self.function.count_tokens([value])[0]
        if count <= self.most:
            return None
        if self.policy == "error":
            return None if self.function.remote else self._refusal(count)
        one = request.cut(at, at + 1)
        cut = self._pieces if self.policy == "split" else self._shorter
        return cut(one, self.most)

    def shorten(self, request: Request) -> Request | None:
        """Return what to send after the provider said that a single input is too long."""
        if self.policy == "error" or not isinstance(request.values[0], str):
            return None
        count = self.function.count_tokens(request.values)[0]
        most = min(self.most or count, count // 2)
        if most < _SHORTEST:
            return None
        cut = self._pieces if self.policy == "split" else self._shorter
        return cut(request, most)

    def warn(self) -> None:
        """Warn of the inputs cut so far, if any. Called once, when all are through."""
        if not self._cut:
            return
        limit = f" ({self.most} tokens)" if self.most else ""
        warn_user(
            f"{label(self.function)}: {self._cut} input(s) were longer than the model accepts"
            f"{limit} and were cut. Pass on_long='split' to embed all of a long text, or "
            "on_long='error' to be told instead."
        )

    def _shorter(self, request: Request, most: int) -> Request | None:
        value = self.function.truncate(request.values[0], most)
        if value == request.values[0]:
            return None
        with self._lock:
            self._cut += 1
        segment = request.segments[0]
        return _derived(self.function, [value], segment)

    def _pieces(self, request: Request, most: int) -> Request | None:
        pieces = split(self.function, request.values[0], most)
        if len(pieces) < 2:
            return None
        weights = np.array(self.function.count_tokens(pieces), dtype=np.float64)
        owner = request.segments[0]
        target = Pieces(owner.target, int(owner.rows[0]), weights)
        return _derived(self.function, pieces, Segment(target, np.arange(len(pieces))))

    def _refusal(self, count: int) -> CallFailedError:
        error = InputTooLongError(
            f"The input has {count} tokens and the model takes {self.most}. Pass "
            "on_long='truncate' or on_long='split'."
        )
        return CallFailedError(Failure(FailureKind.TOO_LONG), error, 0)


def _derived(function: EmbeddingFunction, values: list[Any], segment: Segment) -> Request:
    """Return a request of inputs made from others. They are cached as what they are."""
    return Request(
        values,
        [hash_value(value) for value in values],
        np.array(function.count_tokens(values), dtype=np.int64),
        np.array([size_of(value) for value in values], dtype=np.int64),
        [segment],
    )


def split(function: EmbeddingFunction, text: Any, most: int) -> list[str]:
    """Return a text in pieces of about ``most`` tokens, cut where white space allows."""
    if not isinstance(text, str):
        return [text]
    pieces: list[str] = []
    rest = text
    while rest:
        head = function.truncate(rest, most)
        if not head or not rest.startswith(head):  # a tokenizer's decoding may differ
            share = most / max(1, function.count_tokens([rest])[0])
            head = rest[: max(1, int(len(rest) * share))]
        if len(head) < len(rest):
            space = head.rfind(" ", len(head) // 2)
            head = head[: space + 1] if space > 0 else head
        rest = rest[len(head) :]
        if head.strip():
            pieces.append(head)
    return pieces


class Pieces:
    """Gathers the vectors of the pieces of one input and hands on their mean.

    Where an input has several vectors, it hands on all. The mean is weighted by tokens; where all
    pieces have length 1, so has the mean.
    """

    def __init__(self, owner: Target, row: int, weights: NDArray[np.float64]) -> None:
        self._owner = owner
        self._row = row
        self._weights = weights
        self._vectors: list[Vectors | None] = [None] * len(weights)
        self._failed = False
        self._lock = threading.Lock()

    def store(self, rows: Ints, vectors: Vectors) -> None:
        """Take the vectors of some pieces."""
        with self._lock:
            for row, vector in zip(rows.tolist(), vectors, strict=True):
                self._vectors[row] = vector.copy()
            whole = [vector for vector in self._vectors if vector is not None]
            done = len(whole) == len(self._weights) and not self._failed
        if done:
            self._owner.store(np.array([self._row]), vectors_of_whole(whole, self._weights))

    def fail(self, row: int, failed: CallFailedError) -> None:
        """Fail the whole input, once."""
        with self._lock:
            first, self._failed = not self._failed, True
        if first:
            self._owner.fail(self._row, failed)

    def position(self, row: int) -> int:
        """Return where the whole input stands in the data given to the call."""
        return self._owner.position(self._row)


def vectors_of_whole(pieces: list[Vectors], weights: NDArray[np.float64]) -> Vectors:
    """Return what stands for one input of several pieces: all their vectors, or the mean."""
    if pieces[0].ndim > 1:
        return ragged([np.concatenate(pieces)])
    return mean_of_pieces(np.stack(pieces), weights)[np.newaxis]


def mean_of_pieces(vectors: Vectors, weights: NDArray[np.float64]) -> Vectors:
    """Return the weighted mean of vectors, of length 1 where all of them are."""
    mean = np.average(vectors.astype(np.float64), axis=0, weights=weights)
    lengths = np.linalg.norm(vectors, axis=1)
    length = np.linalg.norm(mean)
    if np.allclose(lengths, 1, atol=1e-3) and length > 0:
        mean /= length
    return mean.astype(np.float32)
