"""Rows of a dataset in row order, or by their ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import lance
import numpy as np
import pyarrow as pa
from lance.fragment import LanceFragment, RowIdSequence
from numpy.typing import NDArray

from embow.engines.contract import ROW_ID, RowIds, row_ids_of

FEW = 8192
"""So many row ids are handed to Lance; more are looked for in a scan."""

ADDRESS = "_rowaddr"


def in_order(dataset: lance.LanceDataset) -> list[LanceFragment]:
    """Return the fragments in the order in which their rows came.

    Lance sorts them by number, and compaction gives old rows a new number.
    """
    fragments: list[LanceFragment] = dataset.get_fragments()
    starts = [_start(fragment) for fragment in fragments]
    if all(before <= after for before, after in pairwise(starts)):
        return fragments
    return [fragments[at] for at in np.argsort(starts, kind="stable")]


def _start(fragment: LanceFragment) -> int:
    meta = fragment.metadata.row_id_meta
    if meta is None:  # Made without stable row ids: the ids are places.
        return int(fragment.fragment_id) << 32
    try:
        return next(iter(RowIdSequence.from_inline_metadata(meta)), 0)
    except (OSError, ValueError):  # Very long sequences lie in a file of their own.
        first = fragment.scanner(columns=[], with_row_id=True, limit=1).to_table()
        return int(first[ROW_ID][0].as_py()) if first.num_rows else 0


def addresses(
    dataset: lance.LanceDataset,
    fragments: Sequence[LanceFragment],
    wanted: RowIds | None = None,
) -> tuple[RowIds, NDArray[np.int64]]:
    """Return ids and places (fragment and offset in one number) of rows, all or those wanted."""
    if wanted is not None and not len(wanted):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    few = wanted is not None and len(wanted) <= FEW
    scanner = dataset.scanner(
        columns=[],
        with_row_id=True,
        with_row_address=True,
        filter=among(wanted) if few and wanted is not None else None,
        fragments=list(fragments),
    )
    ids, places = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for batch in scanner.to_batches():
        own = row_ids_of(batch)
        kept = slice(None) if wanted is None or few else np.isin(own, wanted)
        ids.append(own[kept])
        places.append(np.asarray(batch.column(ADDRESS)).astype(np.int64)[kept])
    return np.concatenate(ids), np.concatenate(places)


def among(row_ids: RowIds) -> str:
    """Return a condition that holds for rows of these ids."""
    return f"{ROW_ID} IN ({', '.join(map(str, row_ids.tolist()))})"


def both(first: str | None, second: str) -> str:
    """Return a condition that holds where both do."""
    return second if first is None else f"({first}) AND ({second})"


def read(
    dataset: lance.LanceDataset,
    fragments: Sequence[LanceFragment],
    columns: Sequence[str],
    condition: str | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield rows in row order, ``_rowid`` last."""
    if not fragments:
        return
    scanner = dataset.scanner(
        columns=list(columns),
        filter=condition,
        prefilter=True,
        with_row_id=True,
        scan_in_order=True,
        fragments=list(fragments),
    )
    for batch in scanner.to_batches():
        if batch.num_rows:
            yield batch


def read_ids(
    dataset: lance.LanceDataset,
    fragments: Sequence[LanceFragment],
    columns: Sequence[str],
    row_ids: RowIds,
    condition: str | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield rows in the order of their ids, ``_rowid`` last; those that are gone are left out."""
    if len(row_ids) > FEW and bool((np.diff(row_ids) > 0).all()):
        for batch in read(dataset, fragments, columns, condition):
            hit = np.isin(row_ids_of(batch), row_ids, assume_unique=True)
            if hit.any():
                yield batch.filter(pa.array(hit))
        return
    for start in range(0, len(row_ids), FEW):
        wanted = row_ids[start : start + FEW]
        found = pa.Table.from_batches(
            [*read(dataset, fragments, columns, both(condition, among(np.unique(wanted))))]
            or [_nothing(dataset, columns)]
        ).combine_chunks()
        held = np.asarray(found[ROW_ID]).astype(np.int64)
        order = np.argsort(held, kind="stable")
        at = np.searchsorted(held, wanted, sorter=order)
        at = order[np.minimum(at, len(held) - 1)] if len(held) else at[:0]
        hit = at[held[at] == wanted[: len(at)]]
        yield from found.take(pa.array(hit)).to_batches()


def _nothing(dataset: lance.LanceDataset, columns: Sequence[str]) -> pa.RecordBatch:
    fields = [dataset.schema.field(name) for name in columns]
    schema = pa.schema([*fields, pa.field(ROW_ID, pa.uint64())])
    return pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in schema], schema=schema)
