"""Call a provider again where its failure may pass, and say clearly when it did not."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeVar, cast

import tenacity

from embow.embeddings import _secrets as secrets
from embow.embeddings._calling import call_once
from embow.embeddings.classify import classify
from embow.embeddings.types import CallRecord, Failure, FailureKind, leaves_folder
from embow.errors import EmbeddingError, EmbowError
from embow.plugins import _discovery as discovery

if TYPE_CHECKING:
    from embow.embeddings._provider import Provider

T = TypeVar("T")
logger = logging.getLogger("embow")

FIRST_WAIT = 0.5
"""Seconds before the second attempt, before jitter."""
LONGEST_WAIT = 60.0
"""Seconds that backoff never exceeds. Only a provider's own ``Retry-After`` may ask for more."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long and how often one call is tried.

    Attributes:
        max_retries: Attempts after the first.
        deadline: Seconds from the first attempt after which no other one starts.
        clock: Monotonic seconds.
        sleep: Waits so many seconds. May raise, which ends the call.
        jitter: Returns a number from 0 to 1.
    """

    max_retries: int = 7
    deadline: float = 600.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def backoff(self, attempt: int) -> float:
        """Return the wait after ``attempt`` (from one): exponential, bounded, half jittered."""
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempt - 1, 30))
        return longest * (0.5 + 0.5 * self.jitter())

    def wait_after(self, attempt: int, failure: Failure) -> float:
        """Return the wait after ``attempt`` failed: what the provider asked for, or the backoff."""
        backoff = self.backoff(attempt)
        asked = failure.pause
        # Everyone who was told the same time would come back in the same instant.
        return backoff if asked is None else asked + 0.1 * backoff * self.jitter()


class CallFailedError(Exception):
    """One provider call that will not be tried again, with what is known of it.

    Attributes:
        failure: The kind of the last error.
        error: The last error as the SDK raised it.
        attempts: Calls made.
    """

    def __init__(self, failure: Failure, error: BaseException, attempts: int) -> None:
        super().__init__(str(error))
        self.failure = failure
        self.error = error
        self.attempts = attempts


def call_with_retry(function: Provider, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call ``call(*args, **kwargs)``, at most ``1 + function.max_retries`` times.

    A remote function's setting ``timeout`` bounds each of them.

    Raises:
        EmbeddingError: The call failed for good; the class says how.
        EmbowError: A setting or a package is missing, as raised by the provider.
    """
    policy = RetryPolicy(max_retries=function.max_retries)
    one = partial(call, *args, **kwargs)
    try:
        return attempt_call(
            function,
            lambda _: cast("T", call_once(function, one, CallRecord(), policy.deadline)),
            policy,
        )
    except CallFailedError as failed:
        error, cause = final_error(function, failed), failed.error
    raise error from (cause if error is not cause else cause.__cause__)


def attempt_call(
    function: Provider,
    attempt: Callable[[int], T],
    policy: RetryPolicy,
) -> T:
    """Run ``attempt(number)`` until it succeeds, fails for good, or time or attempts run out.

    Raises:
        CallFailedError: With the last error and its class.
    """
    state = _Attempts(function, policy, policy.clock())
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(state.may_pass),
        wait=state.wait,
        stop=state.stop,
        sleep=policy.sleep,
        before_sleep=state.log,
        reraise=True,
    )
    try:
        for step in retrying:
            with step:
                state.number = step.retry_state.attempt_number
                return attempt(state.number)
    except CallFailedError:
        raise
    except Exception as error:
        if state.error is not error:
            raise
        raise CallFailedError(state.failure, error, state.number) from error
    raise AssertionError("an attempt ends in an answer or an error")  # pragma: no cover


@dataclass(slots=True)
class _Attempts:
    """What tenacity asks of one call's attempts: whether another one follows, and when."""

    function: Provider
    policy: RetryPolicy
    started: float
    number: int = 1
    error: BaseException | None = None
    failure: Failure = Failure(FailureKind.TRANSIENT)  # noqa: RUF009 - it is frozen

    def may_pass(self, error: BaseException) -> bool:
        if not isinstance(error, Exception) or isinstance(error, CallFailedError):
            return False
        self.error, self.failure = error, failure_of(self.function, error)
        return self.failure.kind.retryable

    def wait(self, state: tenacity.RetryCallState) -> float:
        return self.policy.wait_after(state.attempt_number, self.failure)

    def stop(self, state: tenacity.RetryCallState) -> bool:
        spent = self.policy.clock() - self.started
        late = spent + state.upcoming_sleep > self.policy.deadline
        return late or state.attempt_number > self.policy.max_retries

    def log(self, state: tenacity.RetryCallState) -> None:
        assert self.error is not None
        logger.warning(
            "%s: %s; attempt %d of %d failed, next in %.1f s: %s",
            label(self.function),
            kind_name(self.failure.kind),
            state.attempt_number,
            self.policy.max_retries + 1,
            state.upcoming_sleep,
            describe(self.function, self.error),
        )


def failure_of(function: Provider, error: BaseException) -> Failure:
    """Return what an error means: embow's own keep their kind, others the function judges."""
    return classify(error) if isinstance(error, EmbowError) else function.classify(error)


_PHRASES = {
    FailureKind.AUTH: "refused the key or its permissions",
    FailureKind.QUOTA: "has no quota left on this account",
    FailureKind.RATE_LIMITED: "kept asking to slow down",
    FailureKind.TRANSIENT: "kept failing",
    FailureKind.TOO_LONG: "refused an input as too long",
    FailureKind.TOO_LARGE: "refused a request as too large",
    FailureKind.BAD_INPUT: "refused an input",
    FailureKind.PERMANENT: "cannot be called like this",
    FailureKind.BAD_OUTPUT: "returned an unusable answer",
}


def final_error(function: Provider, failed: CallFailedError, row: int | None = None) -> EmbowError:
    """Return the exception to raise for a failed call; chain it from ``failed.error``.

    A configuration or plugin error of embow's own comes back as it is: its message already
    says what to do. ``row`` is the first failing row of the caller's data.
    """
    error, kind = failed.error, failed.failure.kind
    scrub_exception(function, error)
    if isinstance(error, EmbowError) and not isinstance(error, EmbeddingError):
        return error
    index = failed.failure.index
    of_call = "" if index is None else f", number {index} of this call"
    at = of_call if row is None else f" at row {row}"
    times = "1 attempt" if failed.attempts == 1 else f"{failed.attempts} attempts"
    message = (
        f"{label(function)} {_PHRASES[kind]}{at} ({kind_name(kind)}, {times}): "
        f"{describe(function, error)}"
    )
    cls: type[EmbeddingError] = kind.value
    return cls(
        message,
        provider=function.name_of_provider(),
        model=function.model_label(),
        attempts=failed.attempts,
        row=row if row is not None else index,
        retry_after=failed.failure.retry_after,
    )


def label(function: Provider) -> str:
    """Return ``provider/model`` for messages; of a model's folder, only its name."""
    model = function.model_label() or ""
    if leaves_folder(model):
        model = PurePath(model.replace("\\", "/")).name
    return function.name_of_provider() + (f"/{model}" if model else "")


def kind_name(kind: FailureKind) -> str:
    """Return the class of error in lower case, such as ``bad_input``."""
    return kind.name.lower()


def describe(function: Provider, error: BaseException) -> str:
    """Return one line on an error, without secrets and of bounded length."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = scrub(function, text)
    if not isinstance(error, EmbeddingError):
        text = f"{type(error).__name__}: {text}"
    return text if len(text) <= 500 else text[:500] + "..."


def scrub(function: Provider, text: str) -> str:
    """Return text with every key the function may send masked."""
    return secrets.scrub(text, _secrets(function))


def scrub_exception(function: Provider, error: BaseException) -> None:
    """Mask keys in the text of an exception and of those behind it, in place.

    A traceback prints the whole chain, so masking our own message alone would not do. What was
    sent, which SDKs keep in fields, is dropped: its address and headers hold the key.
    """
    known = _secrets(function)
    seen: set[int] = set()
    behind = [error]
    while behind:
        link = behind.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        link.args = tuple(_masked(argument, known, behind) for argument in link.args)
        for name, value in list(vars(link).items()):  # SDKs keep what the server said in fields
            if (clean := _masked(value, known, behind)) is not value and clean != value:
                vars(link)[name] = clean
        behind += filter(None, (link.__cause__, link.__context__))


def _masked(value: Any, known: list[str], behind: list[BaseException]) -> Any:
    """Return a value with keys masked in its texts; exceptions in it are added to ``behind``."""
    if isinstance(value, BaseException):
        behind.append(value)
    elif isinstance(value, str):
        return secrets.scrub(value, known)
    elif isinstance(value, dict):
        return {name: _masked(item, known, behind) for name, item in value.items()}
    elif isinstance(value, (list, tuple)):
        masked = [_masked(item, known, behind) for item in value]
        return tuple(masked) if isinstance(value, tuple) else masked
    elif hasattr(value, "headers"):
        return None
    return value


def _secrets(function: Provider) -> list[str]:
    credentials = discovery.credentials_of(function.name_of_provider())
    return secrets.secrets_of(function, credentials)
