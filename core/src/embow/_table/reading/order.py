"""Rows in the order of values: which ids a query returns, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from embow._table.columns import Columns
from embow._table.reading.projection import expression
from embow.engines.contract import RowIds, ScanQuery, Snapshot, row_ids_of
from embow.expr import Condition
from embow.schema._masks import as_mask

_CHUNK = 65_536
"""Rows that are fetched by id at a time."""


@dataclass(frozen=True, slots=True)
class Key:
    """One thing to sort by."""

    by: Condition
    ascending: bool
    nulls_first: bool

    def __str__(self) -> str:
        direction = "ascending" if self.ascending else "descending"
        return f"{self.by} {direction}, nulls {'first' if self.nulls_first else 'last'}"


def fetched(snapshot: Snapshot, query: ScanQuery, ids: RowIds) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a query whose ids were sorted, in that order."""
    stop = None if query.limit is None else query.offset + query.limit
    wanted = ids[query.offset : stop]
    plain = replace(query, predicate=None, limit=None, offset=0)
    for start in range(0, len(wanted), _CHUNK):
        yield from snapshot.scan(replace(plain, row_ids=wanted[start : start + _CHUNK]))


def sorted_ids(
    snapshot: Snapshot, columns: Columns, query: ScanQuery, keys: Sequence[Key]
) -> RowIds:
    """Return the ids of the rows that pass, sorted; rows that are equal stay in their order.

    Of a query with a limit they are the first ones, at least as many as it wants. The keys of all
    of them are held in memory, the rows themselves are not.
    """
    values = [expression(key.by, columns.visible) for key in keys]
    needed = dict.fromkeys(name for value in values for name in value.columns)
    scan = replace(
        query,
        columns=[columns.names[name] for name in needed],
        limit=None,
        offset=0,
        with_row_id=True,
    )
    batches = [columns.to_visible(batch) for batch in snapshot.scan(scan)]
    if not batches:
        return np.empty(0, np.int64)
    ids = np.concatenate([row_ids_of(batch) for batch in batches])
    arrays = [pa.concat_arrays([v.sort_values(batch) for batch in batches]) for v in values]
    kept = None
    if query.limit is not None:
        kept = _foremost(keys[0], arrays[0], query.offset + query.limit)
    if kept is not None:
        ids = ids[kept]
        arrays = [array.filter(as_mask(kept)) for array in arrays]
    flags: list[pa.Array] = []
    orders: list[tuple[str, str]] = []
    for key, values_of_key in zip(keys, arrays, strict=True):
        for array, ascending in _parts(key, values_of_key):
            orders.append((str(len(flags)), "ascending" if ascending else "descending"))
            flags.append(array)
    table = pa.Table.from_arrays(flags, names=[name for name, _ in orders])
    indices = pc.sort_indices(table, sort_keys=orders)
    return ids[np.frombuffer(indices.buffers()[1], np.uint64)[: len(ids)]]


def _foremost(key: Key, array: pa.Array, count: int) -> NDArray[np.bool_] | None:
    """Return a mask of values among which the first ``count`` are, ``None`` for all."""
    numeric = pa.types.is_integer(array.type) or pa.types.is_floating(array.type)
    if not numeric or array.null_count or not 0 < count < len(array) // 4:
        return None
    values = np.asarray(array)
    if pa.types.is_floating(array.type) and np.isnan(values).any():
        return None
    at = count - 1 if key.ascending else len(values) - count
    bound = np.partition(values, at)[at]
    kept: NDArray[np.bool_] = values <= bound if key.ascending else values >= bound
    return kept


def _parts(key: Key, array: pa.Array) -> Iterator[tuple[pa.Array, bool]]:
    """Yield what to sort by for one key: what is null, what is no number, and the values."""
    if array.null_count:
        yield pc.is_null(array), not key.nulls_first
    if pa.types.is_floating(array.type):
        yield pc.is_nan(array), key.ascending
    yield array, key.ascending
