"""What made each version: read from Lance's transactions, each once.

Before versions are removed, the staged writes that they committed are noted in small files beside
the dataset's own, so that they are not committed again.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import timedelta

import lance

from embow.engines.contract import Commit, Staged
from embow.errors import StagedGoneError, StorageError
from embow_lance.failures import is_missing, storing
from embow_lance.store import Store

TOKENS, ADDED, REMOVED, DEED = (
    f"embow.{name}" for name in ("staged", "added", "removed", "operation")
)
ADD = "add"
"""Operation of a commit that added rows, was not alone, and did nothing else."""

_DEEDS = {"Append": ADD, "Overwrite": "overwrite", "Restore": "restore", "Rewrite": "optimize"}
_KEPT = 10_000
_RESTORED = "-restored-"
_REMEMBERED = timedelta(days=8)
"""Longer than what is staged can be committed: Lance's cleaning spares it for seven days."""


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

    def __init__(self, store: Store) -> None:
        self._store = store
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
        tokens = frozenset(each.token for each in staged)
        since = self.since(dataset, min(each.base.version for each in staged))
        known = [(each.tokens, each.commit) for each in since if each is not None]
        if None in since:
            known += self._ledger()
        for others, commit in known:
            if tokens & others:
                if tokens == others:
                    return commit
                raise StagedGoneError(
                    f"Staged data of table '{self._store.name}' were committed before, with "
                    "another change. Write them again."
                )
        return None

    def keep(self, dataset: lance.LanceDataset, versions: Sequence[int]) -> None:
        """Note the tokens of versions that are about to be removed; forget very old ones."""
        now = int(time.time())
        for name in self._store.notes():
            if int(name.partition("-")[0]) < now - _REMEMBERED.total_seconds():
                self._store.forget(name)
        entries = [self.entry(dataset, version) for version in versions]
        noted = [[sorted(e.tokens), *astuple(e.commit)] for e in entries if e and e.tokens]
        if noted:
            self._store.note(f"{now}-{uuid.uuid4().hex}.json", json.dumps(noted).encode())

    def _ledger(self) -> list[tuple[frozenset[str], Commit]]:
        """Return tokens and commits of versions that are gone."""
        notes = [json.loads(self._store.noted(name)) for name in self._store.notes()]
        return [(frozenset(tokens), Commit(*rest)) for note in notes for tokens, *rest in note]


def note_restoring(store: Store, version: int) -> None:
    """Note that a version is about to be a restored one: its schema says nothing of when it came.

    The note is read where the versions around it are gone.
    """
    store.note(f"{int(time.time())}{_RESTORED}{version}.json", b"[]")


def last_restored(store: Store) -> int:
    """Return the last version that was restored, as far as notes go back."""
    noted = [name.removesuffix(".json").partition(_RESTORED)[2] for name in store.notes()]
    return max((int(version) for version in noted if version), default=0)


def _entry(version: int, transaction: lance.Transaction) -> Entry:
    kept = transaction.transaction_properties or {}
    kind = type(transaction.operation).__name__
    commit = Commit(version, int(kept.get(ADDED, 0)), int(kept.get(REMOVED, 0)))
    operation = kept.get(DEED) or _DEEDS.get(kind, "change")
    return Entry(operation == ADD, operation, frozenset(kept.get(TOKENS, "").split()), commit)
