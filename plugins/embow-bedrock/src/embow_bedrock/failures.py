"""Which kind of failure an exception of boto3 is."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import Any

from embow.embeddings import Failure, FailureKind
from embow.embeddings.answers import failure_of, refusal
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
_INPUTS = re.compile(r"inputText|texts?\b|minLength|input tokens", re.IGNORECASE)


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
        return refusal(message, inputs=_INPUTS)
    kind = _BY_CODE.get(code)
    if kind is None:
        told = failure_of(int(metadata.get("HTTPStatusCode") or 0), message, wait)
        return told or Failure(FailureKind.PERMANENT)
    if kind is FailureKind.RATE_LIMITED and _PER_DAY.search(message):
        return Failure(FailureKind.QUOTA)
    return Failure(kind, wait if kind.retryable else None)
