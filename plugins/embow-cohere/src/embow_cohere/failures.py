"""Which kind of failure an exception of the Cohere SDK is."""

from __future__ import annotations

import re
import sys
from typing import Any

from embow.embeddings import Failure, FailureKind
from embow.embeddings.classify import parse_retry_after

_NO_CREDIT = re.compile(r"month|billing|payment|usage limit|quota", re.IGNORECASE)
_TOO_LARGE = re.compile(r"(?:number of (?:texts|inputs|images)|at most \d+ )", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"too (?:long|many tokens)|token (?:limit|length)|max.*tokens", re.IGNORECASE
)
_SETTINGS = re.compile(
    r"model|input_type|output_dimension|embedding_types|truncate parameter|unknown field",
    re.IGNORECASE,
)
_INDEX = re.compile(r"(?:texts|inputs|images)(?:\[|\.| at index )(\d+)|index (\d+)")


def classify(error: BaseException) -> Failure | None:
    """Return what an error means, or ``None`` where it is not one of this SDK's."""
    sdk = sys.modules.get("cohere.core.api_error")
    if sdk is None or not isinstance(error, sdk.ApiError):
        return None
    status = error.status_code or 0
    wait = parse_retry_after(getattr(error, "headers", None) or {})
    message = text_of(error)
    if status in (401, 403, 498):
        return Failure(FailureKind.AUTH)
    if status == 402 or (status == 429 and _NO_CREDIT.search(message)):
        return Failure(FailureKind.QUOTA)
    if status == 429:
        return Failure(FailureKind.RATE_LIMITED, wait)
    if status == 413:
        return Failure(FailureKind.TOO_LARGE)
    if status in (400, 422):
        return _of_refusal(message)
    if status in (404, 405, 501):
        return Failure(FailureKind.PERMANENT)
    return Failure(FailureKind.TRANSIENT, wait)  # 5xx, 499, and a 200 that is not JSON


def text_of(error: Any) -> str:
    """Return what Cohere said, without headers."""
    body = error.body
    if isinstance(body, dict):
        body = body.get("message") or body
    return str(body)


def _of_refusal(message: str) -> Failure:
    if _TOO_LARGE.search(message):
        return Failure(FailureKind.TOO_LARGE)
    found = _INDEX.search(message)
    index = int(found[1] or found[2]) if found else None
    if _TOO_LONG.search(message):
        return Failure(FailureKind.TOO_LONG, index=index)
    if index is None and _SETTINGS.search(message):
        return Failure(FailureKind.PERMANENT)
    return Failure(FailureKind.BAD_INPUT, index=index)
