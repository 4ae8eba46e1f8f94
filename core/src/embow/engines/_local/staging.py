"""Rows on their way into a table: written before the commit, named by it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from sqlite3 import Connection

import pyarrow as pa

from embow.engines._local import tail as tails
from embow.engines._local.blocks import coalesce, join, with_norms
from embow.engines._local.files import NewFile, NewFiles
from embow.engines._local.layout import Layout, visible_name
from embow.engines._local.leases import (
    StagedFiles,
    check_lease,
    earlier,
    end_lease,
    extend_lease,
    gone,
    insert_lease,
    pack,
    remember,
    unpack,
)
from embow.engines._local.records import (
    FragmentRow,
    TableRow,
    insert_fragments,
    numbered,
    update_table,
)
from embow.engines._local.sealed import insert
from embow.engines._local.sizes import Sizes
from embow.engines._local.store import Store
from embow.engines._local.view import View
from embow.engines.contract import LEASE, Base, Commit, Staged, conform, ending
from embow.errors import CommitConflictError

Rows = tuple[int, bytes, tuple[FragmentRow, ...]]
"""How many rows, and either all of them as a stream, if they are few, or finished files."""


def write(
    store: Store,
    batches: Iterable[pa.RecordBatch],
    *,
    base: Base,
    schema: pa.Schema | None = None,
    new: Sequence[pa.Field] = (),
    lease: timedelta = LEASE,
) -> Staged:
    """Write rows durably: few into the `Staged` itself, many to files that a lease keeps."""
    layout = store.layout_of(base) if schema is None else Layout.new(schema)
    if new:
        layout = layout.with_new(new)
    store.catalog.require("write")  # Before rows are asked for, which may cost money.
    with NewFiles(store.catalog, store.folder) as files:
        rows, stream, fragments = stage(batches, layout, files, store.sizes)
        staged = Staged(secrets.token_hex(16), base, rows, datetime.now(UTC) + lease, b"")
        if stream:
            return replace(staged, payload=pack(stream))
        if rows:
            lease_files(store, staged, StagedFiles(fragments, layout.columns), files)
    return staged


def lease_files(store: Store, staged: Staged, kept: StagedFiles, files: NewFiles) -> None:
    """Let the catalog keep finished files, before this process no longer holds them."""
    with store.catalog.write() as db:
        insert_lease(db, store.current(db, staged.base), staged, kept)
        files.keep()


def renew(store: Store, staged: Staged, lease: timedelta = LEASE) -> Staged:
    """Extend a lease; of rows that were committed meanwhile there is none."""
    renewed = replace(staged, until=datetime.now(UTC) + lease)
    with store.catalog.write() as db:
        row = store.current(db, staged.base)
        if (not staged.rows and staged.column is None) or earlier(db, [staged]) is not None:
            return renewed
        if staged.payload:
            check_lease(row, staged)
        elif not extend_lease(db, renewed):
            raise gone(staged)
    return renewed


def discard(store: Store, staged: Staged) -> None:
    with store.catalog.write() as db:
        row = store.current(db)
        kept = end_lease(db, row, staged)
        remember(db, row, [staged], Commit(0))
    if kept is not None:
        store.remove(file.name for each in kept.fragments for file in each.files)


def stage(batches: Iterable[pa.RecordBatch], layout: Layout, files: NewFiles, sizes: Sizes) -> Rows:
    """Pull all batches, in bounded memory."""
    with ending(batches):
        stored = _as_stored(batches, layout)
        first, rows, rest = _first_rows(stored, sizes)
        if not rest:
            return rows, tails.encode(join(first)) if rows else b"", ()
        every = _emptied(first, stored)
        blocks = map(with_norms, coalesce(every, sizes.block_rows, sizes.block_bytes))
        fragments = tuple(write_fragments(blocks, files, sizes))
    return sum(each.rows for each in fragments), b"", fragments


def _as_stored(batches: Iterable[pa.RecordBatch], layout: Layout) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        columns = conform(batch, layout.schema).columns
        yield pa.RecordBatch.from_arrays(columns, schema=layout.stored_schema)


def _first_rows(
    batches: Iterator[pa.RecordBatch], sizes: Sizes
) -> tuple[list[pa.RecordBatch], int, bool]:
    """Return the first batches, their rows, and whether these are too many for the catalog."""
    first: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        first.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows > sizes.small_rows or size > sizes.small_bytes:
            return first, rows, True
    return first, rows, False


def _emptied(
    first: list[pa.RecordBatch], rest: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Yield all batches, holding none that has been handed on."""
    first.reverse()
    while first:
        yield first.pop()
    yield from rest


def write_fragments(
    blocks: Iterable[pa.RecordBatch], files: NewFiles, sizes: Sizes
) -> Iterator[FragmentRow]:
    """Write blocks of stored columns, a new file when one is large; yield each finished one."""
    file: NewFile | None = None
    for block in blocks:
        if file is None:
            file = files.create(block.schema)
        file.write(block)
        if file.bytes >= sizes.fragment_bytes:
            yield FragmentRow((file.finish(),), file.rows)
            file = None
    if file is not None:
        yield FragmentRow((file.finish(),), file.rows)


def add_rows(
    db: Connection, row: TableRow, staged: Staged, layout: Layout, files: NewFiles, sizes: Sizes
) -> TableRow:
    """Name staged rows within a transaction; return the state to be written.

    Rows in files go in only after the tail has moved to a file of its own, so that the tail
    always holds the newest rows.

    Raises:
        StagedGoneError: They were removed.
        CommitConflictError: They were written for other columns.
    """
    if not staged.payload:
        return _add_files(db, flush_tail(db, row, files, sizes), staged, layout)
    check_lease(row, staged)
    stream, batch = unpack(staged)
    _check_columns(layout, batch.schema.names)
    return _add_to_tail(db, row, stream, batch.num_rows, files, sizes)


def insert_rows(
    db: Connection, row: TableRow, rows: Rows, files: NewFiles, sizes: Sizes
) -> TableRow:
    """Name rows that were never a lease's; return the state to be written."""
    count, stream, fragments = rows
    if stream:
        return _add_to_tail(db, row, stream, count, files, sizes)
    return _add_fragments(db, row, fragments)


def _add_to_tail(
    db: Connection, row: TableRow, stream: bytes, rows: int, files: NewFiles, sizes: Sizes
) -> TableRow:
    if row.tail_rows >= sizes.tail_rows or row.tail_bytes >= sizes.tail_bytes:
        row = flush_tail(db, row, files, sizes)
    insert(db, "tail", row.id, row.version, row.next_row, rows, stream)
    return replace(
        row,
        next_row=row.next_row + rows,
        rows=row.rows + rows,
        tail_rows=row.tail_rows + rows,
        tail_bytes=row.tail_bytes + len(stream),
    )


def _add_files(db: Connection, row: TableRow, staged: Staged, layout: Layout) -> TableRow:
    kept = end_lease(db, row, staged)
    if kept is None:
        raise gone(staged)
    _check_columns(layout, kept.columns)
    return _add_fragments(db, row, kept.fragments)


def _add_fragments(db: Connection, row: TableRow, fragments: Iterable[FragmentRow]) -> TableRow:
    placed = numbered(fragments, row.next_row)
    insert_fragments(db, row, placed)
    rows = sum(each.rows for each in placed)
    return replace(row, next_row=row.next_row + rows, rows=row.rows + rows)


def _check_columns(layout: Layout, found: Sequence[str]) -> None:
    """Refuse rows that were written for another column of the same name, or lack one."""
    written = frozenset(found)
    for stored, field in zip(layout.columns, layout.schema, strict=True):
        if stored in written:
            continue
        if not field.nullable or field.name in map(visible_name, found):
            raise CommitConflictError(
                f"Column '{field.name}' is no longer the one these rows were written for: the "
                "table was changed meanwhile. Nothing was committed; write the rows again."
            )


def flush_tail(db: Connection, row: TableRow, files: NewFiles, sizes: Sizes) -> TableRow:
    """Move the tail to a file within a transaction; return the state to be written."""
    if not row.tail_rows:
        return row
    entries, _ = tails.read_tail(db, row.id, 0)
    fragments: list[FragmentRow] = []
    # Entries written before and after a column was added go to files of their own.
    for names, group in groupby(entries, key=lambda block: tuple(block.columns)):
        blocks = list(group)
        arrays = [pa.concat_arrays([block.columns[name] for block in blocks]) for name in names]
        batch = with_norms(pa.RecordBatch.from_arrays(arrays, names=list(names)))
        fragments.extend(write_fragments([batch], files, sizes))
    insert_fragments(db, row, numbered(fragments, entries[0].first_row))
    db.execute("DELETE FROM tail WHERE table_id = ?", (row.id,))
    return replace(row, epoch=row.epoch + 1, tail_rows=0, tail_bytes=0)


def without_tail(store: Store) -> View:
    """Return the current version, its tail moved to a file so that files hold every row."""
    with NewFiles(store.catalog, store.folder) as files, store.catalog.write() as db:
        row = store.current(db)
        flushed = flush_tail(db, row, files, store.sizes)
        if flushed != row:
            update_table(db, flushed)
            files.keep()
    return store.latest()
