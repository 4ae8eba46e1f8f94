"""Which kind of failure an exception of the google-genai SDK is."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

from embow.embeddings import Failure, FailureKind
from embow.embeddings.classify import parse_retry_after

_TOO_LARGE = re.compile(
    r"at most \d+ requests|payload size|request.*too large|batch size|tokens? in the request",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(r"token count|too (?:long|many tokens)|maximum.*tokens", re.IGNORECASE)
_INDEX = re.compile(r"(?:requests|contents|instances)\[(\d+)\]")
_ABOUT_THE_INPUT = re.compile(r"content|text|part|input", re.IGNORECASE)
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
    if status in (401, 403) or reasons & {"API_KEY_INVALID", "API_KEY_EXPIRED"}:
        return Failure(FailureKind.AUTH)
    if status == 429:
        if _is_daily(details):
            return Failure(FailureKind.QUOTA)
        return Failure(FailureKind.RATE_LIMITED, _wait(error, details))
    if status == 413:
        return Failure(FailureKind.TOO_LARGE)
    if status == 400:
        return _of_refusal(message, str(error.status))
    if 400 <= status < 500 and status not in (408, 409, 499):
        return Failure(FailureKind.PERMANENT)
    return Failure(FailureKind.TRANSIENT, _wait(error, details))


def _of_refusal(message: str, status: str) -> Failure:
    if _TOO_LARGE.search(message):
        return Failure(FailureKind.TOO_LARGE)
    found = _INDEX.search(message)
    index = int(found[1]) if found else None
    if _TOO_LONG.search(message):
        return Failure(FailureKind.TOO_LONG, index=index)
    if index is not None or (status == "INVALID_ARGUMENT" and _ABOUT_THE_INPUT.search(message)):
        return Failure(FailureKind.BAD_INPUT, index=index)
    return Failure(FailureKind.PERMANENT)


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
