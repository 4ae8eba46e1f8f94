"""What a call has done so far, counted from many threads, and the budget it must keep."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from embow.errors import BudgetExceededError

if TYPE_CHECKING:
    from embow.pipeline._types import AddReport


class UsageCounter:
    """Adds to a report from many threads, and refuses what the budget does not cover.

    Requests are held against the budget by their estimate until the provider says what they
    cost. Where it says more than was estimated, later estimates are raised in proportion.
    """

    def __init__(self, report: AddReport, budget: int | None = None) -> None:
        self._report = report
        self.budget = budget
        self._lock = threading.Lock()
        self._held = 0.0
        self._estimated = 0
        self._reported = 0
        self._before = report.tokens

    def hold(self, tokens: int) -> float:
        """Hold an estimate against the budget and return what was held.

        Raises:
            BudgetExceededError: It does not fit.
        """
        with self._lock:
            amount = tokens * max(1.0, self._reported / self._estimated if self._estimated else 1.0)
            spent = self._report.tokens - self._before
            if self.budget is not None and spent + self._held + amount > self.budget:
                raise BudgetExceededError(
                    f"The next request needs about {amount:.0f} tokens; {spent} of the budget of "
                    f"{self.budget} are spent and {self._held:.0f} are on their way. What was "
                    "embedded is in the cache: call again with a larger budget= to go on."
                )
            self._held += amount
            return amount

    def release(self, held: float) -> None:
        """Give back what a request held."""
        with self._lock:
            self._held -= held

    def attempt(self, requests: int) -> None:
        """Count provider requests made."""
        with self._lock:
            self._report.requests += requests

    def spent(self, estimated: int, reported: int | None) -> None:
        """Count the tokens of an answered request."""
        with self._lock:
            self._report.tokens += estimated if reported is None else reported
            if reported is not None:
                self._estimated += estimated
                self._reported += reported

    def count(self, *, cached: int = 0, deduplicated: int = 0) -> None:
        """Count inputs by how they got their vectors."""
        with self._lock:
            self._report.cached += cached
            self._report.deduplicated += deduplicated
