"""One open table of the embedded engine, and one version of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

import pyarrow as pa

from embow.engines.contract import (
    LEASE,
    RETENTION,
    Base,
    Capability,
    Change,
    Commit,
    EngineTable,
    OptimizeReport,
    ScanQuery,
    Snapshot,
    Staged,
    VectorQuery,
    Version,
)
from embow.engines.local import columns, commits, optimize, scan, search, staging, versions
from embow.engines.local.store import Store
from embow.engines.local.view import View
from embow.engines.predicate import Predicate

CAPABILITIES = frozenset(
    {
        Capability.VERSIONS,
        Capability.TAGS,
        Capability.RESTORE,
        Capability.RENAME_TABLE,
        Capability.ORDERED_SCAN,
        Capability.STABLE_ROW_IDS,
        Capability.FRAGMENTS,
    }
)
"""Without ``REMOTE_WRITE``: another process may stage rows, but not from another machine."""


class LocalSnapshot(Snapshot):
    """One version of a table, its files mapped.

    Distances are computed in float64 and returned as float32.

    Args:
        view: The version.
    """

    capabilities = CAPABILITIES

    def __init__(self, view: View) -> None:
        self._view = view

    @property
    def base(self) -> Base:
        """Table and version this is."""
        return Base(self._view.row.folder, self._view.version)

    @property
    def schema(self) -> pa.Schema:
        """Physical columns."""
        return self._view.layout.schema

    @property
    def metadata(self) -> Mapping[str, str]:
        """Metadata of the table."""
        return self._view.layout.metadata

    def understands(self, predicate: Predicate) -> bool:
        """Return ``True``: filters are evaluated block by block."""
        return True

    def fragments(self) -> list[str]:
        """Return the names of the pieces that can be scanned one by one."""
        return scan.fragment_names(self._view)

    def _scan(self, query: ScanQuery) -> pa.RecordBatchReader:
        return scan.scan(self._view, query)

    def _search(self, query: VectorQuery) -> list[pa.Table]:
        return search.search(self._view, query)

    def _count_rows(self) -> int:
        return self._view.rows


class LocalTable(EngineTable):
    """A table in an SQLite catalog and Arrow files.

    Args:
        store: What its operations share.
    """

    capabilities = CAPABILITIES

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def name(self) -> str:
        """Name of the table, the new one after it was renamed."""
        return self._store.current_name()

    def _snapshot(self, version: int | str | None, at_least: int) -> Snapshot:
        store = self._store
        return LocalSnapshot(store.latest() if version is None else store.version(version))

    def write(
        self,
        batches: Iterable[pa.RecordBatch],
        *,
        base: Base,
        schema: pa.Schema | None = None,
        lease: timedelta = LEASE,
    ) -> Staged:
        """Write rows durably: few travel in the result, many go to files that a lease keeps."""
        return staging.write(self._store, batches, base, schema, lease)

    def renew(self, staged: Staged, lease: timedelta = LEASE) -> Staged:
        """Extend a lease."""
        return staging.renew(self._store, staged, lease)

    def discard(self, staged: Staged) -> None:
        """Remove what was staged and never committed."""
        staging.discard(self._store, staged)

    def drop_columns(self, names: Sequence[str], *, base: Base) -> Commit:
        """Remove columns, in the catalog alone; their bytes go when no kept version shows them."""
        return commits.drop_columns(self._store, names, base)

    def optimize(
        self, *, keep: timedelta = RETENTION, delete_unverified: bool = False
    ) -> OptimizeReport:
        """Merge small pieces, and drop what no kept version needs; row ids stay as they are."""
        return optimize.optimize(self._store, keep, delete_unverified=delete_unverified)

    def _write_column(
        self, field: pa.Field, batches: Iterable[pa.RecordBatch], base: Base, lease: timedelta
    ) -> Staged:
        return columns.write_column(self._store, field, batches, base, lease)

    def _commit(self, change: Change) -> Commit:
        return commits.commit(self._store, change)

    def _overwrite(
        self, schema: pa.Schema, staged: Sequence[Staged], base: Base, metadata: Mapping[str, str]
    ) -> Commit:
        return commits.overwrite(self._store, schema, staged, base, metadata)

    def _versions(self) -> list[Version]:
        return versions.versions(self._store)

    def _tags(self) -> dict[str, int]:
        return versions.tags(self._store)

    def _set_tag(self, name: str, version: int, *, move: bool) -> None:
        versions.set_tag(self._store, name, version, move=move)

    def _delete_tag(self, name: str) -> None:
        versions.delete_tag(self._store, name)

    def _restore(self, version: int | str) -> Commit:
        return versions.restore(self._store, version)
