"""Reading rows without scoring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines._local.alive import Part, ascending
from embow.engines._local.blocks import join
from embow.engines._local.view import View
from embow.engines.contract import ROW_ID, RowIds, ScanQuery
from embow.engines.predicate import Predicate


def scan(view: View, query: ScanQuery) -> pa.RecordBatchReader:
    """Return a lazy reader over one version, in insertion order or that of ``row_ids``."""
    names = column_names(view, query.columns)
    schema = output_schema(view, names, with_row_id=query.with_row_id)
    if query.row_ids is None:
        batches = _in_order(view, names, query, schema)
    else:
        batches = _by_id(view, names, query, schema)
    return pa.RecordBatchReader.from_batches(schema, batches)


def row_ids(view: View, predicate: Predicate | None) -> RowIds:
    """Return the ids of the rows that pass, ascending."""
    found = [np.empty(0, np.int64)]
    for part in view.parts:
        mask = view.passing(part, predicate)
        found.append(part.block.ids if mask is None else part.block.ids[mask])
    return np.concatenate(found)


def fragment_names(view: View) -> list[str]:
    return [str(part.block.first_row) for part in view.parts]


def column_names(view: View, columns: Sequence[str] | None) -> list[str]:
    return list(view.layout.schema.names if columns is None else columns)


def output_schema(view: View, names: list[str], *, with_row_id: bool) -> pa.Schema:
    """Return the schema of some columns and, if asked for, the row id."""
    fields = list(map(view.layout.schema.field, names))
    return pa.schema([*fields, pa.field(ROW_ID, pa.int64())] if with_row_id else fields)


def gather(
    view: View,
    names: list[str],
    parts: NDArray[np.intp],
    positions: NDArray[np.intp],
    schema: pa.Schema,
) -> pa.RecordBatch:
    """Return rows given by part number and position, in the order given."""
    if len(parts) and (parts == parts[0]).all():
        return _take(view, view.parts[parts[0]], names, positions, schema)
    pieces = []
    order = np.argsort(parts, kind="stable")
    starts = np.flatnonzero(np.diff(parts[order], prepend=-1))
    for chosen in np.split(order, starts[1:]):
        if len(chosen):
            part = view.parts[parts[chosen[0]]]
            pieces.append(_take(view, part, names, positions[chosen], schema))
    if not pieces:
        nothing = [pa.nulls(0, each.type) for each in schema]
        return pa.RecordBatch.from_arrays(nothing, schema=schema)
    rows = join(pieces)
    return rows if len(pieces) == 1 else rows.take(int64_array(np.argsort(order)))


def int64_array(values: NDArray[np.integer]) -> pa.Array:
    data = np.ascontiguousarray(values, np.int64)
    return pa.Array.from_buffers(pa.int64(), len(data), [None, pa.py_buffer(data)])


def _in_order(
    view: View, names: list[str], query: ScanQuery, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    skip = query.offset
    left = view.rows if query.limit is None else query.limit
    for part in view.parts:
        if not left:
            return
        if query.fragment not in (None, str(part.block.first_row)):
            continue
        mask = view.passing(part, query.predicate)
        chosen = None if mask is None else np.flatnonzero(mask)
        passed = part.block.rows if chosen is None else len(chosen)
        window = slice(skip, skip + left)
        skip = max(0, skip - passed)
        batch = (
            _slice(view, part, names, window, schema)
            if chosen is None
            else _take(view, part, names, chosen[window], schema)
        )
        left -= batch.num_rows
        if batch.num_rows:
            yield batch


def _by_id(
    view: View, names: list[str], query: ScanQuery, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    wanted = np.array(query.row_ids, np.int64)
    distinct = ascending(wanted)
    # Part and position of each id, -1 where there is no such row.
    places = np.full((len(distinct), 2), -1, np.intp)
    for number, positions in view.locate(distinct):
        part = view.parts[number]
        mask = view.passing(part, query.predicate)
        kept = positions if mask is None else positions[mask[positions]]
        at = np.searchsorted(distinct, part.block.ids[kept])
        places[at, 0], places[at, 1] = number, kept
    found = places[np.searchsorted(distinct, wanted)]
    stop = None if query.limit is None else query.offset + query.limit
    window = found[found[:, 0] >= 0][query.offset : stop]
    if len(window):
        yield gather(view, names, window[:, 0], window[:, 1], schema)


def _slice(
    view: View, part: Part, names: list[str], window: slice, schema: pa.Schema
) -> pa.RecordBatch:
    arrays = view.columns(part, names)
    if ROW_ID in schema.names:
        arrays.append(int64_array(part.block.ids))
    batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
    return batch.slice(window.start, window.stop - window.start)


def _take(
    view: View, part: Part, names: list[str], positions: NDArray[np.intp], schema: pa.Schema
) -> pa.RecordBatch:
    indices = int64_array(positions)
    arrays = view.columns(part, names)
    for at, array in enumerate(arrays):
        arrays[at] = array.take(indices)
    if ROW_ID in schema.names:
        arrays.append(int64_array(part.block.ids[positions]))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
