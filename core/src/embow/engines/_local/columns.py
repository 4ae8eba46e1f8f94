"""One more column: its values by row id, staged in a file, then beside each fragment's files."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from sqlite3 import Connection

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines._local.blocks import Block, with_norms
from embow.engines._local.files import NewFiles, read_file
from embow.engines._local.layout import Layout, fresh_name
from embow.engines._local.leases import StagedFiles, end_lease, gone, leased
from embow.engines._local.records import FileRow, FragmentRow, TableRow, fragment_rows, insert_file
from embow.engines._local.scan import int64_array
from embow.engines._local.staging import lease_files, without_tail
from embow.engines._local.store import Store
from embow.engines._local.view import Fragment
from embow.engines.contract import ROW_ID, Base, RowIds, Staged, ending, row_ids_of
from embow.errors import CommitConflictError, StorageError
from embow.schema._masks import bitmap_of


def write_column(
    store: Store,
    field: pa.Field,
    batches: Iterable[pa.RecordBatch],
    base: Base,
    lease: timedelta,
) -> Staged:
    """Write batches of ``_rowid`` and one column to a file that a lease keeps."""
    with ending(batches), NewFiles(store.catalog, store.folder) as files:
        file = files.create(pa.schema([pa.field(ROW_ID, pa.int64()), field]))
        for batch in batches:
            file.write(batch)
        kept = StagedFiles((FragmentRow((file.finish(),), file.rows),), (field.name,))
        until = datetime.now(UTC) + lease
        staged = Staged(secrets.token_hex(16), base, file.rows, until, b"", field.name)
        lease_files(store, staged, kept, files)
    return staged


@dataclass(frozen=True, slots=True)
class NewColumn:
    """A column written beside the fragments there are.

    Attributes:
        field: The column.
        stored: Its stored name.
        written: The fragments, and the file that each gets.
        staged: Where its values come from.
        spooled: Names of their files, which can go once the column is committed.
    """

    field: pa.Field
    stored: str
    written: list[tuple[FragmentRow, FileRow]]
    staged: Staged
    spooled: list[str]


def align(store: Store, staged: Staged, files: NewFiles) -> NewColumn:
    """Write one more file for each fragment.

    Raises:
        StagedGoneError: The values were removed.
    """
    view = without_tail(store)
    with store.catalog.read() as db:
        kept = leased(db, store.current(db), staged)
    if kept is None:
        raise gone(staged)
    try:
        values = _Values.read(store, kept)
    except FileNotFoundError as exc:
        raise gone(staged) from exc
    stored = fresh_name(values.field.name)
    written = [(each.row, _write(files, each, stored, values)) for each in view.fragments]
    return NewColumn(values.field, stored, written, staged, [values.file.name])


def name_columns(
    db: Connection, row: TableRow, layout: Layout, columns: Sequence[NewColumn]
) -> Layout | None:
    """Name the files of new columns within a transaction.

    Returns:
        The layout with the columns, or ``None`` where a fragment is no longer there.

    Raises:
        CommitConflictError: There is a column of that name already.
    """
    there = set(fragment_rows(db, row.id))
    for each in columns:
        if each.field.name in layout.schema.names:
            raise CommitConflictError(
                f"Column '{each.field.name}' is there already: another writer added it. "
                "Nothing was changed."
            )
        if any(fragment not in there for fragment, _ in each.written):
            return None
        layout = layout.with_column(each.field, each.stored)
    for each in columns:
        for fragment, file in each.written:
            insert_file(db, fragment.id, file)
        end_lease(db, row, each.staged)
    return layout


def _write(files: NewFiles, fragment: Fragment, stored: str, values: _Values) -> FileRow:
    blocks = (
        with_norms(pa.RecordBatch.from_arrays([values.of(block)], names=[stored]))
        for block in fragment.blocks
    )
    first = next(blocks)
    file = files.create(first.schema)
    file.write(first)
    for batch in blocks:
        file.write(batch)
    return file.finish()


@dataclass(frozen=True, slots=True)
class _Values:
    """Staged values of one column.

    Attributes:
        file: Where they are.
        field: The column.
        row_ids: Ids that have a value, ascending; of equal ones the last counts.
        places: Where their values stand, counted over all batches.
        pieces: The values, mapped.
        starts: Place of the first value of each piece.
    """

    file: FileRow
    field: pa.Field
    row_ids: RowIds
    places: NDArray[np.intp]
    pieces: list[pa.Array]
    starts: NDArray[np.intp]

    @classmethod
    def read(cls, store: Store, kept: StagedFiles) -> _Values:
        ((file,),) = (each.files for each in kept.fragments)
        path = store.folder / file.name
        ids, pieces = [np.empty(0, np.int64)], []
        schema, batches = read_file(path, file, store.name)
        for batch, check in batches:
            check()
            ids.append(row_ids_of(batch))
            pieces.append(batch.column(1))
        if len(schema) != 2:
            raise StorageError(f"Cannot read {path}: it holds no values of a column.")
        every = np.concatenate(ids)
        order = np.argsort(every, kind="stable")
        starts = np.cumsum([0, *map(len, pieces)], dtype=np.intp)[:-1]
        return cls(file, schema.field(1), every[order], order, pieces, starts)

    def of(self, block: Block) -> pa.Array:
        """Return the values of a block's rows, null where there is none."""
        found, places = self._find(block.ids)
        if not found.any():
            return pa.nulls(block.rows, self.field.type)
        numbers = np.searchsorted(self.starts, places, side="right") - 1
        index = np.zeros(block.rows, np.int64)
        taken: list[pa.Array] = []
        filled = 0
        for number in np.unique(numbers[found]).tolist():
            rows = np.flatnonzero(found & (numbers == number))
            taken.append(self.pieces[number].take(int64_array(places[rows] - self.starts[number])))
            index[rows] = np.arange(filled, filled + len(rows))
            filled += len(rows)
        buffers = [bitmap_of(found), pa.py_buffer(index)]
        indices = pa.Array.from_buffers(pa.int64(), block.rows, buffers)
        return pa.concat_arrays(taken).take(indices)

    def _find(self, row_ids: RowIds) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
        if not len(self.row_ids):
            return np.zeros(len(row_ids), np.bool_), np.zeros(len(row_ids), np.intp)
        at = np.maximum(np.searchsorted(self.row_ids, row_ids, side="right") - 1, 0)
        return self.row_ids[at] == row_ids, self.places[at]
