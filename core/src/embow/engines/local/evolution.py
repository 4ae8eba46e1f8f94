"""Changes of the schema: metadata, renaming and dropping touch no file; a column adds files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from sqlite3 import Connection

import numpy as np
import pyarrow as pa

from embow.engines.base import Commit
from embow.engines.local.blocks import ending, with_norms
from embow.engines.local.commits import check_generation, without_tail
from embow.engines.local.files import NewFiles
from embow.engines.local.layout import Layout
from embow.engines.local.records import (
    FileRow,
    TableRow,
    fragment_rows,
    insert_file,
    insert_schema,
    update_table,
)
from embow.engines.local.snapshot import Fragment, Snapshot
from embow.engines.local.spool import Values, spool
from embow.engines.local.store import Store
from embow.errors import CommitConflictError, SchemaError

_ATTEMPTS = 5


def set_metadata(store: Store, metadata: Mapping[bytes, bytes], expected: pa.Schema) -> Commit:
    """Replace the schema metadata, if the schema is still the expected one."""
    with store.catalog.write() as db:
        latest = store.locked(db)
        if not latest.layout.schema.equals(expected, check_metadata=True):
            raise CommitConflictError(
                f"The schema of table '{store.name}' was changed by another writer; nothing was "
                "written. Read it again and retry."
            )
        row = _put_layout(db, latest.row, latest.layout.with_metadata(metadata))
    return Commit(row.version)


@dataclass(frozen=True, slots=True)
class Change:
    """What one call of ``alter_columns`` changes."""

    rename: Mapping[str, str]
    drop: Sequence[str]
    metadata: Mapping[bytes, bytes] | None
    nullable: Mapping[str, bool]

    def apply(self, layout: Layout) -> Layout:
        """Return the layout after the change."""
        changed = layout.without(self.drop).renamed(self.rename).ordered(layout.schema.names)
        changed = changed.with_nullable(self.nullable)
        return changed if self.metadata is None else changed.with_metadata(self.metadata)


def alter_columns(store: Store, change: Change, expected_version: int | None) -> Commit:
    """Drop and rename columns and set the metadata, in the catalog alone."""
    with store.catalog.write() as db:
        latest = store.locked(db)
        if expected_version not in (None, latest.row.version):
            raise CommitConflictError(
                f"Table '{store.name}' is at version {latest.row.version}, no longer at "
                f"{expected_version}; nothing was changed. Read it again and retry."
            )
        row = _put_layout(db, latest.row, change.apply(latest.layout))
    return Commit(row.version)


def add_column(store: Store, field: pa.Field, batches: Iterable[pa.RecordBatch]) -> Commit:
    """Write one more file for each fragment, then show the column, in one commit.

    Raises:
        CommitConflictError: Others kept exchanging or overwriting the rows.
    """
    with ending(batches), spool(store.data, field, batches) as values:
        for _ in range(_ATTEMPTS):
            commit = _try_add_column(store, field, values)
            if commit is not None:
                return commit
    raise CommitConflictError(
        f"Column '{field.name}' could not be added to table '{store.name}': its files were "
        f"exchanged by other writers {_ATTEMPTS} times. Retry when they are done."
    )


def _try_add_column(store: Store, field: pa.Field, values: Values) -> Commit | None:
    base = without_tail(store)
    added = base.layout.with_column(field)
    with NewFiles(store.folder) as files:
        written = [
            (each.row.id, _write_column(files, each, added.columns[-1], values))
            for each in base.fragments
        ]
        with store.catalog.write() as db:
            latest = store.locked(db)
            check_generation(store, base, latest.row)
            # Conflicts with columns that others changed meanwhile are found here.
            layout = _replace_last(latest.layout.with_column(field), added)
            if {each.row for each in base.fragments} - set(fragment_rows(db, store.id)):
                return None
            if not field.nullable:
                _check_complete(latest, field, values)
            for fragment_id, file in written:
                insert_file(db, fragment_id, file)
            row = _put_layout(db, replace(latest.row, epoch=latest.row.epoch + 1), layout)
            files.keep()
    return Commit(row.version)


def _replace_last(layout: Layout, other: Layout) -> Layout:
    """Return a layout whose last column is stored where another's last one is."""
    return Layout(layout.schema, (*layout.columns[:-1], other.columns[-1]))


def _put_layout(db: Connection, row: TableRow, layout: Layout) -> TableRow:
    row = replace(row, version=row.version + 1, schema_version=row.version + 1)
    insert_schema(db, row.id, row.schema_version, layout)
    update_table(db, row)
    return row


def _write_column(files: NewFiles, fragment: Fragment, physical: str, values: Values) -> FileRow:
    blocks = (
        with_norms(pa.RecordBatch.from_arrays([values.of(block)], names=[physical]))
        for block in fragment.blocks
    )
    first = next(blocks)
    file = files.create(first.schema)
    file.write(first)
    for batch in blocks:
        file.write(batch)
    file.finish()
    return FileRow(file.name, file.bytes)


def _check_complete(latest: Snapshot, field: pa.Field, values: Values) -> None:
    rows = np.concatenate(
        [np.empty(0, np.int64)]
        + [p.block.ids if p.live is None else p.block.ids[p.live] for p in latest.parts]
    )
    missing = int(np.count_nonzero(~values.has(rows)))
    if missing:
        raise SchemaError(
            f"Column '{field.name}' is declared not null, but {missing} of {len(rows)} rows have "
            "no value. Give every row a value, or declare it nullable."
        )
