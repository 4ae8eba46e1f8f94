"""Which kind of failure an exception of the google-genai SDK is."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

from embow.embeddings import Failure, FailureKind
from embow.embeddings.answers import failure_of, refusal
from embow.embeddings.classify import parse_retry_after

_INPUTS = re.compile(r"content|text|part|input", re.IGNORECASE)
_NEVER = re.compile(r"(?!)")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)s\Z")


def classify(error: BaseException) -> Failure | None:
    """Return what an error means, or ``None`` where it is not one of Google's packages."""
    if isinstance(error, json.JSONDecodeError):
        return Failure(FailureKind.TRANSIENT)  # an answer cut short on its way
    sdk = sys.modules.get("google.genai.errors")
    if sdk is not None and isinstance(error, sdk.APIError):
        return _of_status(error)
    auth = sys.modules.get("google.auth.exceptions")
    if auth is not None and isinstance(error, auth.GoogleAuthError):
        passing = isinstance(error, auth.TransportError) or getattr(error, "retryable", False)
        return Failure(FailureKind.TRANSIENT if passing else FailureKind.AUTH)
    return None


def _of_status(error: Any) -> Failure:
    status, message = int(error.code or 0), str(error.message or "")
    details = list(_details(error.details))
    reasons = {str(detail.get("reason")) for detail in details}
    # Google answers 400 to a key it does not know.
    if reasons & {"API_KEY_INVALID", "API_KEY_EXPIRED"}:
        return Failure(FailureKind.AUTH)
    wait = _wait(error, details)
    if status == 429:  # Google says "exceeded your current quota" of every limit
        spent = _is_daily(details) or "depleted" in message
        return Failure(FailureKind.QUOTA) if spent else Failure(FailureKind.RATE_LIMITED, wait)
    told = failure_of(status, message, wait)
    if told is not None:
        return told
    # Of other refusals, such as a country, no input is the cause.
    about_inputs = _INPUTS if error.status == "INVALID_ARGUMENT" else _NEVER
    return refusal(message, inputs=about_inputs)


def _details(answer: Any) -> Iterator[dict[str, Any]]:
    error = answer.get("error", answer) if isinstance(answer, dict) else None
    for detail in (error or {}).get("details") or []:
        if isinstance(detail, dict):
            yield detail


def _is_daily(details: list[dict[str, Any]]) -> bool:
    """Tell whether a daily allowance is used up: no wait within one call helps."""
    violations = [v for detail in details for v in detail.get("violations") or []]
    return any("PerDay" in str(violation.get("quotaId")) for violation in violations)


def _wait(error: Any, details: list[dict[str, Any]]) -> float | None:
    """Return the wait of ``RetryInfo``, else that of the headers."""
    for detail in details:
        found = _DURATION.match(str(detail.get("retryDelay") or ""))
        if found:
            return float(found[1])
    headers = getattr(error.response, "headers", None)
    return parse_retry_after(headers) if headers is not None else None
