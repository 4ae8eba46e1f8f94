"""Get vectors for a request whatever it takes: cut it, find what is at fault, shorten it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from embow.embeddings._made import WrongLengthError, unusable
from embow.embeddings._retry import CallFailedError, describe, final_error
from embow.embeddings.classify import connection_dropped, http_status, most_items
from embow.embeddings.types import Failure, FailureKind
from embow.errors import BadInputError, EmbowError, PermanentError
from embow.pipeline._calls import Caller, bad_output
from embow.pipeline._longer import LongInputs
from embow.pipeline._requests import Caps, Queue, Request, Vectors
from embow.pipeline._rider import Rider, call_along

if TYPE_CHECKING:
    from embow.pipeline._cached import CachedVectors

REFUSED_IN_A_ROW = 64
"""Inputs refused one after another, with none accepted ever, before the settings are blamed."""
BROKEN_IN_A_ROW = 8
"""Single inputs a server broke at, with none answered between, before an outage is suspected."""

_BROKEN = {424, 500, 502}
"""Statuses of a server that fell over a request, or of one before it."""


class RowFailedError(Exception):
    """A row could not be embedded and the call is to stop at it."""

    def __init__(self, row: int, error: EmbowError, cause: BaseException) -> None:
        super().__init__(str(error))
        self.row = row
        self.error = error
        self.cause = cause


class Embedder:
    """Embeds requests of one function in one role, from any thread."""

    def __init__(
        self,
        caller: Caller,
        longer: LongInputs,
        cached: CachedVectors,
        stop_at_failure: bool,
        rider: Rider | None = None,
    ) -> None:
        self.caller = caller
        self.longer = longer
        self.cached = cached
        self._stop_at_failure = stop_at_failure
        self._rider = rider if rider is not None and rider.fits(longer.most) else None
        self._lock = threading.Lock()
        self._refused = 0
        self._answered_before: list[Any] = []

    def caps(self) -> Caps:
        """Return what a request may hold by the declared limits and by what was learned."""
        caps = self.caller.caps()
        rider = self._rider
        return caps if rider is None or not rider.waiting else caps.less(rider.size)

    def embed(self, request: Request, guilty: CallFailedError | None = None) -> bool:
        """Embed a request and deliver its vectors; return whether every input got one.

        ``guilty`` is the failure of a larger request whose fault must be in this part, since
        the other part was fine. Asking for the whole of it again would be a wasted request.

        Raises:
            RowFailedError: An input failed and the policy is to stop there.
            EmbowError: Nothing with this function can succeed now.
            StopWork: The run was cancelled.
        """
        if len(request.values) > 1:
            if guilty is not None:
                return self._isolate(request, guilty)
            self.caller.limiter.await_turn(self.caller.at_once, self.caller.context.cancelled)
            if self.caps().exceeded_by(request):  # the limits were learned after it was packed
                return self._repack(request)
        return self._ask(request)

    def _ask(self, request: Request, again: bool = True) -> bool:
        try:
            vectors, seconds = self._call(request)
        except CallFailedError as failed:
            return (self._broke if _server_broke(failed) else self._failed)(request, failed)
        return self._answered(request, vectors, seconds, again)

    def _call(self, request: Request, most_retries: int | None = None) -> tuple[Vectors, float]:
        """Return the vectors of a request, and the seconds they took."""
        tokens, rider, caller = int(request.tokens.sum()), self._rider, self.caller
        clock = caller.context.clock
        started = clock.monotonic()
        if rider is None or not rider.board():
            vectors = caller.call(request.values, tokens, most_retries)
        else:
            vectors = self._along(rider, request, tokens)
        self._answered_before = request.values[:1]
        return vectors, clock.monotonic() - started

    def _along(self, rider: Rider, request: Request, tokens: int) -> Vectors:
        """Ask for a request together with the stored source that rides along."""
        alone = self.caller.limits.max_items == 1
        vectors, again = call_along(rider, self.caller.call, request.values, tokens, alone)
        try:
            rider.compare(again)
        except EmbowError:
            self.cached.drop()  # what other requests of the call put there is not the column's
            raise
        return vectors

    def _answered(self, request: Request, vectors: Vectors, seconds: float, again: bool) -> bool:
        bad = unusable(vectors, self.caller.work.form)
        if not len(bad):
            self._keep(request, vectors, seconds)
            return True
        good = np.setdiff1d(np.arange(len(request)), bad)
        if len(good):
            self._keep(request.pick(good.tolist()), vectors[good], seconds)
        rest = request.pick(bad.tolist())
        if again:  # a server under load may do this once
            return self._ask(rest, again=False)
        for at in range(len(rest)):
            found = vectors[bad[at]]
            finite = "only zeros" if found.size else "no vector"
            what = finite if np.isfinite(found).all() else "not a finite number"
            self.refuse(rest.cut(at, at + 1), bad_output(f"The vector returned holds {what}."))
        return False

    def _keep(self, request: Request, vectors: Vectors, seconds: float) -> None:
        """Write to the cache first: once paid, a vector must survive whatever comes next."""
        self.cached.put(request, vectors, seconds)
        request.deliver(vectors)

    def _failed(self, request: Request, failed: CallFailedError) -> bool:
        kind = failed.failure.kind
        if not kind.of_inputs or isinstance(failed.error, WrongLengthError):
            raise self._end(request, failed) from failed.error
        if kind is FailureKind.TOO_LARGE and len(request) > 1:
            most = most_items(failed.error)
            self.caller.limiter.too_large(len(request), int(request.sizes.sum()), most)
            return self._repack(request)
        if len(request) > 1:
            if kind is FailureKind.BAD_OUTPUT and not self._answered_before:
                return self._try_one(request, failed)
            return self._isolate(request, failed)
        if kind in (FailureKind.TOO_LONG, FailureKind.TOO_LARGE):
            shorter = self.longer.shorten(request)
            if shorter is not None:
                return self.embed(shorter)
        self.refuse(request, failed)
        return False

    def _end(self, request: Request, failed: CallFailedError) -> EmbowError:
        return final_error(self.caller.function, failed, request.position())

    def _repack(self, request: Request) -> bool:
        """Embed a request in several of the size that is allowed by now."""
        queue, fine = Queue(), True
        queue.put(request)
        while queue.items:
            fine = self.embed(queue.take(self.caps())) and fine
        return fine

    def _try_one(self, request: Request, failed: CallFailedError) -> bool:
        """Go on after an unusable answer only where one input alone gets a usable one.

        A server that never gave one would else be paid for every half of a half.
        """
        first, rest = request.cut(0, 1), request.cut(1, len(request))
        fine = self._retried(first, lambda again: again.failure.kind is FailureKind.BAD_OUTPUT)
        if isinstance(fine, CallFailedError):
            raise self._end(request, failed) from failed.error
        return self.embed(rest) and fine

    def _broke(self, request: Request, failed: CallFailedError) -> bool:
        """Find the inputs a server breaks at while it answers others.

        In an outage everything fails, so an input is given up only where the server answers again
        what it answered before, and the input fails once more after that.
        """
        fine, in_a_row = True, 0
        parts = list(reversed(request.halves())) if len(request) > 1 else []
        suspects = [] if parts else [request]
        while parts:
            part = parts.pop()
            outcome = self._retried(part, _server_broke)
            if isinstance(outcome, bool):
                fine, in_a_row = outcome and fine, 0
            elif len(part) > 1:
                parts += reversed(part.halves())
            else:
                suspects.append(part)
                in_a_row += 1
            if in_a_row == BROKEN_IN_A_ROW:
                self._require_answer(request, failed)
                in_a_row = 0
        if suspects:
            self._require_answer(request, failed)
        for part in suspects:
            outcome = self._retried(part, _server_broke)
            if isinstance(outcome, CallFailedError):
                self.refuse(part, outcome)
                outcome = False
            fine = outcome and fine
        return fine

    def _require_answer(self, request: Request, failed: CallFailedError) -> None:
        """Raise what a request failed with, unless the server answers what it answered before."""
        if self._answered_before:
            with suppress(CallFailedError):
                self.caller.call(self._answered_before, 0, most_retries=1)
                return
        raise self._end(request, failed) from failed.error

    def _retried(
        self, part: Request, same: Callable[[CallFailedError], bool]
    ) -> bool | CallFailedError:
        """Ask for part of a request that failed; return how it failed, where it is the same."""
        try:
            vectors, seconds = self._call(part, most_retries=1)
        except CallFailedError as again:
            return again if same(again) else self._failed(part, again)
        return self._answered(part, vectors, seconds, again=True)

    def _isolate(self, request: Request, failed: CallFailedError) -> bool:
        named = _named(failed, len(request))
        if named:
            return self._accuse(request, named, failed)
        left, right = request.halves()
        unblamed = CallFailedError(Failure(failed.failure.kind), failed.error, failed.attempts)
        if self.embed(left):
            return self.embed(right, guilty=unblamed)
        self.embed(right)
        return False

    def _accuse(
        self, request: Request, named: dict[int, BaseException], failed: CallFailedError
    ) -> bool:
        """Deal with the inputs the provider named, then with the others."""
        fine = True
        for index, error in named.items():
            alone = CallFailedError(Failure(failed.failure.kind), error, failed.attempts)
            fine = self._failed(request.cut(index, index + 1), alone) and fine
        rest = [at for at in range(len(request)) if at not in named]
        return (not rest or self.embed(request.pick(rest))) and fine

    def refuse(self, request: Request, failed: CallFailedError) -> None:
        """Give up on the single input of a request.

        Raises:
            RowFailedError: The policy is to stop there.
            PermanentError: Every input was refused so far.
        """
        position = request.position()
        error = final_error(self.caller.function, failed, position)
        if self._stop_at_failure:
            raise RowFailedError(position, error, failed.error)
        with self._lock:
            self._refused += 1
            hopeless = not self._answered_before and self._refused >= REFUSED_IN_A_ROW
        if hopeless:
            raise PermanentError(
                f"{self._refused} inputs were refused one after another and none was accepted: "
                f"the settings are at fault rather than the rows. Last answer: "
                f"{describe(self.caller.function, failed.error)}",
                provider=self.caller.function.name_of_provider(),
                model=self.caller.function.model_label(),
                row=position,
            ) from failed.error
        segment = request.segments[0]
        segment.target.fail(int(segment.rows[0]), failed)


def _server_broke(failed: CallFailedError) -> bool:
    """Whether a server fell over a request, rather than being out of reach."""
    if failed.failure.kind is not FailureKind.TRANSIENT:
        return False
    return http_status(failed.error) in _BROKEN or connection_dropped(failed.error)


def _named(failed: CallFailedError, count: int) -> dict[int, BaseException]:
    """Return the errors of the inputs a provider named, by position in the request."""
    named: dict[int, BaseException] = {}
    if failed.failure.index is not None:
        named[failed.failure.index] = failed.error
    if isinstance(failed.error, BadInputError):
        named.update(failed.error.others)
    return {at: error for at, error in sorted(named.items()) if 0 <= at < count}
