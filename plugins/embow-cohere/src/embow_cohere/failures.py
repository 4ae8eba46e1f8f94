"""Which kind of failure an exception of the Cohere SDK is."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from embow.embeddings import Failure, FailureKind
from embow.embeddings.answers import failure_of, refusal, said
from embow.embeddings.classify import parse_retry_after

_NO_CREDIT = re.compile(r"month|billing|payment|usage limit|quota", re.IGNORECASE)
_SETTINGS = re.compile(
    r"model|input_type|output_dimension|embedding_types|truncate parameter|unknown field",
    re.IGNORECASE,
)


def classify(error: BaseException) -> Failure | None:
    """Return what an error means, or ``None`` where it is not one of this SDK's."""
    sdk = sys.modules.get("cohere.core.api_error")
    if sdk is None or not isinstance(error, sdk.ApiError):
        return None
    status = error.status_code or 0
    wait = parse_retry_after(getattr(error, "headers", None) or {})
    words = said(error.body)
    if status == 429 and _NO_CREDIT.search(words):
        return Failure(FailureKind.QUOTA)
    return failure_of(status, words, wait) or refusal(words, _SETTINGS)


@contextmanager
def without_headers() -> Iterator[None]:
    """Keep response headers out of the text of the SDK's errors: they hold cookies."""
    try:
        yield
    except Exception as error:
        if isinstance(getattr(error, "headers", None), dict):
            error.headers = _Unprinted(error.headers)  # type: ignore[attr-defined]
        raise


class _Unprinted(dict[str, str]):
    def __repr__(self) -> str:
        return "(not shown)"
