"""What OpenAI's protocol carries, read without its SDK."""

from __future__ import annotations

import json
import math
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from embow.embeddings import RateStatus, Vectors
from embow.errors import BadOutputError

_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|[smhd])")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def read_vectors(body: bytes, count: int) -> tuple[Vectors, int]:
    """Return the vectors of an answer, shape ``(count, n)`` float32, and the tokens it cost.

    Vectors come as base64 of little-endian float32; servers that send numbers are understood.

    Raises:
        BadOutputError: The answer holds another number of vectors, vectors of unlike length, rows
            whose numbers do not say which input each is for, or no vectors at all.
        ValueError: The answer is not JSON.
    """
    answer = json.loads(body)
    rows = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(rows, list) or len(rows) != count:
        got = len(rows) if isinstance(rows, list) else "no"
        raise BadOutputError(f"The server returned {got} vectors for {count} inputs.")
    parts = [_row_bytes(row) for row in _in_order(rows)]
    if len({len(part) for part in parts}) > 1 or len(parts[0]) % 4:
        raise BadOutputError("The server returned vectors of different lengths.")
    vectors = np.frombuffer(bytearray().join(parts), dtype="<f4").reshape(count, -1)
    return vectors.astype(np.float32, copy=False), _tokens(answer.get("usage"))


def _tokens(usage: object) -> int:
    """Return what an answer cost; what it says of that is no reason to pay for it again."""
    total = usage.get("total_tokens") if isinstance(usage, Mapping) else None
    return int(total) if isinstance(total, (int, float)) and 0 <= total < math.inf else 0


def read_rate(headers: Mapping[str, str]) -> RateStatus | None:
    """Return the rate-limit headers of an answer, or ``None`` where there are none."""
    values = {
        f"{what}_{unit}": headers.get(f"x-ratelimit-{what}-{unit}")
        for what in ("limit", "remaining", "reset")
        for unit in ("requests", "tokens")
    }
    if not any(values.values()):
        return None
    return RateStatus(
        limit_requests=_allowance(values["limit_requests"]),
        remaining_requests=_allowance(values["remaining_requests"]),
        reset_requests=_seconds(values["reset_requests"]),
        limit_tokens=_allowance(values["limit_tokens"]),
        remaining_tokens=_allowance(values["remaining_tokens"]),
        reset_tokens=_seconds(values["reset_tokens"]),
    )


def _in_order(rows: Sequence[Any]) -> Sequence[Any]:
    """Sort by ``index``, where rows have one.

    Raises:
        BadOutputError: The numbers are not those from 0 on, each once: any order would be a guess.
    """
    order = [row.get("index") if isinstance(row, Mapping) else None for row in rows]
    if all(number is None for number in order):
        return rows
    expected = list(range(len(rows)))
    if order == expected:
        return rows
    numbers = [number for number in order if isinstance(number, (int, float))]
    if len(numbers) < len(rows) or sorted(numbers) != expected:
        raise BadOutputError(
            f"The server numbers its {len(rows)} vectors {str(order)[:60]}, not 0 to "
            f"{len(rows) - 1}, so which input each belongs to is not known."
        )
    return sorted(rows, key=lambda row: int(row["index"]))


def _row_bytes(row: Any) -> bytes:
    value = row.get("embedding") if isinstance(row, Mapping) else None
    try:
        if isinstance(value, str):
            return b64decode(value)
        if isinstance(value, list):
            return np.asarray(value, dtype="<f4").tobytes()
    except (ValueError, TypeError) as exc:
        raise BadOutputError(f"The server returned a vector that cannot be read: {exc}.") from exc
    raise BadOutputError("The server returned a row without a vector.")


def _allowance(text: str | None) -> int | None:
    # Azure sends -1 for "not limited" and may leave the header empty.
    try:
        value = int(text or "")
    except ValueError:
        return None
    return value if value >= 0 else None


def _seconds(text: str | None) -> float | None:
    """Return a duration such as ``"12ms"``, ``"6m0s"`` or ``"1.5"`` in seconds."""
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        found = list(_DURATION.finditer(text))
    if "".join(match.group() for match in found) != text:
        return None
    return sum(float(match["number"]) * _UNITS[match["unit"]] for match in found)
