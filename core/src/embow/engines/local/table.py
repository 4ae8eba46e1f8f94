"""One open table of the embedded engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from embow.engines.base import Commit, EngineTable, ScanQuery, VectorQuery
from embow.engines.local import commits, evolution, optimize, scan, search
from embow.engines.local.store import Store

if TYPE_CHECKING:
    from embow.engines.predicate import Predicate


class LocalTable(EngineTable):
    """A table in an SQLite catalog and Arrow files.

    Args:
        store: What its operations share.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def name(self) -> str:
        """Name of the table, the new one after it was renamed."""
        return self._store.current_name()

    def schema(self) -> pa.Schema:
        """Return the current schema, metadata included."""
        return self._store.snapshot().layout.schema

    def version(self) -> int:
        """Return the current version."""
        return self._store.snapshot().row.version

    def append(
        self,
        batches: Iterable[pa.RecordBatch],
        *,
        guard: Mapping[bytes, bytes | None] | None = None,
    ) -> Commit:
        """Add all batches in one commit; few rows go to the catalog, many to files."""
        return commits.append(self._store, batches, guard)

    def count_rows(self, predicate: Predicate | None = None) -> int:
        """Count rows, all or those that satisfy the predicate."""
        return scan.count(self._store.snapshot(), predicate)

    def scan(self, query: ScanQuery) -> pa.RecordBatchReader:
        """Read rows in insertion order, lazily, from one version; ids that are gone are skipped."""
        return scan.scan(self._store.snapshot(), query)

    def search(self, query: VectorQuery) -> list[pa.Table]:
        """Return for each query vector its nearest rows, by an exact scan.

        Distances are computed in float64 and returned as float32. A vector of norm zero has
        cosine distance 1 to everything. Rows whose distance is not a number are left out.
        """
        return search.search(self._store.snapshot(), query)

    def delete(self, predicate: Predicate) -> Commit:
        """Remove the rows that satisfy the predicate when the commit is made."""
        return commits.delete(self._store, predicate)

    def replace(
        self,
        row_ids: Sequence[int],
        batches: Iterable[pa.RecordBatch],
        *,
        guard: Mapping[bytes, bytes | None] | None = None,
    ) -> Commit:
        """Remove rows by id and add batches, in one commit."""
        return commits.replace_rows(self._store, row_ids, batches, guard)

    def overwrite(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Commit:
        """Remove every row, set the schema and add batches, in one commit."""
        return commits.overwrite(self._store, schema, batches)

    def set_metadata(self, metadata: Mapping[bytes, bytes], *, expected: pa.Schema) -> Commit:
        """Replace the schema metadata, if the schema is still the expected one."""
        return evolution.set_metadata(self._store, metadata, expected)

    def add_column(self, field: pa.Field, batches: Iterable[pa.RecordBatch]) -> Commit:
        """Add one column; the files there are stay as they are and get one more beside each."""
        return evolution.add_column(self._store, field, batches)

    def alter_columns(
        self,
        *,
        rename: Mapping[str, str] | None = None,
        drop: Sequence[str] = (),
        metadata: Mapping[bytes, bytes] | None = None,
        nullable: Mapping[str, bool] | None = None,
        expected_version: int | None = None,
    ) -> Commit:
        """Drop and rename columns and set the metadata, in the catalog alone."""
        change = evolution.Change(rename or {}, drop, metadata, nullable or {})
        return evolution.alter_columns(self._store, change, expected_version)

    def optimize(self) -> dict[str, Any]:
        """Merge small pieces, drop deleted rows and unnamed files; row ids stay as they are."""
        return optimize.optimize(self._store)
