"""Which kind of failure an exception of boto3 is."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import Any

from embow.embeddings import Failure, FailureKind
from embow.embeddings.classify import parse_retry_after

_BY_CODE = {
    "AccessDeniedException": FailureKind.AUTH,
    "AccessDenied": FailureKind.AUTH,
    "ExpiredToken": FailureKind.AUTH,
    "ExpiredTokenException": FailureKind.AUTH,
    "IncompleteSignature": FailureKind.AUTH,
    "InvalidClientTokenId": FailureKind.AUTH,
    "InvalidSignatureException": FailureKind.AUTH,
    "MissingAuthenticationTokenException": FailureKind.AUTH,
    "SignatureDoesNotMatch": FailureKind.AUTH,
    "UnrecognizedClientException": FailureKind.AUTH,
    "ServiceQuotaExceededException": FailureKind.QUOTA,
    "ThrottlingException": FailureKind.RATE_LIMITED,
    "TooManyRequestsException": FailureKind.RATE_LIMITED,
    "Throttling": FailureKind.RATE_LIMITED,
    "ModelNotReadyException": FailureKind.TRANSIENT,
    "ModelTimeoutException": FailureKind.TRANSIENT,
    "ModelErrorException": FailureKind.TRANSIENT,
    "InternalServerException": FailureKind.TRANSIENT,
    "ServiceUnavailableException": FailureKind.TRANSIENT,
    "ResourceNotFoundException": FailureKind.PERMANENT,
    "RequestEntityTooLargeException": FailureKind.TOO_LARGE,
}
_CREDENTIALS = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "ProfileNotFound",
    "NoAuthTokenError",
    "TokenRetrievalError",
    "RefreshWithMFAUnsupportedError",
    "SSOError",
)
_NETWORK = ("HTTPClientError", "ConnectionError", "IncompleteReadError", "ResponseStreamingError")

_PER_DAY = re.compile(r"per day", re.IGNORECASE)
_TOO_LARGE = re.compile(r"item count|maxItems|number of texts|payload|body size", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"maxLength|too (?:long|many input tokens|many tokens)|maximum.*(?:length|tokens)",
    re.IGNORECASE,
)
_INDEX = re.compile(r"texts[/\[](\d+)")
_ABOUT_THE_INPUT = re.compile(r"inputText|texts?\b|minLength|input tokens", re.IGNORECASE)


def classify(error: BaseException) -> Failure | None:
    """Return what an error means, or ``None`` where it is not one of boto3's."""
    if isinstance(error, json.JSONDecodeError):
        return Failure(FailureKind.TRANSIENT)  # an answer cut short on its way
    sdk = sys.modules.get("botocore.exceptions")
    if sdk is None:
        return None
    if isinstance(error, sdk.ClientError):
        return _of_answer(error.response)
    if isinstance(error, sdk.BotoCoreError):
        names = {base.__name__ for base in type(error).__mro__}
        if names & set(_CREDENTIALS):
            return Failure(FailureKind.AUTH)
        passing = names & set(_NETWORK)
        return Failure(FailureKind.TRANSIENT if passing else FailureKind.PERMANENT)
    return None


def _of_answer(response: Mapping[str, Any]) -> Failure:
    answer = response.get("Error", {})
    code, message = str(answer.get("Code")), str(answer.get("Message"))
    metadata = response.get("ResponseMetadata", {})
    wait = parse_retry_after(metadata.get("HTTPHeaders", {}))
    if code == "ValidationException":
        return _of_refusal(message)
    kind = _BY_CODE.get(code) or _of_status(int(metadata.get("HTTPStatusCode") or 0))
    if kind is FailureKind.RATE_LIMITED and _PER_DAY.search(message):
        return Failure(FailureKind.QUOTA)
    return Failure(kind, wait if kind.retryable else None)


def _of_status(status: int) -> FailureKind:
    if status in (401, 403):
        return FailureKind.AUTH
    if status == 413:
        return FailureKind.TOO_LARGE
    if status == 429:
        return FailureKind.RATE_LIMITED
    return FailureKind.PERMANENT if 400 <= status < 500 else FailureKind.TRANSIENT


def _of_refusal(message: str) -> Failure:
    found = _INDEX.search(message)
    index = int(found[1]) if found else None
    if _TOO_LARGE.search(message):
        return Failure(FailureKind.TOO_LARGE)
    if _TOO_LONG.search(message):
        return Failure(FailureKind.TOO_LONG, index=index)
    if index is not None or _ABOUT_THE_INPUT.search(message):
        return Failure(FailureKind.BAD_INPUT, index=index)
    return Failure(FailureKind.PERMANENT)
