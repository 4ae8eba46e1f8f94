"""What made each version: read from Lance's transactions, each once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import lance

from embow.engines.contract import Commit, Staged
from embow.errors import StagedGoneError, StorageError
from embow_lance.failures import is_missing, storing

TOKENS, ADDED, REMOVED, DEED = (
    f"embow.{name}" for name in ("staged", "added", "removed", "operation")
)
ADD = "add"
"""Operation of a commit that added rows, was not alone, and did nothing else."""

_DEEDS = {"Append": ADD, "Overwrite": "overwrite", "Restore": "restore", "Rewrite": "optimize"}
_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    """What made one version.

    Attributes:
        plain: Whether rows were added, and nothing else happened.
        operation: As in `Version`.
        tokens: The staged writes that became part of it.
        commit: What was answered.
    """

    plain: bool
    operation: str
    tokens: frozenset[str]
    commit: Commit


def properties(operation: str, staged: Sequence[Staged], removed: int) -> dict[str, str]:
    """Return what a transaction keeps, for `Entry`."""
    added = sum(each.rows for each in staged if each.column is None)
    entries = {DEED: operation, ADDED: str(added), REMOVED: str(removed)}
    if staged:
        entries[TOKENS] = " ".join(each.token for each in staged)
    return entries


class History:
    """Entries of one table. Safe to use from several threads."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._lock = threading.Lock()

    def entry(self, dataset: lance.LanceDataset, version: int) -> Entry | None:
        """Return what made a version; ``None`` where that is no longer known."""
        with self._lock:
            known = self._entries.get(version)
        if known is not None:
            return known
        try:
            with storing(f"read what made version {version}"):
                transaction = dataset.read_transaction(version)
        except StorageError as exc:
            if exc.__cause__ is None or not is_missing(exc.__cause__):
                raise
            return None
        if transaction is None:
            return None
        made = _entry(version, transaction)
        with self._lock:
            if len(self._entries) >= _KEPT:
                self._entries.clear()
            self._entries[version] = made
        return made

    def since(self, dataset: lance.LanceDataset, version: int) -> list[Entry | None]:
        """Return what made the versions after one."""
        return [self.entry(dataset, each) for each in range(version + 1, dataset.version + 1)]

    def earlier(self, dataset: lance.LanceDataset, staged: Sequence[Staged]) -> Commit | None:
        """Return the commit that staged writes are part of already.

        Raises:
            StagedGoneError: Some were committed by another change.
        """
        tokens = {each.token for each in staged}
        for entry in self.since(dataset, min(each.base.version for each in staged)):
            if entry is not None and tokens & entry.tokens:
                if tokens == entry.tokens:
                    return entry.commit
                raise StagedGoneError(
                    "Staged data were committed before, with another change. Write them again."
                )
        return None


def _entry(version: int, transaction: lance.Transaction) -> Entry:
    kept = transaction.transaction_properties or {}
    kind = type(transaction.operation).__name__
    commit = Commit(version, int(kept.get(ADDED, 0)), int(kept.get(REMOVED, 0)))
    operation = kept.get(DEED) or _DEEDS.get(kind, "change")
    return Entry(operation == ADD, operation, frozenset(kept.get(TOKENS, "").split()), commit)
