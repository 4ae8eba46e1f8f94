"""Rows on their way into a table: written before the commit, named by it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import pyarrow as pa

from embow.engines.local import tail as tails
from embow.engines.local.blocks import coalesce, conform, ending, join, with_norms
from embow.engines.local.files import NewFile, NewFiles
from embow.engines.local.layout import Layout
from embow.engines.local.records import (
    FileRow,
    NewFragment,
    TableRow,
    insert_fragments,
)
from embow.engines.local.sizes import Sizes


@dataclass(frozen=True, slots=True)
class Staged:
    """Rows ready to be committed: either a small batch, or finished files."""

    rows: int
    small: pa.RecordBatch | None
    fragments: tuple[NewFragment, ...]


def stage(
    batches: Iterable[pa.RecordBatch], layout: Layout, files: NewFiles, sizes: Sizes
) -> Staged:
    """Pull all batches, in bounded memory; files are written unless the rows are few."""
    with ending(batches):
        conformed = (conform(batch, layout) for batch in batches)
        first = _first_rows(conformed, sizes)
        rows = sum(batch.num_rows for batch in first)
        if _is_small(first, sizes):
            return Staged(rows, join(first) if rows else None, ())
        every = _emptied(first, conformed)
        blocks = map(with_norms, coalesce(every, sizes.block_rows, sizes.block_bytes))
        fragments = tuple(write_fragments(blocks, files, sizes))
    return Staged(sum(each.rows for each in fragments), None, fragments)


def _first_rows(batches: Iterator[pa.RecordBatch], sizes: Sizes) -> list[pa.RecordBatch]:
    """Return the first batches, as few as tell whether there are few rows in all."""
    first: list[pa.RecordBatch] = []
    while _is_small(first, sizes) and (batch := next(batches, None)) is not None:
        first.append(batch)
    return first


def _is_small(batches: list[pa.RecordBatch], sizes: Sizes) -> bool:
    rows = sum(batch.num_rows for batch in batches)
    size = sum(batch.nbytes for batch in batches)
    return bool(rows <= sizes.small_rows and size <= sizes.small_bytes)


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
) -> Iterator[NewFragment]:
    """Write blocks of physical columns, a new file when one is large; yield each finished one."""
    file: NewFile | None = None
    for block in blocks:
        if file is None:
            file = files.create(block.schema)
        file.write(block)
        if file.bytes >= sizes.fragment_bytes:
            yield _finish(file)
            file = None
    if file is not None:
        yield _finish(file)


def _finish(file: NewFile) -> NewFragment:
    file.finish()
    return NewFragment(FileRow(file.name, file.bytes), file.rows)


def add_rows(
    db: sqlite3.Connection, row: TableRow, staged: Staged, files: NewFiles, sizes: Sizes
) -> TableRow:
    """Name staged rows within a transaction; return the state to be written.

    Rows in files go in only after the tail has moved to a file of its own, so that the tail
    always holds the newest rows.
    """
    if not staged.rows:
        return row
    end = row.next_row + staged.rows
    if staged.small is None:
        row = flush_tail(db, row, files, sizes)
        insert_fragments(db, row.id, row.version, _numbered(staged.fragments, row.next_row))
        return replace(row, next_row=end)
    payload = tails.encode(staged.small)
    if row.tail_rows >= sizes.tail_rows or row.tail_bytes >= sizes.tail_bytes:
        row = flush_tail(db, row, files, sizes)
    db.execute(
        "INSERT INTO tail (table_id, version, first_row, rows, payload) VALUES (?, ?, ?, ?, ?)",
        (row.id, row.version, row.next_row, staged.rows, payload),
    )
    return replace(
        row,
        next_row=end,
        tail_rows=row.tail_rows + staged.rows,
        tail_bytes=row.tail_bytes + len(payload),
    )


def _numbered(fragments: Iterable[NewFragment], first_row: int) -> Iterator[NewFragment]:
    for each in fragments:
        yield replace(each, first_row=first_row)
        first_row += each.rows


def flush_tail(db: sqlite3.Connection, row: TableRow, files: NewFiles, sizes: Sizes) -> TableRow:
    """Move the tail to a file within a transaction; return the state to be written."""
    if not row.tail_rows:
        return row
    entries, _ = tails.read_tail(db, row.id, 0)
    first_row = entries[0].first_row
    fragments: list[NewFragment] = []
    # Entries written before and after a column was added go to files of their own.
    for names, group in groupby(entries, key=lambda block: tuple(block.columns)):
        blocks = list(group)
        arrays = [pa.concat_arrays([block.columns[name] for block in blocks]) for name in names]
        batch = with_norms(pa.RecordBatch.from_arrays(arrays, names=list(names)))
        fragments.extend(write_fragments([batch], files, sizes))
    insert_fragments(db, row.id, row.version, _numbered(fragments, first_row))
    db.execute("DELETE FROM tail WHERE table_id = ?", (row.id,))
    return replace(row, epoch=row.epoch + 1, tail_rows=0, tail_bytes=0)
