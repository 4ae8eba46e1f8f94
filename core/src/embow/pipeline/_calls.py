"""One provider call: through the limiter, again where it may pass, its answer checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from embow._cancel import Cancellation
from embow.embeddings._base import EmbeddingFunction
from embow.embeddings._calling import call_once
from embow.embeddings._made import WrongLengthError, read_vectors
from embow.embeddings._retry import (
    CallFailedError,
    RetryPolicy,
    attempt_call,
    failure_of,
    kind_name,
)
from embow.embeddings.types import CallRecord, Failure, FailureKind, VectorForm
from embow.errors import BadOutputError
from embow.pipeline._clock import Clock
from embow.pipeline._limiter import AccountLimiter, limiter_of
from embow.pipeline._requests import Caps, Ints, Vectors
from embow.pipeline._sharedlimits import SharedLimits
from embow.pipeline._types import RequestEvent
from embow.pipeline._usage import UsageCounter

if TYPE_CHECKING:
    from embow.embeddings._provider import Provider
    from embow.embeddings.types import Role

Observer = Callable[[RequestEvent], None]

REQUEST_ITEMS = 128
"""Inputs in one of several requests at once. A provider may take more, but then one long answer
is waited for where several short ones could come in together."""
LOCAL_ITEMS = 64
"""Inputs in the first call of a local model."""
LOCAL_ITEMS_MOST = 4096
LOCAL_SECONDS = 3.0
"""A local call shorter than this is followed by one twice as large."""


@dataclass(frozen=True, slots=True)
class CallContext:
    """What all calls of one pipeline run share.

    Attributes:
        clock: Time and waiting.
        cancelled: Set when no further call may start.
        usage: Where requests and tokens are counted.
        observers: Told of each request.
        shared: Limits shared with other processes, where there is a cache file.
        deadline: Seconds for one call, waits and repetitions included.
    """

    clock: Clock
    cancelled: Cancellation
    usage: UsageCounter
    observers: Sequence[Observer]
    shared: SharedLimits | None
    deadline: float


_ONE = VectorForm()


@dataclass(frozen=True, slots=True)
class Work:
    """What one kind of call asks of a provider.

    Attributes:
        role: What the inputs are.
        compute: Asks the provider.
        read: Returns the numbers of an answer to so many inputs, a row each, or raises what
            `BadOutputError` there is to raise.
        ndims: Length of the vectors; 0 where the answer is none.
        form: What is made of an input.
        count: Counts the tokens of inputs exactly, where somebody can.
    """

    role: Role | Literal["rerank"]
    compute: Callable[[list[Any]], Any]
    read: Callable[[Any, int], Vectors]
    ndims: int = 0
    form: VectorForm = _ONE
    count: Callable[[list[Any]], list[int]] | None = None


def embedding(function: EmbeddingFunction, role: Role, ndims: int) -> Work:
    """Return the work of embedding inputs in one role."""
    document = role == "document"
    form = function.vector_form()
    own = type(function).count_tokens is not EmbeddingFunction.count_tokens
    return Work(
        role,
        function.compute_source_embeddings if document else function.compute_query_embeddings,
        lambda answer, count: read_vectors(answer, count, ndims, form),
        ndims,
        form,
        function.count_tokens if own else None,
    )


class Caller:
    """Calls one provider for one kind of work."""

    def __init__(
        self,
        function: Provider,
        work: Work,
        context: CallContext,
        at_once: int | None = None,
    ) -> None:
        self.function = function
        self.work = work
        self.limits = limits = function.limits()
        # For requests that need a count of every input, a function that counts by itself is asked.
        counted = limits.max_tokens_per_request or limits.tokens_per_minute or function.remote
        self.exact = work.count is not None and bool(counted)
        self.limiter: AccountLimiter = limiter_of(function)
        # Only calls that leave the machine have limits to share with other processes.
        self.shared = context.shared if function.remote else None
        # One where calls must not overlap, whatever is asked.
        most = max(1, limits.max_concurrency)
        self.at_once = most if at_once is None or most == 1 else max(1, at_once)
        self.context = context
        self._local_items = LOCAL_ITEMS

    def caps(self) -> Caps:
        """Return what a request may hold by the declared limits and by what was learned."""
        limits, limiter = self.limits, self.limiter
        if not self.function.remote and self.at_once == 1:
            preferred = self._local_items
        elif self.at_once == 1 or limits.requests_per_minute or limiter.requests_run_short:
            preferred = LOCAL_ITEMS_MOST
        else:
            preferred = REQUEST_ITEMS
        return Caps(
            items=min(filter(None, (limits.max_items, limiter.max_items, preferred))),
            tokens=limits.max_tokens_per_request,
            size=min(filter(None, (limits.max_bytes_per_request, limiter.max_bytes)), default=None),
        )

    def estimate(self, values: list[Any], sizes: Ints, is_text: bool) -> Ints:
        """Return the estimated tokens of each input, by the function where it counts itself.

        Otherwise one token for every four bytes of text, and one for any other input.
        """
        if self.exact and self.work.count is not None:
            return np.array(self.work.count(values), dtype=np.int64)
        if not is_text:
            return np.ones(len(values), dtype=np.int64)
        return np.maximum(1, (sizes + 3) // 4)

    def call(self, values: list[Any], tokens: int, most_retries: int | None = None) -> Vectors:
        """Return the numbers for each value: a vector, shape ``(len(values), ndims)``, or a score.

        Numbers may still be unusable; see :func:`unusable`. ``most_retries`` lowers the
        function's own ``max_retries``.

        Raises:
            CallFailedError: The provider failed for good, or answered with the wrong shape.
            BudgetExceededError: The call is not covered.
            StopWork: The run was cancelled.
        """
        context = self.context
        usage = context.usage
        held = 0.0 if usage.budget is None else usage.hold(tokens)
        one = _OneCall(self, values, tokens)
        retries = self.function.max_retries
        policy = RetryPolicy(
            max_retries=retries if most_retries is None else min(retries, most_retries),
            deadline=context.deadline,
            clock=context.clock.monotonic,
            sleep=lambda seconds: context.clock.wait(seconds, context.cancelled),
        )
        try:
            vectors = attempt_call(self.function, one.attempt, policy)
        finally:
            if held:
                usage.release(held)
        # Large calls suit a fast model; a slow one should still show progress.
        if one.seconds < LOCAL_SECONDS:
            self._local_items = min(LOCAL_ITEMS_MOST, self._local_items * 2)
        return vectors


@dataclass(slots=True)
class _OneCall:
    """The attempts of one call. One thread runs them."""

    _caller: Caller
    _values: list[Any]
    _tokens: int
    seconds: float = 0.0
    _record: CallRecord = field(default_factory=CallRecord)
    _until: float | None = None
    _number: int = 0
    _sent: bool = False

    def attempt(self, number: int) -> Vectors:
        caller, context = self._caller, self._caller.context
        self._number, self._sent, self._record = number, False, CallRecord()
        caller.limiter.enter(caller.at_once, context.cancelled)
        if self._until is None:  # waiting for the other requests of a call is no fault of this one
            self._until = context.clock.monotonic() + context.deadline
        try:
            caller.limiter.admit(
                self._tokens,
                caller.limits,
                context.clock,
                context.cancelled,
                self._until - context.clock.monotonic(),
                caller.shared,
            )
            vectors = self._send(self._until)
            caller.limiter.succeeded(self._record.rate, context.clock)
        except Exception as error:
            self._failed(error)
            raise
        finally:
            caller.limiter.leave()
        context.usage.spent(self._tokens, self._record.tokens)
        if context.observers:
            self._tell("ok")
        return vectors

    def _send(self, until: float) -> Vectors:
        caller, clock = self._caller, self._caller.context.clock
        self._sent = True
        started = clock.monotonic()
        one = partial(caller.work.compute, self._values)
        try:
            answer = call_once(caller.function, one, self._record, until - started, clock.wait_for)
            return caller.work.read(answer, len(self._values))
        finally:
            self.seconds = clock.monotonic() - started
            caller.context.usage.attempt(max(1, self._record.requests))

    def _failed(self, error: Exception) -> None:
        """Tell the limiter and the observers of a failed attempt, while the place is still held."""
        if not self._sent:
            return  # the wait for the limiter was too long: nothing was asked of the provider
        caller, context = self._caller, self._caller.context
        failure = failure_of(caller.function, error)
        if failure.kind.fatal or isinstance(error, WrongLengthError):
            context.cancelled.set()  # before the next in line is let in to fail in the same way
        caller.limiter.failed(failure, self._record.rate, context.clock.time(), caller.shared)
        if context.observers:
            self._tell(kind_name(failure.kind))

    def _tell(self, outcome: str) -> None:
        caller = self._caller
        reported = self._record.tokens
        event = RequestEvent(
            provider=caller.function.name_of_provider(),
            model=caller.function.model_label(),
            role=caller.work.role,
            items=len(self._values),
            tokens=self._tokens if reported is None else reported,
            seconds=self.seconds,
            attempt=self._number,
            outcome=outcome,
            ndims=caller.work.ndims or None,
            server=_server(caller.function),
        )
        for observer in caller.context.observers:
            observer(event)


def _server(function: Provider) -> str | None:
    """Return the host a function calls, where its settings name one."""
    from urllib.parse import urlsplit

    url = getattr(function, "base_url", None)
    return urlsplit(url).hostname if isinstance(url, str) else None


def bad_output(message: str) -> CallFailedError:
    """Return the failure of an answer whose numbers are unusable."""
    return CallFailedError(Failure(FailureKind.BAD_OUTPUT), BadOutputError(message), 1)
