"""Reading rows without scoring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines.base import ROW_ID, ScanQuery
from embow.engines.local.blocks import join
from embow.engines.local.selection import passing, select
from embow.engines.local.snapshot import Part, Snapshot
from embow.engines.predicate import Predicate


def scan(snapshot: Snapshot, query: ScanQuery) -> pa.RecordBatchReader:
    """Return a lazy reader over one version, in insertion order or that of ``row_ids``."""
    names = column_names(snapshot, query.columns)
    schema = output_schema(snapshot, names, with_row_id=query.with_row_id)
    if query.columns is None:
        schema = schema.with_metadata(snapshot.layout.schema.metadata)
    if query.row_ids is None:
        batches = _in_order(snapshot, names, query, schema)
    else:
        batches = _by_id(snapshot, names, query, schema)
    return pa.RecordBatchReader.from_batches(schema, batches)


def count(snapshot: Snapshot, predicate: Predicate | None) -> int:
    """Return how many rows pass."""
    if predicate is None:
        return snapshot.rows
    snapshot.layout.check(predicate.columns)
    masks = (passing(snapshot, part, predicate) for part in snapshot.parts)
    return sum(int(np.count_nonzero(mask)) for mask in masks if mask is not None)


def column_names(snapshot: Snapshot, columns: Sequence[str] | None) -> list[str]:
    """Return the columns to read.

    Raises:
        UnknownColumnError: One of them does not exist.
    """
    names = list(snapshot.layout.schema.names if columns is None else columns)
    snapshot.layout.check(names)
    return names


def output_schema(snapshot: Snapshot, names: list[str], *, with_row_id: bool) -> pa.Schema:
    """Return the schema of some columns and, if asked for, the row id."""
    fields = [snapshot.layout.schema.field(name) for name in names]
    return pa.schema([*fields, pa.field(ROW_ID, pa.int64())] if with_row_id else fields)


def gather(
    snapshot: Snapshot,
    names: list[str],
    parts: NDArray[np.intp],
    positions: NDArray[np.intp],
    schema: pa.Schema,
) -> pa.RecordBatch:
    """Return rows given by part number and position, in the order given."""
    pieces = []
    order = np.argsort(parts, kind="stable")
    starts = np.flatnonzero(np.diff(parts[order], prepend=-1))
    for chosen in np.split(order, starts[1:]):
        if len(chosen):
            part = snapshot.parts[parts[chosen[0]]]
            pieces.append(_take(snapshot, part, names, positions[chosen], schema))
    if not pieces:
        nothing = [pa.nulls(0, each.type) for each in schema]
        return pa.RecordBatch.from_arrays(nothing, schema=schema)
    rows = join(pieces)
    return rows if len(pieces) == 1 else rows.take(int64_array(np.argsort(order)))


def int64_array(values: NDArray[np.integer]) -> pa.Array:
    """Return integers as an Arrow array."""
    data = np.ascontiguousarray(values, np.int64)
    return pa.Array.from_buffers(pa.int64(), len(data), [None, pa.py_buffer(data)])


def _in_order(
    snapshot: Snapshot, names: list[str], query: ScanQuery, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    skip = query.offset
    left = snapshot.rows if query.limit is None else query.limit
    for part in snapshot.parts:
        if not left:
            return
        chosen = select(snapshot, part, query.predicate)
        passed = part.block.rows if chosen is None else len(chosen)
        window = slice(skip, skip + left)
        skip = max(0, skip - passed)
        batch = (
            _slice(snapshot, part, names, window, schema)
            if chosen is None
            else _take(snapshot, part, names, chosen[window], schema)
        )
        left -= batch.num_rows
        if batch.num_rows:
            yield batch


def _by_id(
    snapshot: Snapshot, names: list[str], query: ScanQuery, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    wanted = np.array(query.row_ids, np.int64)
    distinct = np.unique(wanted)
    place = {}
    for number, positions in snapshot.locate(distinct):
        part = snapshot.parts[number]
        mask = passing(snapshot, part, query.predicate)
        kept = positions if mask is None else positions[mask[positions]]
        for row_id, position in zip(part.block.ids[kept].tolist(), kept.tolist(), strict=True):
            place[row_id] = (number, position)
    found = [place[row_id] for row_id in wanted.tolist() if row_id in place]
    stop = None if query.limit is None else query.offset + query.limit
    window = np.array(found[query.offset : stop], np.intp).reshape(-1, 2)
    if len(window):
        yield gather(snapshot, names, window[:, 0], window[:, 1], schema)


def _slice(
    snapshot: Snapshot, part: Part, names: list[str], window: slice, schema: pa.Schema
) -> pa.RecordBatch:
    arrays = snapshot.columns(part, names)
    if ROW_ID in schema.names:
        arrays.append(int64_array(part.block.ids))
    batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
    return batch.slice(window.start, window.stop - window.start)


def _take(
    snapshot: Snapshot, part: Part, names: list[str], positions: NDArray[np.intp], schema: pa.Schema
) -> pa.RecordBatch:
    indices = int64_array(positions)
    arrays = [array.take(indices) for array in snapshot.columns(part, names)]
    if ROW_ID in schema.names:
        arrays.append(int64_array(part.block.ids[positions]))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
