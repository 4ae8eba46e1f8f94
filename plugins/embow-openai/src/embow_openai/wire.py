"""What OpenAI's protocol carries, read without its SDK."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from embow.embeddings import RateStatus, Vectors
from embow.embeddings.answers import in_order, read_rows, token_count

_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|[smhd])")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer holds.

    Attributes:
        vectors: Shape ``(count, n)``, float32, in the order of the inputs.
        tokens: What it cost.
        model: Model that answered, where the server says so.
    """

    vectors: Vectors
    tokens: int
    model: str | None


def read_answer(body: bytes, count: int) -> Answer:
    """Read an answer. Vectors come as base64 of little-endian float32 or as numbers.

    Raises:
        BadOutputError: The answer holds another number of vectors, vectors of unlike length, rows
            whose numbers do not say which input each is for, or no vectors at all.
        ValueError: The answer is not JSON.
    """
    answer = json.loads(body)
    fields = answer if isinstance(answer, Mapping) else {}
    rows, usage, model = fields.get("data"), fields.get("usage"), fields.get("model")
    if isinstance(rows, list):
        rows = [r.get("embedding") if isinstance(r, Mapping) else None for r in in_order(rows)]
    tokens = usage.get("total_tokens") if isinstance(usage, Mapping) else None
    name = model if isinstance(model, str) else None
    return Answer(read_rows(rows, count), token_count(tokens), name)


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
