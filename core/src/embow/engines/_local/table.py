"""One open table of the embedded engine, and one version of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from embow.engines._local import (
    check,
    columns,
    commits,
    covering,
    indexing,
    optimize,
    scan,
    search,
    staging,
    versions,
)
from embow.engines._local.store import Store
from embow.engines._local.view import View
from embow.engines.contract import (
    Base,
    Capability,
    RowIds,
    ScanQuery,
    Snapshot,
    VectorQuery,
    check_columns,
)
from embow.engines.indexes import Covering
from embow.engines.predicate import Predicate

CAPABILITIES = frozenset(
    {
        Capability.VERSIONS,
        Capability.TAGS,
        Capability.RESTORE,
        Capability.RENAME_TABLE,
        Capability.ORDERED_SCAN,
        Capability.STABLE_ROW_IDS,
        Capability.MULTIVECTOR,
        Capability.FRAGMENTS,
        Capability.VECTOR_INDEX,
        Capability.TEXT_INDEX,
    }
)
"""Without ``REMOTE_WRITE``: another process may stage rows, but not from another machine."""


class LocalSnapshot(Snapshot):
    """One version of a table, its files mapped.

    Distances are computed in float64 and returned as float32.

    Args:
        view: The version.
        store: The table.
    """

    capabilities = CAPABILITIES

    def __init__(self, view: View, store: Store) -> None:
        base = Base(view.row.folder, view.version)
        super().__init__(base, view.layout.schema, view.layout.metadata)
        self._view = view
        self._store = store

    def understands(self, predicate: Predicate) -> bool:
        return True

    def indexes(self) -> Sequence[Covering[Any]]:
        if not self._view.indexes:
            return ()
        return covering.coverings(self._store, self._view)

    def fragments(self) -> list[str]:
        return scan.fragment_names(self._view)

    def _scan(self, query: ScanQuery) -> pa.RecordBatchReader:
        return scan.scan(self._view, query)

    def _search(self, query: VectorQuery) -> list[pa.Table]:
        return search.search(self._view, query)

    def row_ids(self, predicate: Predicate | None = None) -> RowIds:
        if predicate is not None:
            check_columns(self.schema, predicate.columns)
        return scan.row_ids(self._view, predicate)

    def _count_rows(self) -> int:
        return self._view.rows


class LocalTable(Store):
    """A table in an SQLite catalog and Arrow files: its verbs, each a function of a `Store`."""

    capabilities = CAPABILITIES

    check = check.check
    write = staging.write
    renew = staging.renew
    discard = staging.discard
    drop_columns = commits.drop_columns
    optimize = optimize.optimize
    _write_column = columns.write_column
    _commit = commits.commit
    _overwrite = commits.overwrite
    _versions = versions.versions
    _tags = versions.tags
    _set_tag = versions.set_tag
    _delete_tag = versions.delete_tag
    _restore = versions.restore
    indexes = indexing.indexes
    _create_index = indexing.create_index
    _drop_index = indexing.drop_index
    _move_index = indexing.move_index
    _extend_indexes = indexing.extend_indexes

    def _snapshot(self, version: int | str | None, at_least: int) -> Snapshot:
        view = self.reading(self.load) if version is None else self.version(version)
        return LocalSnapshot(view, self)
