"""One table: a Lance dataset."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, timedelta

import lance
import pyarrow as pa

from embow.engines.contract import (
    LEASE,
    RETENTION,
    Base,
    Change,
    Commit,
    EngineTable,
    OptimizeReport,
    Snapshot,
    Staged,
    Version,
    check_columns,
    check_schema,
    check_tag,
    with_columns,
)
from embow.errors import (
    CommitConflictError,
    TableNotFoundError,
    TagError,
    VersionNotFoundError,
)
from embow_lance.checks import based, check, require_same_shape
from embow_lance.columns import write_column
from embow_lance.commits import apply, commit
from embow_lance.failures import storing, was_slower
from embow_lance.fields import Shape
from embow_lance.history import History, note_restoring
from embow_lance.optimize import optimize
from embow_lance.shaping import replacing, without_columns
from embow_lance.snapshot import LanceSnapshot
from embow_lance.staging import lease_end, require_present, seal, unseal, write_rows
from embow_lance.store import Store

_TRIES = 40
_LONGEST_WAIT = 0.5


class LanceTable(EngineTable):
    """One table: a Lance dataset.

    Args:
        store: Where it lies.

    Raises:
        TableNotFoundError: There is no dataset.
    """

    def __init__(self, store: Store) -> None:
        dataset = store.latest()
        self.capabilities = store.capabilities(dataset)
        self._store = store
        self._history = History(store)
        self._identity = _identity(dataset)

    @property
    def name(self) -> str:
        """Name of the table."""
        return self._store.name

    def _latest(self) -> lance.LanceDataset:
        dataset = self._store.latest()
        if _identity(dataset) != self._identity:
            raise TableNotFoundError(
                f"Table '{self.name}' was dropped and created again. Open it anew."
            )
        return dataset

    def _require_same_table(self, base: Base) -> None:
        if base.table != self._identity:
            raise CommitConflictError(
                f"This was planned on another table than '{self.name}', perhaps on an earlier one "
                "of that name. Plan it again."
            )

    def _snapshot(self, version: int | str | None, at_least: int) -> Snapshot:
        dataset = self._latest()
        if dataset.version < at_least:
            raise VersionNotFoundError(
                f"Table '{self.name}' has no version {at_least} yet; the current one is "
                f"{dataset.version}."
            )
        if version is not None:
            dataset = self._store.at(dataset, version)
        return LanceSnapshot(self._store, dataset)

    def write(
        self,
        batches: Iterable[pa.RecordBatch],
        *,
        base: Base,
        schema: pa.Schema | None = None,
        new: Sequence[pa.Field] = (),
        lease: timedelta = LEASE,
    ) -> Staged:
        """Write rows, seen by nobody."""
        self._require_same_table(base)
        dataset = based(self._store, self._latest(), base)
        if new:
            schema = with_columns(dataset.schema if schema is None else schema, new)
        written, rows = write_rows(self._store, dataset, batches, schema)
        return seal(written, base, rows, lease)

    def _write_column(
        self, field: pa.Field, batches: Iterable[pa.RecordBatch], base: Base, lease: timedelta
    ) -> Staged:
        self._require_same_table(base)
        dataset = based(self._store, self._latest(), base)
        written, rows = write_column(self._store, dataset, field, batches)
        return seal(written, base, rows, lease, field.name)

    def renew(self, staged: Staged, lease: timedelta = LEASE) -> Staged:
        """Extend a lease, to seven days after the write at most: then Lance's cleaning ends it."""
        written = unseal(staged)
        if self._history.earlier(self._latest(), [staged]) is None:
            require_present(self._store, staged, written)
        return replace(staged, until=lease_end(written, lease))

    def discard(self, staged: Staged) -> None:
        """Remove what was staged and never committed."""
        try:
            dataset = self._latest()
        except TableNotFoundError:
            return  # The files went with the table.
        since = self._history.since(dataset, staged.base.version)
        if all(entry is not None and staged.token not in entry.tokens for entry in since):
            self._store.remove(unseal(staged).files())

    def _commit(self, change: Change) -> Commit:
        self._require_same_table(change.base)
        for staged in change.add:
            self._require_same_table(staged.base)

        def once(dataset: lance.LanceDataset) -> Commit:
            check(self._store, dataset, self._history, change)
            return apply(self._store, dataset, change)

        return self._again(change.add, once)

    def _again(
        self, staged: Sequence[Staged], once: Callable[[lance.LanceDataset], Commit]
    ) -> Commit:
        """Commit on the latest version, again where Lance saw another writer in that moment."""
        for attempt in range(_TRIES):
            dataset = self._latest()
            if staged and (earlier := self._history.earlier(dataset, staged)) is not None:
                return earlier
            try:
                return once(dataset)
            except CommitConflictError as exc:
                if not was_slower(exc):
                    raise
            time.sleep(random.uniform(0, min(_LONGEST_WAIT, 0.002 * 2**attempt)))
        raise CommitConflictError(
            f"Table '{self.name}' is too busy: others were faster {_TRIES} times. Try again."
        )

    def _overwrite(
        self, schema: pa.Schema, staged: Sequence[Staged], base: Base, metadata: Mapping[str, str]
    ) -> Commit:
        self._require_same_table(base)
        for each in staged:
            self._require_same_table(each.base)

        def once(dataset: lance.LanceDataset) -> Commit:
            for each in staged:
                require_present(self._store, each, unseal(each))
            operation = replacing(dataset, schema, staged, metadata)
            rows = int(dataset.count_rows())
            return commit(self._store, dataset, operation, "overwrite", staged, rows)

        return self._again(staged, once)

    def drop_columns(self, names: Sequence[str], *, base: Base) -> Commit:
        """Remove physical columns, in one commit."""
        self._require_same_table(base)

        def once(dataset: lance.LanceDataset) -> Commit:
            require_same_shape(self._store, dataset, base)
            check_columns(dataset.schema, names)
            check_schema(pa.schema([each for each in dataset.schema if each.name not in names]))
            operation = without_columns(dataset, names)
            return commit(self._store, dataset, operation, "drop columns")

        return self._again((), once)

    def optimize(
        self, *, keep: timedelta = RETENTION, delete_unverified: bool = False
    ) -> OptimizeReport:
        """Merge small fragments, and drop what no kept version needs."""
        return optimize(
            self._store, self._history, self._latest(), keep, delete_unverified=delete_unverified
        )

    def _versions(self) -> list[Version]:
        dataset = self._latest()
        with storing(f"list the versions of table '{self.name}'"):
            listed = dataset.versions()
        return [self._version(dataset, each) for each in listed]

    def _version(self, dataset: lance.LanceDataset, listed: lance.dataset.Version) -> Version:
        number = listed["version"]
        entry = self._history.entry(dataset, number)
        operation = "change" if entry is None else entry.operation
        rows = listed["metadata"]["total_rows"]
        return Version(number, listed["timestamp"].astimezone(UTC), int(rows), operation)

    def _tags(self) -> dict[str, int]:
        with storing(f"list the tags of table '{self.name}'"):
            listed = self._latest().tags.list()
        return {name: tag["version"] for name, tag in sorted(listed.items())}

    def _set_tag(self, name: str, version: int, *, move: bool) -> None:
        dataset = self._latest()
        self._store.at(dataset, version)
        check_tag(self.name, name, self._tags(), new=not move)
        try:
            with storing(f"tag table '{self.name}'"):
                (dataset.tags.update if move else dataset.tags.create)(name, version)
        except OSError as exc:
            if "Ref is invalid" in str(exc) or "Ref conflict" in str(exc):
                raise TagError(str(exc)) from exc
            raise

    def _delete_tag(self, name: str) -> None:
        check_tag(self.name, name, self._tags(), new=False)
        with storing(f"remove a tag of table '{self.name}'"):
            self._latest().tags.delete(name)

    def _restore(self, version: int | str) -> Commit:
        dataset = self._latest()
        wanted = self._store.at(dataset, version)
        operation = lance.LanceOperation.Restore(wanted.version)
        note_restoring(self._store, dataset.version + 1)
        return commit(self._store, dataset, operation, "restore")


def _identity(dataset: lance.LanceDataset) -> str:
    return str(Shape.of(dataset.lance_schema).own().get("table", ""))
