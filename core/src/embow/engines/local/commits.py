"""Writes of rows. Each prepares its files first, then names them in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embow.engines.base import Commit
from embow.engines.local.files import NewFiles
from embow.engines.local.layout import Layout
from embow.engines.local.records import (
    TableRow,
    clear_rows,
    insert_deletion,
    insert_schema,
    update_table,
)
from embow.engines.local.selection import select
from embow.engines.local.snapshot import Snapshot
from embow.engines.local.staging import add_rows, flush_tail, stage
from embow.engines.local.store import Store
from embow.errors import CommitConflictError

if TYPE_CHECKING:
    import pyarrow as pa

    from embow.engines.predicate import Predicate

Guard = Mapping[bytes, bytes | None]


def append(store: Store, batches: Iterable[pa.RecordBatch], guard: Guard | None) -> Commit:
    """Add batches in one commit."""
    return replace_rows(store, (), batches, guard)


def replace_rows(
    store: Store,
    row_ids: Sequence[int],
    batches: Iterable[pa.RecordBatch],
    guard: Guard | None,
) -> Commit:
    """Remove rows by id and add batches, in one commit."""
    base = store.snapshot()
    removed = np.unique(np.array(row_ids, np.int64))
    with NewFiles(store.folder) as files:
        staged = stage(batches, base.layout, files, store.sizes)
        with store.catalog.write() as db:
            row = store.current(db)
            check_generation(store, base, row)
            if guard or len(removed):
                latest = store.locked(db)
                _check_guard(store, latest.layout, guard or {})
                _check_alive(store, latest, removed)
            if not staged.rows and not len(removed):
                return Commit(row.version)
            row = replace(row, version=row.version + 1)
            if len(removed):
                insert_deletion(db, row.id, row.version, removed)
            row = add_rows(db, row, staged, files, store.sizes)
            update_table(db, row)
            files.keep()
    return Commit(row.version, rows_added=staged.rows, rows_removed=len(removed))


def delete(store: Store, predicate: Predicate) -> Commit:
    """Remove the rows that satisfy the predicate at the moment of the commit."""
    with store.catalog.write() as db:
        latest = store.locked(db)
        found = [
            part.block.ids if chosen is None else part.block.ids[chosen]
            for part in latest.parts
            for chosen in [select(latest, part, predicate)]
        ]
        removed = np.concatenate([np.empty(0, np.int64), *found])
        if not len(removed):
            return Commit(latest.row.version)
        row = replace(latest.row, version=latest.row.version + 1)
        insert_deletion(db, row.id, row.version, removed)
        update_table(db, row)
    return Commit(row.version, rows_removed=len(removed))


def overwrite(store: Store, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Commit:
    """Remove every row, set the schema and add batches, in one commit."""
    layout = Layout.new(schema)
    with NewFiles(store.folder) as files:
        staged = stage(batches, layout, files, store.sizes)
        with store.catalog.write() as db:
            latest = store.locked(db)
            unnamed = clear_rows(db, store.id)
            version = latest.row.version + 1
            insert_schema(db, store.id, version, layout)
            row = replace(
                latest.row,
                version=version,
                epoch=latest.row.epoch + 1,
                generation=latest.row.generation + 1,
                schema_version=version,
                tail_rows=0,
                tail_bytes=0,
            )
            update_table(db, add_rows(db, row, staged, files, store.sizes))
            files.keep()
    store.remove(unnamed)
    return Commit(version, rows_added=staged.rows, rows_removed=latest.rows)


def without_tail(store: Store) -> Snapshot:
    """Return the current version, its tail moved to a file so that files hold every row."""
    with NewFiles(store.folder) as files, store.catalog.write() as db:
        row = store.current(db)
        flushed = flush_tail(db, row, files, store.sizes)
        if flushed != row:
            update_table(db, flushed)
            files.keep()
    return store.snapshot()


def check_generation(store: Store, base: Snapshot, row: TableRow) -> None:
    """Raise `CommitConflictError` if the table was overwritten since ``base``."""
    if row.generation != base.row.generation:
        raise CommitConflictError(
            f"Table '{store.name}' was overwritten by another writer meanwhile; nothing was "
            "changed. Read it again and retry."
        )


def _check_guard(store: Store, layout: Layout, guard: Guard) -> None:
    metadata = layout.schema.metadata or {}
    for key, value in guard.items():
        if metadata.get(key) != value:
            raise CommitConflictError(
                f"Schema metadata '{key.decode(errors='replace')}' of table '{store.name}' was "
                "changed by another writer; nothing was written. Open the table again and retry."
            )


def _check_alive(store: Store, latest: Snapshot, row_ids: NDArray[np.int64]) -> None:
    alive = sum(len(positions) for _, positions in latest.locate(row_ids))
    if alive != len(row_ids):
        raise CommitConflictError(
            f"{len(row_ids) - alive} of {len(row_ids)} rows to replace in table '{store.name}' "
            "are gone: another writer changed them first. Read them again and retry."
        )
