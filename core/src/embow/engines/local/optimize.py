"""Merging small pieces, dropping deleted rows and dropped columns, sweeping unnamed files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from embow.engines.local.blocks import STORED_ROW_ID, Block, coalesce, with_norms
from embow.engines.local.commits import without_tail
from embow.engines.local.files import NewFiles, sweep
from embow.engines.local.records import (
    NewFragment,
    delete_fragments,
    fragment_rows,
    insert_deletion,
    insert_fragments,
    named_files,
    update_table,
)
from embow.engines.local.scan import int64_array
from embow.engines.local.snapshot import Fragment, Snapshot
from embow.engines.local.staging import write_fragments
from embow.engines.local.store import Store
from embow.engines.local.vectors import NORM_SUFFIX
from embow.errors import CommitConflictError

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class _Rewrite:
    """Neighbouring fragments and what takes their place."""

    old: tuple[Fragment, ...]
    new: tuple[NewFragment, ...]


def optimize(store: Store) -> dict[str, Any]:
    """Merge small pieces, drop deleted rows and unnamed files; row ids stay as they are.

    Returns:
        ``fragments_before``, ``fragments_after``, ``rows_dropped``, ``files_removed``.

    Raises:
        CommitConflictError: Others kept exchanging or overwriting the rows.
    """
    for _ in range(_ATTEMPTS):
        done = _try_rewrite(store)
        if done is not None:
            return {**done, "files_removed": sweep(store.data, lambda: _named(store))}
    raise CommitConflictError(
        f"Table '{store.name}' could not be optimized: other writers exchanged its files "
        f"{_ATTEMPTS} times. Retry when they are done."
    )


def _named(store: Store) -> set[str]:
    with store.catalog.read() as db:
        return named_files(db)


def _try_rewrite(store: Store) -> dict[str, int] | None:
    base = without_tail(store)
    before = after = len(base.fragments)
    dropped = 0
    with NewFiles(store.folder) as files:
        rewrites = [_rewrite(store, base, run, files) for run in _runs(base, store)]
        if rewrites and not _commit(store, base, rewrites, files):
            return None
    for each in rewrites:
        after += len(each.new) - len(each.old)
        dropped += sum(old.row.rows for old in each.old) - sum(new.rows for new in each.new)
    return {"fragments_before": before, "fragments_after": after, "rows_dropped": dropped}


def _runs(base: Snapshot, store: Store) -> Iterator[tuple[Fragment, ...]]:
    """Yield neighbours worth rewriting: several small ones, or any with something to drop."""
    for wanted, group in groupby(
        base.fragments, lambda each: _is_small(each, store) or _is_dirty(base, each)
    ):
        run = tuple(group)
        if wanted and (len(run) > 1 or _is_dirty(base, run[0])):
            yield run


def _is_small(fragment: Fragment, store: Store) -> bool:
    return sum(file.bytes for file in fragment.row.files) < store.sizes.fragment_bytes // 2


def _is_dirty(base: Snapshot, fragment: Fragment) -> bool:
    known = {*base.layout.columns, STORED_ROW_ID}
    stored = {name.removesuffix(NORM_SUFFIX) for name in fragment.blocks[0].columns}
    return bool(stored - known) or any(
        len(block.positions(base.deleted)) for block in fragment.blocks
    )


def _rewrite(store: Store, base: Snapshot, run: tuple[Fragment, ...], files: NewFiles) -> _Rewrite:
    blocks = [block for fragment in run for block in fragment.blocks]
    ids = np.concatenate([np.setdiff1d(each.ids, base.deleted) for each in blocks])
    dense = not len(ids) or int(ids[-1] - ids[0]) + 1 == len(ids)
    batches = (_live_rows(base, block, with_ids=not dense) for block in blocks)
    sizes = store.sizes
    pieces = coalesce(batches, sizes.block_rows, sizes.block_bytes)
    new: list[NewFragment] = []
    written = 0
    for each in write_fragments(map(with_norms, pieces), files, sizes):
        new.append(replace(each, first_row=int(ids[written]), dense=dense))
        written += each.rows
    return _Rewrite(run, tuple(new))


def _live_rows(base: Snapshot, block: Block, *, with_ids: bool) -> pa.RecordBatch:
    fields = zip(base.layout.columns, base.layout.schema, strict=True)
    columns = {name: block.column(name, field.type) for name, field in fields}
    if with_ids:
        columns[STORED_ROW_ID] = int64_array(block.ids)
    batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    dead = block.positions(base.deleted)
    if not len(dead):
        return batch
    return batch.take(int64_array(np.delete(np.arange(block.rows), dead)))


def _commit(store: Store, base: Snapshot, rewrites: list[_Rewrite], files: NewFiles) -> bool:
    old = [each.row for rewrite in rewrites for each in rewrite.old]
    gone = [block.ids for rewrite in rewrites for each in rewrite.old for block in each.blocks]
    with store.catalog.write() as db:
        row = store.current(db)
        if set(old) - set(fragment_rows(db, row.id)):
            return False
        unnamed = delete_fragments(db, old)
        for rewrite in rewrites:
            insert_fragments(db, row.id, row.version, rewrite.new)
        kept = np.setdiff1d(base.deleted, np.concatenate(gone))
        db.execute("DELETE FROM deletions WHERE table_id = ? AND id <= ?", (row.id, base.seen[2]))
        if len(kept):
            insert_deletion(db, row.id, row.version, kept)
        update_table(db, replace(row, epoch=row.epoch + 1))
        files.keep()
    store.remove(unnamed)
    return True
