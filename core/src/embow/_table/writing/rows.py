"""Rows on their way to the engine: new or stored before, with what their vectors were made from.

Knows no function: what is to be embedded is said by masks, and done elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from embow._table.columns import Columns
from embow._table.incoming.vectors import as_mask, flags, validity
from embow._table.names import HASH_TYPE, HIDDEN_PREFIX
from embow.pipeline._types import SourceRows

CARRIED = f"{HIDDEN_PREFIX}_carried"
"""Struct of the hidden columns of stored rows that are written again."""


def new_rows(batch: pa.RecordBatch, columns: Columns) -> SourceRows:
    """Return rows that come in: what has no vector is embedded."""
    needs = {}
    for name in columns.filled:
        needs[name] = ~validity(batch.column(name))
    return SourceRows(batch, needs)


def rewritten(
    old: pa.RecordBatch,
    new: Mapping[str, pa.Array],
    columns: Columns,
    broken: Mapping[str, NDArray[np.bool_]] | None = None,
) -> SourceRows:
    """Return stored rows with new values, and where a vector must be made again.

    That is where its source changed and no new vector is given.

    Args:
        old: Rows as stored, hidden columns included.
        new: New values by visible column, fitted to the schema.
        columns: The table's.
        broken: Rows whose vector must be made again in any case, by vector column.
    """
    seen = columns.to_visible(old)
    values = {name: new.get(name, seen.column(name)) for name in columns.names}
    shown = set(columns.names.values())
    # Also vectors kept for a rollback; their own hashes tell whether the source changed since.
    hidden = {name: old.column(name) for name in old.schema.names if name not in shown}
    needs = dict(broken or {})
    for binding in columns.bindings:
        vector, source = binding.vector_column, binding.source_column
        if vector in new:
            hidden[columns.hashes[vector]] = pa.nulls(old.num_rows, HASH_TYPE)
        elif source in new and vector not in needs:
            needs[vector] = _differs(seen.column(source), new[source])
        needs.setdefault(vector, np.zeros(old.num_rows, np.bool_))
    if hidden:
        values[CARRIED] = pa.StructArray.from_arrays(list(hidden.values()), names=list(hidden))
    return SourceRows(pa.RecordBatch.from_arrays(list(values.values()), list(values)), needs)


def chosen_hashes(
    made: pa.Array,
    valid: NDArray[np.bool_],
    carried: pa.Array | None = None,
    kept: NDArray[np.bool_] | None = None,
) -> pa.Array:
    """Return what vectors were made from: anew where valid, as carried where kept, else null.

    Args:
        made: Hashes of the sources as they are now.
        valid: Rows that have a vector made from them.
        carried: Hashes that stored rows have.
        kept: Rows that keep the vector they have.
    """
    if carried is None and valid.all():
        return made
    others = pa.nulls(len(made), HASH_TYPE)  # Not pa.scalar, which imports pandas.
    if carried is not None and kept is not None:
        others = pc.if_else(as_mask(kept), carried, others)
    return pc.if_else(as_mask(valid), made, others)


def carried_columns(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """Return the hidden columns that rows carry, by physical name."""
    if CARRIED not in batch.schema.names:
        return {}
    carried = batch.column(CARRIED)
    return dict(zip([f.name for f in carried.type], carried.flatten(), strict=True))


def assemble(
    columns: Columns, batch: pa.RecordBatch, made: Mapping[str, tuple[pa.Array, pa.Array]]
) -> pa.RecordBatch:
    """Return rows as the engine stores them, with vectors and hashes by visible vector column."""
    given = carried_columns(batch)
    for name, physical in columns.names.items():
        given[physical] = batch.column(name)
    for name, (vectors, hashes) in made.items():
        given[columns.names[name]], given[columns.hashes[name]] = vectors, hashes
    return columns.to_stored(given)


def take_rows(batch: pa.RecordBatch, rows: Sequence[int] | NDArray[np.int64]) -> pa.RecordBatch:
    """Return the rows at these positions."""
    at = pa.py_buffer(np.ascontiguousarray(rows, dtype=np.int64))
    return batch.take(pa.Array.from_buffers(pa.int64(), len(rows), [None, at]))


def _differs(before: pa.Array, after: pa.Array) -> NDArray[np.bool_]:
    """Return which values changed; null equals null."""
    changed: NDArray[np.bool_] = validity(before) != validity(after)
    try:
        unequal = pc.not_equal(before, after)
    except pa.ArrowNotImplementedError:
        pairs = zip(before.to_pylist(), after.to_pylist(), strict=True)
        return np.fromiter((b != a for b, a in pairs), np.bool_, len(before))
    return changed | (flags(unequal) & validity(unequal))
