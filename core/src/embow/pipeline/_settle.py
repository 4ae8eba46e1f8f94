"""Get vectors for a request whatever it takes: cut it, find what is at fault, shorten it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from embow.embeddings._retry import CallFailedError, describe, final_error
from embow.embeddings.types import Failure, FailureKind
from embow.errors import BadInputError, EmbowError, PermanentError
from embow.pipeline._calls import Caller, bad_output, unusable
from embow.pipeline._longer import LongInputs
from embow.pipeline._requests import Caps, Request, Vectors

if TYPE_CHECKING:
    from embow.pipeline._cached import CachedVectors
    from embow.pipeline._rider import Rider

REFUSED_IN_A_ROW = 64
"""Inputs refused one after another, with none accepted ever, before the settings are blamed."""
REQUEST_ITEMS = 128
"""Inputs in one of several requests at once. A provider may take more, but then one long answer
is waited for where several short ones could come in together."""
LOCAL_ITEMS = 512
"""Inputs in the first call of a local model."""
LOCAL_ITEMS_MOST = 4096
LOCAL_SECONDS = 1.0
"""A local call shorter than this is followed by one twice as large."""

_LARGEST_RIDER = 256 * 1024
_INPUT_KINDS = frozenset(
    {FailureKind.BAD_INPUT, FailureKind.TOO_LONG, FailureKind.TOO_LARGE, FailureKind.BAD_OUTPUT}
)


class RowFailedError(Exception):
    """A row could not be embedded and the call is to stop at it."""

    def __init__(self, row: int, error: EmbowError, cause: BaseException) -> None:
        super().__init__(str(error))
        self.row = row
        self.error = error
        self.cause = cause


class Settler:
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
        self._rider = rider if rider is not None and self._fits(rider) else None
        self._lock = threading.Lock()
        self._refused = 0
        self._accepted = False
        self._local_items = LOCAL_ITEMS

    def caps(self) -> Caps:
        """Return what a request may hold by the declared limits and by what was learned."""
        caller = self.caller
        limits, limiter = caller.limits, caller.limiter
        if not caller.function.remote and caller.at_once == 1:
            preferred = self._local_items
        elif caller.at_once == 1 or limits.requests_per_minute or limiter.requests_run_short:
            preferred = LOCAL_ITEMS_MOST
        else:
            preferred = REQUEST_ITEMS
        caps = Caps(
            items=min(filter(None, (limits.max_items, limiter.max_items, preferred))),
            tokens=limits.max_tokens_per_request,
            size=min(filter(None, (limits.max_bytes_per_request, limiter.max_bytes)), default=None),
        )
        rider = self._rider
        return caps if rider is None or not rider.waiting else caps.less(rider.size)

    def settle(self, request: Request, guilty: CallFailedError | None = None) -> bool:
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
                return self._halve(request)
        return self._ask(request)

    def _ask(self, request: Request, again: bool = True) -> bool:
        clock = self.caller.context.clock
        started = clock.monotonic()
        try:
            vectors = self._call(request)
        except CallFailedError as failed:
            return self._failed(request, failed)
        self._accepted = True
        seconds = clock.monotonic() - started
        # Large calls suit a fast model; a slow one should still show progress.
        if seconds < LOCAL_SECONDS:
            self._local_items = min(LOCAL_ITEMS_MOST, self._local_items * 2)
        return self._answered(request, vectors, seconds, again)

    def _call(self, request: Request) -> Vectors:
        """Ask for a request, the first time together with the stored source that rides along."""
        tokens, rider = int(request.tokens.sum()), self._rider
        if rider is None or not rider.board():
            return self.caller.call(request.values, tokens)
        if self.caller.limits.max_items == 1:
            self._compare(rider, self.caller.call([rider.value], 0))
            return self.caller.call(request.values, tokens)
        try:
            vectors = self.caller.call([*request.values, rider.value], tokens)
        except CallFailedError as failed:
            if failed.failure.kind not in _INPUT_KINDS:
                raise
            return self.caller.call(request.values, tokens)  # whose fault it was shows without it
        self._compare(rider, vectors)
        return vectors[:-1]

    def _compare(self, rider: Rider, vectors: Vectors) -> None:
        try:
            rider.compare(vectors[-1])
        except EmbowError:
            self.cached.drop()  # what other requests of the call put there is not the column's
            raise

    def _fits(self, rider: Rider) -> bool:
        """Tell whether a source may ride: one that is cut or averaged has no vector to compare."""
        most = self.longer.most
        return (most is None or rider.size <= most) and rider.size <= _LARGEST_RIDER

    def _answered(self, request: Request, vectors: Vectors, seconds: float, again: bool) -> bool:
        bad = unusable(vectors)
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
            what = (
                "not a finite number" if not np.isfinite(vectors[bad[at]]).all() else "only zeros"
            )
            self.refuse(rest.cut(at, at + 1), bad_output(f"The vector returned holds {what}."))
        return False

    def _keep(self, request: Request, vectors: Vectors, seconds: float) -> None:
        """Write to the cache first: once paid, a vector must survive whatever comes next."""
        self.cached.put(request, vectors, seconds)
        request.deliver(vectors)

    def _failed(self, request: Request, failed: CallFailedError) -> bool:
        kind = failed.failure.kind
        if kind not in _INPUT_KINDS or self.caller.wrong_length:
            row = request.position()
            raise final_error(self.caller.function, failed, row) from failed.error
        if kind is FailureKind.TOO_LARGE and len(request) > 1:
            self.caller.limiter.too_large(len(request), int(request.sizes.sum()))
            return self._halve(request)
        if len(request) > 1:
            return self._isolate(request, failed)
        if kind in (FailureKind.TOO_LONG, FailureKind.TOO_LARGE):
            shorter = self.longer.shorten(request)
            if shorter is not None:
                return self.settle(shorter)
        self.refuse(request, failed)
        return False

    def _halve(self, request: Request) -> bool:
        left, right = request.halves()
        fine = self.settle(left)
        return self.settle(right) and fine

    def _isolate(self, request: Request, failed: CallFailedError) -> bool:
        named = _named(failed, len(request))
        if named:
            return self._accuse(request, named, failed)
        left, right = request.halves()
        unblamed = CallFailedError(Failure(failed.failure.kind), failed.error, failed.attempts)
        if self.settle(left):
            return self.settle(right, guilty=unblamed)
        self.settle(right)
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
        return (not rest or self.settle(request.pick(rest))) and fine

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
            hopeless = not self._accepted and self._refused >= REFUSED_IN_A_ROW
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


def _named(failed: CallFailedError, count: int) -> dict[int, BaseException]:
    """Return the errors of the inputs a provider named, by position in the request."""
    named: dict[int, BaseException] = {}
    if failed.failure.index is not None:
        named[failed.failure.index] = failed.error
    if isinstance(failed.error, BadInputError):
        named.update(failed.error.others)
    return {at: error for at, error in sorted(named.items()) if 0 <= at < count}
