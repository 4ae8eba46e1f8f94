"""Small value types shared by providers and the pipeline."""

from __future__ import annotations

import enum
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from embow import errors

Role = Literal["document", "query"]
"""What an input is: text to be found, or text that finds."""


def provider_name(cls: type) -> str:
    """Return the name a class is registered under, or its own where it is not."""
    # A subclass is another provider: it must not pass as the one it inherits from.
    return vars(cls).get("provider_id") or cls.__name__


class _Operational:
    """Marks a field that changes how vectors are computed, never which vectors come out."""

    def __repr__(self) -> str:
        return "operational"


operational = _Operational()
"""Annotate a field with this to keep it out of the function's identity.

``device: Annotated[str, operational] = "cpu"``. Every other field is part of the identity.
"""


class External:
    """Marks a field that decides where data and keys go, what is read, or what code runs.

    A table may come from a stranger, so such a setting is taken from a table's metadata only where
    this process allowed it.
    """

    def __init__(self, when: Callable[[Any], bool] | None = None) -> None:
        """Take what tells which values are meant; ``None``: all but the field's default.

        ``when`` gets a value as the metadata holds it, before validation, so of any JSON type. It
        must not raise.
        """
        self._when = when

    def asks(self, value: Any, default: Any) -> bool:
        """Tell whether a value asks for trust."""
        return bool(value != default if self._when is None else self._when(value))

    def __repr__(self) -> str:
        return "external" if self._when is None else f"External({self._when.__name__})"


def leaves_folder(value: Any) -> bool:
    """Tell whether a value, as the name of a file in a known folder, may lead out of it.

    It may where it is absolute, starts with ``~`` or ``.``, leads upwards, or has a drive, a
    backslash or a scheme.
    """
    if not isinstance(value, str):
        return value is not None
    if value.startswith(("/", "~", ".")) or ".." in value.split("/"):
        return True
    return "\\" in value or "://" in value or value[1:2] == ":"


def names_local_path(value: Any) -> bool:
    """Tell whether a value, such as the name of a model, names a place on this machine.

    It does where it may lead anywhere, as :func:`leaves_folder` says, or where a file or folder
    of that name exists here. A plain hub id such as ``"org/name"`` does not.
    """
    if leaves_folder(value):
        return True
    try:
        return bool(value) and Path(value).exists()
    except (OSError, ValueError):  # too long or no file name at all: the loader says so
        return False


external = External()
"""Annotate a field with this where every value but its default must be allowed by the process.

``base_url: Annotated[str | None, operational, external] = None``.
"""

local_path = External(names_local_path)
"""Annotate a field with this where values that name a place on this machine must be allowed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one provider call may hold. ``None`` means the provider sets no limit.

    Attributes:
        max_items: Inputs in one call.
        max_tokens_per_item: Tokens in one input.
        max_tokens_per_request: Tokens summed over one call.
        max_bytes_per_request: UTF-8 (or raw) bytes summed over one call.
        max_concurrency: Calls that may run at once; 1 where calls must not overlap.
        requests_per_minute: Known account limit, if any.
        tokens_per_minute: Known account limit, if any.
    """

    max_items: int | None = None
    max_tokens_per_item: int | None = None
    max_tokens_per_request: int | None = None
    max_bytes_per_request: int | None = None
    max_concurrency: int = 1
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


@dataclass(frozen=True, slots=True)
class VectorForm:
    """What a function makes of one input, and so which columns can hold it.

    Attributes:
        value_type: What its numbers are. ``int8`` are whole numbers of that range; ``uint8`` are
            bytes of packed bits, and then ``ndims`` counts bytes. They are handed over as float32.
        multi: Whether it makes several vectors: a list of arrays ``(vectors, ndims)`` rather than
            an array ``(inputs, ndims)``.
    """

    value_type: Literal["float32", "int8", "uint8"] = "float32"
    multi: bool = False

    @property
    def whole(self) -> bool:
        """Whether the numbers are whole: of such the mean is none, and zeros say something."""
        return self.value_type != "float32"


class FailureKind(enum.Enum):
    """How a failed call is treated. The value is the exception raised once it is final."""

    AUTH = errors.AuthenticationError
    QUOTA = errors.QuotaExceededError
    RATE_LIMITED = errors.RateLimitError
    TRANSIENT = errors.TransientError
    TOO_LONG = errors.InputTooLongError
    TOO_LARGE = errors.RequestTooLargeError
    BAD_INPUT = errors.BadInputError
    PERMANENT = errors.PermanentError
    BAD_OUTPUT = errors.BadOutputError

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        return self in (FailureKind.RATE_LIMITED, FailureKind.TRANSIENT)

    @property
    def of_inputs(self) -> bool:
        """Whether fewer, shorter or other inputs may fare better."""
        return self in (
            FailureKind.BAD_INPUT,
            FailureKind.TOO_LONG,
            FailureKind.TOO_LARGE,
            FailureKind.BAD_OUTPUT,
        )

    @property
    def fatal(self) -> bool:
        """Whether every other call with this function would fail too."""
        return self in (FailureKind.AUTH, FailureKind.QUOTA, FailureKind.PERMANENT)


LONGEST_PAUSE = 3600.0
"""Seconds a server may have an account left alone. One that asks for more has not said when."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One classified error of one provider call.

    Attributes:
        kind: The class of error, which decides what happens next.
        retry_after: Seconds to wait before the next call, where the provider said so.
        index: Position in the request of the input at fault, where the provider said so.
    """

    kind: FailureKind
    retry_after: float | None = None
    index: int | None = None

    @property
    def pause(self) -> float | None:
        """The seconds to wait, where the provider named a time that is worth waiting for."""
        asked = self.retry_after
        return asked if asked is not None and 0 <= asked <= LONGEST_PAUSE else None


@dataclass(frozen=True, slots=True)
class Usage:
    """What one provider call consumed, as the provider reported it."""

    tokens: int = 0


@dataclass(frozen=True, slots=True)
class RateStatus:
    """Rate-limit headers of one answer. ``None`` where a header was absent.

    ``reset_*`` are seconds from now until the allowance is full again.
    """

    limit_requests: int | None = None
    remaining_requests: int | None = None
    reset_requests: float | None = None
    limit_tokens: int | None = None
    remaining_tokens: int | None = None
    reset_tokens: float | None = None


@dataclass(slots=True)
class CallRecord:
    """Collects what a provider reports while one of its calls runs."""

    tokens: int | None = None
    rate: RateStatus | None = None
    requests: int = 0
    given_up: bool = False
    coroutine: Future[Any] | None = None


CURRENT_CALL: ContextVar[CallRecord | None] = ContextVar("embow_current_call", default=None)
"""The record of the call this context runs, if it is one of the pipeline's."""


def set_current_call(record: CallRecord | None) -> None:
    """Point this context's reports at ``record``."""
    CURRENT_CALL.set(record)


def record_usage(usage: Usage) -> None:
    """Report what a call consumed. Providers call it inside ``generate_embeddings``."""
    record = CURRENT_CALL.get()
    if record is not None:
        record.tokens = (record.tokens or 0) + usage.tokens


def record_rate(rate: RateStatus) -> None:
    """Report the rate-limit headers of an answer. Providers call it with each response."""
    record = CURRENT_CALL.get()
    if record is not None:
        record.rate = rate


def record_request() -> None:
    """Count one wire request. For providers that send several in a call.

    Raises:
        TransientError: The call was given up, and is to send nothing more.
    """
    record = CURRENT_CALL.get()
    if record is not None:
        if record.given_up:
            raise errors.TransientError("Nobody waits for this call any more.")
        record.requests += 1
