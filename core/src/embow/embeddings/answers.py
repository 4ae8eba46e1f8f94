"""What providers share that read a server's answer: vectors, what it cost, why it refuses.

A server is known by what it says, whoever made it: the words here are those of vendors, of
gateways, and of the servers people run themselves.
"""

from __future__ import annotations

import math
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from embow.embeddings.types import Failure, FailureKind
from embow.errors import BadOutputError

NO_CREDIT = re.compile(
    r"insufficient_quota|billing_hard_limit|billing_not_active|exceeded your current quota|"
    r"credits? (?:are|is|have been|has been) (?:depleted|exhausted|used up)",
    re.IGNORECASE,
)
_TOO_LARGE = re.compile(
    r"max_tokens_per_request|tokens (?:per|in the) request|too many inputs|batch.size|maxItems|"
    r"at most \d+ (?:inputs|items|requests|texts)|number of (?:texts|inputs|images)|item count|"
    r"array.(?:too.long|above.max)|2048 (?:dimensions|inputs)|(?:inputs|items)\.$|"
    r"request.*too large|payload|body size",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"context.(?:length|size|window)|too.(?:long|many (?:input )?tokens)|above_max_length|"
    r"max(?:imum)?.?(?:(?:input|sequence|token).?)*(?:length|tokens)\b|maximum of \d+|"
    r"token (?:count|limit|length)|less than \d+ tokens|longer than the maximum|"
    r"(?:longer|larger|greater) than .*(?:tokens|length)|more than .* tokens|max.*tokens",
    re.IGNORECASE,
)
# What says the same whatever the status: some servers answer 500 to an input.
_SURELY_TOO_LONG = re.compile(
    r"too large to process|context (?:length|size|window)|input length exceeds", re.IGNORECASE
)
_NOT_A_NUMBER = re.compile(r"unsupported value: [+-]?(?:nan|inf)", re.IGNORECASE)
_NUMBERS = re.compile(r"\b(limit|requested)(?: tokens)?:? (\d+)", re.IGNORECASE)
_INDEX = re.compile(
    r"(?:inputs?|texts|images|requests|contents|instances)(?:\.[a-z][^\s.]*)*"
    r"(?:\[|\.|/| at index )(\d+)|\bindex (\d+)"
)
_MOST_WORDS = 4000
_PASSING = frozenset({408, 409, 424, 425, 499})  # 424: what the server itself calls has failed


def said(body: Any) -> str:
    """Return what an error's body says as one text, whichever form it has.

    Known are OpenAI's ``error``, a bare text, ``message``, and the ``detail`` of FastAPI: the place
    it names comes out as ``body.input.3``.
    """
    if isinstance(body, Mapping):
        parts = [body.get(name) for name in ("error", "detail", "code", "type", "param", "msg")]
        place = body.get("loc")
        if isinstance(place, (list, tuple)):
            parts.insert(0, ".".join(str(part) for part in place))
        return " ".join(filter(None, map(said, [*parts, body.get("message")])))
    if isinstance(body, (list, tuple)):
        return " ".join(map(said, body))[:_MOST_WORDS]
    return "" if body is None else str(body)[:_MOST_WORDS]


def failure_of(status: int, words: str, wait: float | None = None) -> Failure | None:
    """Return what an HTTP status and the words with it mean, ``None`` for a refusal (400, 422).

    Args:
        status: The status.
        words: What the server said, such as :func:`said` reads it.
        wait: Seconds the server asks to wait.
    """
    if status in (401, 403, 498):
        return Failure(FailureKind.AUTH)
    if status == 402 or (status in (400, 429) and NO_CREDIT.search(words)):
        return Failure(FailureKind.QUOTA)
    if status == 429:
        large = _never_fits(words)
        return Failure(FailureKind.TOO_LARGE) if large else Failure(FailureKind.RATE_LIMITED, wait)
    if status == 413 or status >= 500:
        index = index_in(words)
        if _SURELY_TOO_LONG.search(words) or (status == 413 and _says_too_long(words)):
            return Failure(FailureKind.TOO_LONG, index=index)
        if _NOT_A_NUMBER.search(words):
            return Failure(FailureKind.BAD_INPUT, index=index)
    if status == 413:
        return Failure(FailureKind.TOO_LARGE)
    if status in (400, 422):
        return None
    # 501 is the answer of servers that do not embed at all.
    passing = status in _PASSING or (status != 501 and not 400 <= status < 500)
    return Failure(FailureKind.TRANSIENT, wait) if passing else Failure(FailureKind.PERMANENT)


def refusal(
    words: str, settings: re.Pattern[str] | None = None, inputs: re.Pattern[str] | None = None
) -> Failure:
    """Read a 400 or 422: only its words say whether settings, size or one input is at fault.

    Args:
        words: What the server said.
        settings: Matches words about settings, where no input is named by its number.
        inputs: Matches words about inputs; without it all that is left is about them.
    """
    index = index_in(words)
    if _SURELY_TOO_LONG.search(words):
        return Failure(FailureKind.TOO_LONG, index=index)
    if _TOO_LARGE.search(words):
        return Failure(FailureKind.TOO_LARGE)
    if _TOO_LONG.search(words):
        return Failure(FailureKind.TOO_LONG, index=index)
    if index is None and settings is not None and settings.search(words):
        return Failure(FailureKind.PERMANENT)
    if index is not None or inputs is None or inputs.search(words):
        return Failure(FailureKind.BAD_INPUT, index=index)
    return Failure(FailureKind.PERMANENT)


def index_in(words: str) -> int | None:
    """Return the number of the input that an error names, ``None`` where it names none."""
    found = _INDEX.search(words)
    return int(found[1] or found[2]) if found else None


def _never_fits(words: str) -> bool:
    """Tell whether one request alone is more than an account may send in a minute."""
    numbers = _NUMBERS.findall(re.sub(r"(?<=\d),(?=\d{3})", "", words))
    told = {name.lower(): int(number) for name, number in numbers}
    over = told.get("requested", 0) > told.get("limit", math.inf)
    return over or "request too large" in words.lower()


def _says_too_long(words: str) -> bool:
    return bool(_TOO_LONG.search(words)) and not _TOO_LARGE.search(words)


def read_rows(rows: Any, count: int, who: str = "The server") -> NDArray[np.float32]:
    """Return the vectors of an answer as float32 of shape ``(count, n)``.

    A vector is a list of numbers, or base64 of little-endian float32.

    Raises:
        BadOutputError: There is another number of them, they differ in length, or cannot be read.
    """
    if not isinstance(rows, (list, tuple)) or len(rows) != count:
        got = len(rows) if isinstance(rows, (list, tuple)) else "no"
        raise BadOutputError(f"{who} returned {got} vectors for {count} inputs.")
    if not rows:
        raise BadOutputError(f"{who} was given no input.")
    parts = [_bytes_of(row, who) for row in rows]
    if len({len(part) for part in parts}) > 1 or len(parts[0]) % 4:
        raise BadOutputError(f"{who} returned vectors of different lengths.")
    vectors = np.frombuffer(bytearray().join(parts), dtype="<f4").reshape(count, -1)
    return vectors.astype(np.float32, copy=False)


def _bytes_of(row: Any, who: str) -> bytes:
    try:
        if isinstance(row, str):
            return b64decode(row)
        if isinstance(row, (list, tuple)) and (vector := np.asarray(row, dtype="<f4")).ndim == 1:
            return vector.tobytes()
    except (ValueError, TypeError, OverflowError) as exc:
        raise BadOutputError(f"{who} returned a vector that cannot be read: {exc}.") from exc
    raise BadOutputError(f"{who} returned a row without a vector.")


@contextmanager
def readable(who: str) -> Iterator[None]:
    """Turn what a vendor's package trips over while it reads an answer into bad output.

    Raises:
        BadOutputError: The answer has another form than the package expects.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValidationError) as exc:
        text = f"{type(exc).__name__}: {exc}"[:200]
        raise BadOutputError(f"{who} answered in a form that cannot be read ({text}).") from exc


def in_order(rows: Sequence[Any], who: str = "The server") -> Sequence[Any]:
    """Return the rows sorted by their ``index``, where they have one.

    Raises:
        BadOutputError: The numbers are not those from 0 on, each once: any order would be a guess.
    """
    order = [row.get("index") if isinstance(row, Mapping) else None for row in rows]
    expected = list(range(len(rows)))
    if order == expected or all(number is None for number in order):
        return rows
    numbers = [number for number in order if isinstance(number, (int, float))]
    if len(numbers) < len(rows) or sorted(numbers) != expected:
        raise BadOutputError(
            f"{who} numbers its {len(rows)} vectors {str(order)[:60]}, not 0 to "
            f"{len(rows) - 1}, so which input each belongs to is not known."
        )
    return sorted(rows, key=lambda row: int(row["index"]))


def token_count(value: Any) -> int:
    """Return what an answer says it cost, 0 where that cannot be read.

    Vectors that are paid for are not thrown away for it.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0
    return int(number) if 0 <= number < math.inf else 0
