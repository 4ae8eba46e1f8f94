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
    started, number = policy.clock(), 1
    while True:
        try:
            return attempt(number)
        except CallFailedError:
            raise
        except Exception as error:
            failure = failure_of(function, error)
            wait = policy.wait_after(number, failure)
            late = policy.clock() - started + wait > policy.deadline
            if late or number > policy.max_retries or not failure.kind.retryable:
                raise CallFailedError(failure, error, number) from error
            logger.warning(
                "%s: %s; attempt %d of %d failed, next in %.1f s: %s",
                label(function),
                kind_name(failure.kind),
                number,
                policy.max_retries + 1,
                wait,
                describe(function, error),
            )
        policy.sleep(wait)
        number += 1


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
    FailureKind.BAD_OUTPUT: "returned unusable vectors",
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
    at = "" if row is None else f" at row {row}"
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
        row=row if row is not None else failed.failure.index,
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

    A traceback prints the whole chain, so masking our own message alone would not do.
    """
    known = _secrets(function)
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        link.args = tuple(_masked(argument, known) for argument in link.args)
        for name, value in list(vars(link).items()):  # SDKs keep what the server said in fields
            if isinstance(value, (str, dict, list)) and value != (clean := _masked(value, known)):
                vars(link)[name] = clean
        link = link.__cause__ or link.__context__


def _masked(value: Any, known: list[str]) -> Any:
    """Return a value with keys masked in its texts, also inside dicts and lists."""
    if isinstance(value, str):
        return secrets.scrub(value, known)
    if isinstance(value, dict):
        return {name: _masked(item, known) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, known) for item in value]
    return value


def _secrets(function: Provider) -> list[str]:
    credentials = discovery.credentials_of(function.name_of_provider())
    return secrets.secrets_of(function, credentials)
