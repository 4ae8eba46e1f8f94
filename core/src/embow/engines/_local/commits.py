"""The commit: one transaction that names what was staged, if what it was planned on still holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from sqlite3 import Connection

import numpy as np
import pyarrow as pa

from embow._cancel import stop_if_cancelled
from embow.engines._local.alive import ascending
from embow.engines._local.columns import NewColumn, align, name_columns
from embow.engines._local.files import NewFiles
from embow.engines._local.layout import Layout
from embow.engines._local.leases import earlier, remember
from embow.engines._local.records import (
    Deletion,
    TableRow,
    insert_deletion,
    insert_schema,
    insert_version,
    version_rows,
)
from embow.engines._local.staging import add_rows
from embow.engines._local.store import Store
from embow.engines.contract import Base, Change, Commit, RowIds, Staged
from embow.errors import CommitConflictError

_ATTEMPTS = 5
NO_ROWS = np.empty(0, np.int64)


def commit(store: Store, change: Change) -> Commit:
    """Make a change.

    Raises:
        CommitConflictError: What it was planned on no longer holds, or others kept exchanging
            the files that a column was written beside.
    """
    columns = list(filter(attrgetter("column"), change.add))
    for _ in range(_ATTEMPTS):
        with NewFiles(store.catalog, store.folder) as files:
            aligned: list[NewColumn] = []
            if columns:
                with store.catalog.read() as db:
                    known = _start(store, db, change)
                if isinstance(known, Commit):
                    return known
                aligned = [align(store, each, files) for each in columns]
            done = _try_commit(store, change, aligned, files)
        if done is not None:
            if aligned:
                store.remove([name for each in aligned for name in each.spooled])
            return done
    raise CommitConflictError(
        f"Column '{columns[0].column}' could not be added to table '{store.name}': its files were "
        f"exchanged by other writers {_ATTEMPTS} times. Retry when they are done."
    )


def _try_commit(
    store: Store, change: Change, columns: Sequence[NewColumn], files: NewFiles
) -> Commit | None:
    """Return the commit, or ``None`` where the files beside new columns are no longer there."""
    work = partial(_apply, store, change, columns, files)
    # What removes rows looks them up in the state of before, and may not stand beside changes that
    # can still be undone.
    if change.shapes or change.remove is not None:
        with store.catalog.write() as db:
            return work(db)
    return store.catalog.together(work)


def _apply(
    store: Store, change: Change, columns: Sequence[NewColumn], files: NewFiles, db: Connection
) -> Commit | None:
    """Make a change within a transaction."""
    stop_if_cancelled()  # Others may have written for long.
    rows = [each for each in change.add if each.column is None and each.rows]
    removed = NO_ROWS if change.remove is None else ascending(change.remove)
    before = _start(store, db, change)
    if isinstance(before, Commit):
        return before
    if len(removed):
        _check_alive(store, db, removed)
    row, layout = replace(before, version=before.version + 1), store.layout(db, before)
    if columns:
        found = name_columns(db, row, layout, columns)
        if found is None:
            return None
        layout, row = found, replace(row, epoch=row.epoch + 1)
    if change.columns:
        layout = _with_new(store, layout, change.columns)
    if change.metadata is not None:
        layout = layout.with_entries(change.metadata)
    if change.shapes:
        insert_schema(db, row.id, row.version, layout)
        row = replace(row, schema_version=row.version)
    if len(removed):
        insert_deletion(db, row, Deletion(row.version, removed))
        row = replace(row, rows=row.rows - len(removed))
    for each in rows:
        row = add_rows(db, row, each, layout, files, store.sizes)
    operation = _operation(change, bool(rows), bool(len(removed)))
    insert_version(db, row, operation, plain=operation == "add" and not change.alone)
    done = Commit(row.version, row.next_row - before.next_row, len(removed))
    remember(db, row, change.add, done)
    files.keep()
    return done


def _start(store: Store, db: Connection, change: Change) -> TableRow | Commit:
    """Return the state to change, or the commit that made the change before.

    Raises:
        CommitConflictError: The change can no longer be made.
    """
    for staged in change.add:
        store.check_table(staged.base)
    known = earlier(db, change.add)
    if known is not None:
        return known
    row = store.current(db, change.base)
    _check_base(store, db, row, change)
    return row


def _check_base(store: Store, db: Connection, row: TableRow, change: Change) -> None:
    if row.schema_version > change.base.version:
        raise CommitConflictError(
            f"Columns or metadata of table '{store.name}' were changed, or it was overwritten, by "
            "another writer meanwhile; nothing was changed. Read it again and retry."
        )
    others = row.version - change.base.version
    if not change.alone or not others:
        return
    since = version_rows(db, row.id, change.base.version)
    if change.shapes or sum(each.plain for each in since) < others:
        raise CommitConflictError(
            f"Table '{store.name}' was changed by another writer meanwhile ({others} times); "
            "nothing was changed. Read it again and retry."
        )


def _check_alive(store: Store, db: Connection, row_ids: RowIds) -> None:
    alive = sum(len(positions) for _, positions in store.load(db).locate(row_ids))
    if alive != len(row_ids):
        raise CommitConflictError(
            f"{len(row_ids) - alive} of {len(row_ids)} rows to remove from table '{store.name}' "
            "are gone: another writer changed them first. Read them again and retry."
        )


def _with_new(store: Store, layout: Layout, fields: Sequence[pa.Field]) -> Layout:
    for each in fields:
        if each.name in layout.schema.names:
            raise CommitConflictError(
                f"Column '{each.name}' of table '{store.name}' is there already: another writer "
                "added it. Nothing was changed."
            )
    return layout.with_new(fields)


def _operation(change: Change, added: bool, removed: bool) -> str:
    if change.brings_columns:
        return "columns"
    if change.metadata is not None:
        return "change" if added else "metadata"
    if removed:
        return "change" if added else "delete"
    return "add"


def overwrite(
    store: Store,
    schema: pa.Schema,
    staged: Sequence[Staged],
    base: Base,
    metadata: Mapping[str, str],
) -> Commit:
    """Delete every row, set schema and metadata and add rows, in one commit."""
    layout = Layout.new(schema, metadata)
    with NewFiles(store.catalog, store.folder) as files, store.catalog.write() as db:
        before = store.current(db, base)
        rows = [each for each in staged if each.rows]
        known = earlier(db, rows)
        if known is not None:
            return known
        version = before.version + 1
        row = replace(
            before, version=version, schema_version=version, epoch=before.epoch + 1, rows=0
        )
        insert_schema(db, row.id, version, layout)
        insert_deletion(db, row, Deletion(version, NO_ROWS, (0, before.next_row)))
        for each in rows:
            store.check_table(each.base)
            row = add_rows(db, row, each, layout, files, store.sizes)
        insert_version(db, row, "overwrite")
        done = Commit(version, row.rows, before.rows)
        remember(db, row, rows, done)
        files.keep()
    return done


def drop_columns(store: Store, names: Sequence[str], *, base: Base) -> Commit:
    """Remove columns, in the catalog alone."""
    with store.catalog.write() as db:
        row = store.current(db, base)
        _check_base(store, db, row, Change(base))
        layout = store.layout(db, row).without(names)
        row = replace(row, version=row.version + 1, schema_version=row.version + 1)
        insert_schema(db, row.id, row.version, layout)
        insert_version(db, row, "drop columns")
    return Commit(row.version)
