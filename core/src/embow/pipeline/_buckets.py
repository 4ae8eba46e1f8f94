"""Token buckets: how much may pass in a minute, and how long to wait for more."""

from __future__ import annotations

import math
from dataclasses import dataclass

from embow.embeddings.types import Limits

BURST = 0.1
"""Part of a minute's allowance that may be used at once. The rest flows in evenly, so that no
window of 60 seconds ever holds more than the allowance."""


@dataclass(slots=True)
class Bucket:
    """A token bucket: holds ``capacity``, fills by ``rate`` a second."""

    capacity: float
    rate: float
    level: float
    at: float

    @classmethod
    def per_minute(cls, allowance: float, now: float) -> Bucket:
        """Return a full bucket that lets at most ``allowance`` through in any minute."""
        burst = max(1.0, allowance * BURST)
        return cls(burst, max(allowance - burst, allowance * 0.5) / 60, burst, now)

    def wait_for(self, amount: float, now: float) -> float:
        """Return the seconds until ``amount`` may pass, or for more than fits a full bucket."""
        self.level = min(self.capacity, self.level + self.rate * max(0.0, now - self.at))
        self.at = now
        missing = min(amount, self.capacity) - self.level
        # Rounding must not make a full bucket look short of the last drop.
        return missing / self.rate if missing > 1e-9 * self.capacity else 0.0

    def take(self, amount: float) -> None:
        """Take ``amount``; the level may fall below zero and is then paid back by waiting."""
        self.level -= amount


def declared_buckets(limits: Limits, now: float) -> list[Bucket]:
    """Return full buckets for the declared requests and tokens a minute, in this order."""
    return [
        Bucket.per_minute(allowance, now) if allowance else Bucket(math.inf, 1.0, math.inf, now)
        for allowance in (limits.requests_per_minute, limits.tokens_per_minute)
    ]


def take_all(buckets: list[Bucket], tokens: int, now: float) -> float:
    """Take one request and its tokens from both buckets, or return the seconds to wait."""
    requests, volume = buckets
    wait = max(requests.wait_for(1, now), volume.wait_for(tokens, now))
    if wait <= 0:
        requests.take(1)
        volume.take(tokens)
    return wait
