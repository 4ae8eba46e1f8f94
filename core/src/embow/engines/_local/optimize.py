"""Merging small pieces, and dropping what no kept version needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby
from sqlite3 import Connection

import numpy as np
import pyarrow as pa

from embow.engines._indexing import untold
from embow.engines._local.blocks import STORED_ROW_ID, Block, coalesce, with_norms
from embow.engines._local.files import NewFiles
from embow.engines._local.indexing import extend_indexes
from embow.engines._local.leases import named_files
from embow.engines._local.records import (
    FragmentRow,
    TableRow,
    delete_fragments,
    fragment_rows,
    insert_fragments,
    update_table,
    version_rows,
)
from embow.engines._local.retention import Needs, fold_deletions, forget
from embow.engines._local.scan import int64_array
from embow.engines._local.staging import flush_tail, write_fragments
from embow.engines._local.store import Store
from embow.engines._local.sweep import sweep
from embow.engines._local.vectors import NORM_SUFFIX
from embow.engines._local.view import Fragment, open_fragments
from embow.engines.contract import RETENTION, OptimizeReport, RowIds
from embow.errors import CommitConflictError

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class _Rewrite:
    """Neighbouring fragments, what takes their place, and rows that are dropped."""

    old: tuple[Fragment, ...]
    new: tuple[FragmentRow, ...]
    dropped: RowIds


@dataclass(frozen=True, slots=True)
class _Whole:
    """Every fragment of a table, those of earlier versions included, and what is needed."""

    row: TableRow
    fragments: list[Fragment]
    needs: Needs


def optimize(
    store: Store, *, keep: timedelta = RETENTION, delete_unverified: bool = False
) -> OptimizeReport:
    """Merge small pieces, drop what no kept version needs; row ids stay as they are.

    Raises:
        CommitConflictError: Others kept exchanging the rows' files.
    """
    with NewFiles(store.catalog, store.folder) as files, store.catalog.write() as db:
        row = store.current(db)
        gone = forget(db, row, keep, delete_unverified=delete_unverified)
        row = store.current(db)
        update_table(db, flush_tail(db, row, files, store.sizes))
        oldest = version_rows(db, row.id)[0].version
        files.keep()
    for _ in range(_ATTEMPTS):
        done = _try_rewrite(store)
        if done is not None:
            built = extend_indexes(store, untold)
            count, size = sweep(store.data, lambda: _named(store))
            size += store.catalog.shrink()
            return replace(
                done,
                files_removed=done.files_removed + count,
                bytes_freed=done.bytes_freed + size,
                versions_removed=len(gone),
                oldest_version=oldest,
                pieces_built=built,
            )
    raise CommitConflictError(
        f"Table '{store.name}' could not be optimized: other writers exchanged its files "
        f"{_ATTEMPTS} times. Retry when they are done."
    )


def _named(store: Store) -> set[str]:
    with store.catalog.read() as db:
        return named_files(db)


def _try_rewrite(store: Store) -> OptimizeReport | None:
    whole = store.reading(lambda db: _read(store, db))
    with NewFiles(store.catalog, store.folder) as files:
        rewrites = [_rewrite(store, whole.needs, run, files) for run in _runs(whole, store)]
        removed = _commit(store, rewrites, files)
    if removed is None:
        return None
    before = len(whole.fragments)
    return OptimizeReport(
        fragments_before=before,
        fragments_after=before + sum(len(each.new) - len(each.old) for each in rewrites),
        rows_dropped=sum(len(each.dropped) for each in rewrites),
        files_removed=removed[0],
        bytes_freed=removed[1],
    )


def _read(store: Store, db: Connection) -> _Whole:
    row = store.current(db)
    found = sorted(fragment_rows(db, row.id), key=lambda each: each.first_row)
    fragments = open_fragments(row, found, store.data, store.held)
    return _Whole(row, fragments, Needs.read(db, row))


def _runs(whole: _Whole, store: Store) -> Iterator[tuple[Fragment, ...]]:
    """Yield neighbours worth rewriting: several small ones, or any with something to drop."""

    def key(fragment: Fragment) -> tuple[bool, frozenset[str]]:
        wanted = _is_small(fragment, store) or _is_dirty(whole.needs, fragment)
        return wanted, _columns(whole.needs, fragment)

    for (wanted, _), group in groupby(whole.fragments, key):
        run = tuple(group)
        if wanted and (len(run) > 1 or _is_dirty(whole.needs, run[0])):
            yield run


def _is_small(fragment: Fragment, store: Store) -> bool:
    return sum(file.size for file in fragment.row.files) < store.sizes.fragment_bytes // 2


def _columns(needs: Needs, fragment: Fragment) -> frozenset[str]:
    return frozenset(fragment.blocks[0].columns.keys() & needs.types.keys())


def _is_dirty(needs: Needs, fragment: Fragment) -> bool:
    stored = {name.removesuffix(NORM_SUFFIX) for name in fragment.blocks[0].columns}
    return bool(stored - {*needs.types, STORED_ROW_ID}) or not all(
        needs.rows(block).all() for block in fragment.blocks
    )


def _rewrite(store: Store, needs: Needs, run: tuple[Fragment, ...], files: NewFiles) -> _Rewrite:
    blocks = [block for fragment in run for block in fragment.blocks]
    wanted = [needs.rows(block) for block in blocks]
    ids = np.concatenate([each.ids[rows] for each, rows in zip(blocks, wanted, strict=True)])
    gone = np.concatenate([each.ids[~rows] for each, rows in zip(blocks, wanted, strict=True)])
    dense = not len(ids) or int(ids[-1] - ids[0]) + 1 == len(ids)
    names = sorted(_columns(needs, run[0]))
    columns = {name: needs.types[name] for name in names}
    batches = (
        _rows(block, np.flatnonzero(rows), columns, with_ids=not dense)
        for block, rows in zip(blocks, wanted, strict=True)
    )
    sizes = store.sizes
    pieces = coalesce(batches, sizes.block_rows, sizes.block_bytes)
    new: list[FragmentRow] = []
    written = 0
    for each in write_fragments(map(with_norms, pieces), files, sizes):
        new.append(replace(each, first_row=int(ids[written]), dense=dense))
        written += each.rows
    return _Rewrite(run, tuple(new), gone)


def _rows(
    block: Block, positions: RowIds, columns: dict[str, pa.DataType], *, with_ids: bool
) -> pa.RecordBatch:
    arrays = dict(zip(columns, block.select(columns, columns), strict=True))
    if with_ids:
        arrays[STORED_ROW_ID] = int64_array(block.ids)
    batch = pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))
    return batch if len(positions) == block.rows else batch.take(int64_array(positions))


def _commit(store: Store, rewrites: list[_Rewrite], files: NewFiles) -> tuple[int, int] | None:
    """Return how many files went, and their bytes; ``None`` where others exchanged some."""
    old = [each.row for rewrite in rewrites for each in rewrite.old]
    gone = np.concatenate([np.empty(0, np.int64), *(each.dropped for each in rewrites)])
    with store.catalog.write() as db:
        row = store.current(db)
        if set(old) - set(fragment_rows(db, row.id)):
            return None
        unnamed = delete_fragments(db, old)
        for rewrite in rewrites:
            insert_fragments(db, row, rewrite.new)
        fold_deletions(db, row, np.sort(gone))
        update_table(db, replace(row, epoch=row.epoch + 1))
        files.keep()
    return store.remove(unnamed)
