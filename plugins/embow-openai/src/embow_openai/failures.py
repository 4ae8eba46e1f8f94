"""Which kind of failure an exception of the OpenAI SDK is."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from embow.embeddings import Failure, FailureKind
from embow.embeddings.classify import parse_retry_after

_NO_CREDIT = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_INDEX = re.compile(r"input(?:\[|\.)(\d+)")
_TOO_LONG = re.compile(
    r"context.length|maximum.(?:input|sequence|token)|too (?:long|many tokens)|"
    r"(?:longer|larger|greater) than .*(?:tokens|length)",
    re.IGNORECASE,
)
_TOO_LARGE = re.compile(
    r"max_tokens_per_request|tokens per request|batch.size|at most \d+ (?:inputs|items)|"
    r"2048 (?:dimensions|inputs)|array_above_max_length|(?:inputs|items)\.$",
    re.IGNORECASE,
)
_ABOUT_THE_INPUT = re.compile(r"input|text|prompt|content|sequence|token", re.IGNORECASE)
_SETTINGS = ("model", "dimensions", "encoding_format", "user")


def classify(error: BaseException) -> Failure | None:
    """Return what an error means, or ``None`` where it is not one of this provider's."""
    if isinstance(error, json.JSONDecodeError):
        return Failure(FailureKind.TRANSIENT)  # an answer cut short on its way
    sdk = sys.modules.get("openai")
    if sdk is None or not isinstance(error, sdk.OpenAIError):
        return None
    if isinstance(error, sdk.APIConnectionError):  # timeouts included
        return Failure(FailureKind.TRANSIENT)
    if isinstance(error, sdk.APIStatusError):
        return _of_status(error)
    if isinstance(error, sdk.APIError):
        return Failure(FailureKind.TRANSIENT)
    return Failure(FailureKind.AUTH)  # the client refuses to start without a credential


def _of_status(error: Any) -> Failure:
    status = int(error.status_code)
    wait = parse_retry_after(error.response.headers)
    if status in (401, 403):
        return Failure(FailureKind.AUTH)
    if status == 429:
        no_credit = bool(_NO_CREDIT & {error.code, error.type})
        return Failure(FailureKind.QUOTA) if no_credit else Failure(FailureKind.RATE_LIMITED, wait)
    if status in (408, 409) or status >= 500:
        return Failure(FailureKind.TRANSIENT, wait)
    if status == 413:
        return Failure(FailureKind.TOO_LARGE)
    if status in (400, 422):
        return _of_refusal(error)
    return Failure(FailureKind.PERMANENT)


def _of_refusal(error: Any) -> Failure:
    """Read a 400 or 422: only its words say whether settings, size or one input is at fault."""
    words = f"{error.code or ''} {error.type or ''} {error.message}"
    param = str(error.param or "")
    if _TOO_LARGE.search(words):
        return Failure(FailureKind.TOO_LARGE)
    if error.code == "model_not_found" or param in _SETTINGS:
        return Failure(FailureKind.PERMANENT)
    found = _INDEX.search(param) or _INDEX.search(words)
    index = int(found[1]) if found else None
    if _TOO_LONG.search(words):
        return Failure(FailureKind.TOO_LONG, index=index)
    if index is not None or _ABOUT_THE_INPUT.search(f"{param} {error.message}"):
        return Failure(FailureKind.BAD_INPUT, index=index)
    return Failure(FailureKind.PERMANENT)
