"""One limiter for each provider account: how many calls at once, how many a minute, and when.

All threads and event loops of the process share the limiter of a (provider, model, account);
processes that share a cache file share the part of it kept there.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

from embow._cancel import Cancellation
from embow._processes import in_child
from embow.embeddings.types import (
    LONGEST_PAUSE,
    Failure,
    FailureKind,
    Limits,
    RateStatus,
    provider_name,
)
from embow.errors import RateLimitError
from embow.pipeline._buckets import Bucket, declared_buckets, take_all
from embow.pipeline._clock import Clock, StopWork
from embow.pipeline._sharedlimits import SharedLimits

if TYPE_CHECKING:
    from embow.embeddings._provider import Provider


class AccountLimiter:
    """What is known of one provider account, shared by everyone who calls it.

    Until one call has succeeded only one is let through, so that a wrong key costs one request.
    After a refusal for rate the number of calls at once is halved, and grows again by one with
    each success.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self._condition = threading.Condition()
        self._proved = False
        self._running = 0
        self._declared: list[Bucket] | None = None
        self.reset()

    def reset(self) -> None:
        """Forget what the server said of rates and sizes."""
        with self._condition:
            self.max_items: int | None = None
            self.max_bytes: int | None = None
            self._ceiling = math.inf
            self._blocked_until = 0.0
            self._requests: Bucket | None = None
            self._tokens: Bucket | None = None
            self._condition.notify_all()

    @property
    def requests_run_short(self) -> bool:
        """Whether the provider's headers say that few requests are left for now."""
        bucket = self._requests
        return bucket is not None and bucket.level < 0.5 * bucket.capacity

    # -- calls at once ------------------------------------------------------------------

    def await_turn(self, at_once: int, cancelled: Cancellation) -> None:
        """Wait until a call could start.

        Raises:
            StopWork: ``cancelled`` is set.
        """
        with self._condition:
            while not cancelled.is_set():
                allowed = min(at_once, self._ceiling) if self._proved else 1
                if self._running < allowed:
                    return
                self._condition.wait(cancelled.look_every)
        raise StopWork

    def enter(self, at_once: int, cancelled: Cancellation) -> None:
        """Wait for a place among the running calls and take it.

        Raises:
            StopWork: ``cancelled`` is set.
        """
        with self._condition:
            self.await_turn(at_once, cancelled)
            self._running += 1

    def leave(self) -> None:
        """Give the place back."""
        with self._condition:
            self._running -= 1
            self._condition.notify_all()

    def wake(self) -> None:
        """Let everyone who waits look at ``cancelled`` again."""
        with self._condition:
            self._condition.notify_all()

    # -- calls a minute -----------------------------------------------------------------

    def admit(
        self,
        tokens: int,
        limits: Limits,
        clock: Clock,
        cancelled: Cancellation,
        patience: float,
        shared: SharedLimits | None,
    ) -> None:
        """Wait until the account may be called with so many tokens, and count them.

        Raises:
            RateLimitError: The wait would be longer than ``patience`` seconds.
            StopWork: ``cancelled`` is set.
        """
        until = clock.monotonic() + patience
        while (wait := self._wait(tokens, limits, clock.time(), shared)) > 0:
            if clock.monotonic() + wait > until:
                raise RateLimitError(
                    f"The account may be called again in {wait:.0f} s, past the deadline.",
                    retry_after=wait,
                )
            clock.wait(wait, cancelled)

    def _wait(self, tokens: int, limits: Limits, now: float, shared: SharedLimits | None) -> float:
        """Count one request, or return the seconds to wait first."""
        declared = bool(limits.requests_per_minute or limits.tokens_per_minute)
        stored = None
        if shared is not None:  # outside the lock: the file may be slow
            blocked = shared.blocked_until(self.key, now) - now
            if blocked > 0:
                return blocked
        with self._condition:
            wait = self._blocked_until - now
            if self._requests is not None:
                wait = max(wait, self._requests.wait_for(1, now))
            if self._tokens is not None:
                wait = max(wait, self._tokens.wait_for(tokens, now))
            if wait > LONGEST_PAUSE:  # more than a server may ask for, by whatever it said
                self._blocked_until, self._requests, self._tokens, wait = 0.0, None, None, 0.0
        if wait <= 0 and declared and shared is not None:
            stored = shared.take(self.key, limits, tokens, now)
            wait = stored or 0.0
        with self._condition:
            if wait <= 0 and declared and stored is None:
                self._declared = self._declared or declared_buckets(limits, now)
                wait = take_all(self._declared, tokens, now)
            if wait <= 0 and self._requests is not None:
                self._requests.take(1)
            if wait <= 0 and self._tokens is not None:
                self._tokens.take(tokens)
        return wait

    # -- what the provider says ---------------------------------------------------------

    def succeeded(self, rate: RateStatus | None, clock: Clock) -> None:
        """Note a call that was answered, with the rate headers of the answer."""
        with self._condition:
            self._proved = True
            if self._ceiling < math.inf:
                self._ceiling = self._ceiling + 1 if self._ceiling < 64 else math.inf
            if rate is not None:
                self._observe(rate, clock.time())
            self._condition.notify_all()

    def failed(
        self, failure: Failure, rate: RateStatus | None, now: float, shared: SharedLimits | None
    ) -> None:
        """Note a call that failed."""
        with self._condition:
            if rate is not None:
                self._observe(rate, now)
            if failure.kind is FailureKind.RATE_LIMITED:
                self._slow_down(failure.pause, now, shared)
            elif failure.kind in (FailureKind.AUTH, FailureKind.QUOTA):
                self._proved = False
            elif failure.kind.of_inputs and failure.kind is not FailureKind.BAD_OUTPUT:
                self._proved = True  # the provider judged the inputs, so it accepted the key
            self._condition.notify_all()

    def _slow_down(self, pause: float | None, now: float, shared: SharedLimits | None) -> None:
        if now >= self._blocked_until:  # one cut for all calls refused at the same time
            self._ceiling = max(1, self._running // 2)
        if pause:
            self._blocked_until = max(self._blocked_until, now + pause)
            if shared is not None:
                shared.block(self.key, self._blocked_until, now)

    def too_large(self, items: int, size: int, most: int | None = None) -> None:
        """Note that a request of so many items and bytes was too large.

        From now on ``most`` items are sent, where the provider named a number; else half as much.
        """
        with self._condition:
            if most and most < items:
                self.max_items = min(self.max_items or most, most)
                return
            self.max_items = min(self.max_items or items, max(1, items // 2))
            self.max_bytes = min(self.max_bytes or size, max(1, size // 2))

    def _observe(self, rate: RateStatus, now: float) -> None:
        self._requests = _learn(
            self._requests, rate.limit_requests, rate.remaining_requests, rate.reset_requests, now
        )
        self._tokens = _learn(
            self._tokens, rate.limit_tokens, rate.remaining_tokens, rate.reset_tokens, now
        )


def _learn(
    bucket: Bucket | None, limit: int | None, remaining: int | None, reset: float | None, now: float
) -> Bucket | None:
    """Return the bucket that rate headers describe. Without a reset the limit is taken a minute."""
    if not limit or remaining is None:
        return bucket
    if reset is not None and not 0 <= reset <= LONGEST_PAUSE:
        reset = None
    used = limit - remaining
    rate = used / reset if reset and used > 0 else limit / 60
    level = float(remaining)
    if bucket is not None:
        bucket.wait_for(0, now)
        level = min(level, bucket.level)  # calls still on their way are not in the header
    return Bucket(float(limit), rate, level, now)


_limiters: dict[str, AccountLimiter] = {}
_limiters_lock = threading.Lock()


def reset_limiters() -> None:
    """Forget what the servers of all accounts said to this process."""
    with _limiters_lock:
        for limiter in _limiters.values():
            limiter.reset()


@in_child
def _after_fork() -> None:
    """Begin anew in a child: a thread of its parent may have held a lock."""
    global _limiters_lock
    _limiters_lock = threading.Lock()
    _limiters.clear()


def limiter_of(function: Provider) -> AccountLimiter:
    """Return the one limiter of this process for a function's provider, model and account."""
    parts = (provider_name(type(function)), function.model_label() or "", function.account())
    key = "/".join(parts)
    with _limiters_lock:
        if key not in _limiters:
            _limiters[key] = AccountLimiter(key)
        return _limiters[key]
