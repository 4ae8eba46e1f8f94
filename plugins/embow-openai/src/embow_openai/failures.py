"""Which kind of failure an exception of the OpenAI SDK is."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from embow.embeddings import Failure, FailureKind
from embow.embeddings.answers import failure_of, refusal, said
from embow.embeddings.classify import classify as core_classify
from embow.embeddings.classify import parse_retry_after
from embow.errors import EmbeddingError

_INPUTS = re.compile(r"input|text|prompt|content|sequence|token", re.IGNORECASE)
_SETTINGS = re.compile(r"model_not_found|\bbody\.(?!inputs?\b)\w")
_SETTING_NAMES = ("model", "dimensions", "encoding_format", "user")
_ANY = re.compile("")


def classify(error: BaseException) -> Failure | None:
    """Return what an error means, or ``None`` where it is not one of this provider's."""
    if isinstance(error, json.JSONDecodeError):
        return Failure(FailureKind.TRANSIENT)  # an answer cut short on its way
    sdk = sys.modules.get("openai")
    if sdk is None or not isinstance(error, sdk.OpenAIError):
        return None
    if isinstance(error, sdk.APIConnectionError):  # timeouts included
        cause = error.__cause__  # early SDKs put what our own client raised there
        own = isinstance(cause, EmbeddingError)
        return core_classify(cause) if own else Failure(FailureKind.TRANSIENT)
    if isinstance(error, sdk.APIStatusError):
        return _of_status(error)
    if isinstance(error, sdk.APIError):
        return Failure(FailureKind.TRANSIENT)
    return Failure(FailureKind.AUTH)  # the client refuses to start without a credential


def _of_status(error: Any) -> Failure:
    # The SDK's own text leaves out what servers other than OpenAI say.
    words = said(error.body) or str(error.message)
    wait = parse_retry_after(error.response.headers)
    settings = _ANY if error.param in _SETTING_NAMES else _SETTINGS
    return failure_of(int(error.status_code), words, wait) or refusal(words, settings, _INPUTS)
