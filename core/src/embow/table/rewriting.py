"""A stored row with some columns changed: which vectors still hold, and which must be made again.

Called by updates, merges and repairs.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from embow.table.bindings import TableSchema
from embow.table.ingest import needs_name
from embow.table.provenance import hash_column, old_column


def rewritten(
    old: pa.RecordBatch, new: Mapping[str, pa.Array], columns: TableSchema
) -> pa.RecordBatch:
    """Return stored rows with new values, marked where a vector must be made again.

    A vector must be made again where its source changed, unless a new vector is given.

    Args:
        old: Rows as stored, hidden columns included.
        new: New values by visible column, fitted to the schema.
        columns: The table's columns and bindings.
    """
    values = {f.name: new.get(f.name, old.column(f.name)) for f in columns.visible}
    for binding in columns.bindings:
        vector, source = binding.vector_column, binding.source_column
        hashes = old.column(hash_column(vector))
        needs = np.zeros(old.num_rows, dtype=np.bool_)
        if vector in new:
            hashes = pa.nulls(old.num_rows, hashes.type)
        elif source in new:
            needs = differs(old.column(source), new[source])
        values[hash_column(vector)] = hashes
        values[needs_name(vector)] = pa.array(needs.tolist(), pa.bool_())
        # Kept for a rollback; their own hashes tell whether the source has changed since.
        kept = (old_column(vector), hash_column(old_column(vector)))
        values |= {name: old.column(name) for name in kept if name in old.schema.names}
    return pa.RecordBatch.from_arrays(list(values.values()), names=list(values))


def differs(before: pa.Array, after: pa.Array) -> NDArray[np.bool_]:
    """Return which values changed; null equals null."""
    try:
        unequal = pc.fill_null(pc.not_equal(before, after), True)
    except pa.ArrowNotImplementedError:
        pairs = zip(before.to_pylist(), after.to_pylist(), strict=True)
        return np.fromiter((b != a for b, a in pairs), np.bool_, len(before))
    both_null = pc.and_(pc.is_null(before), pc.is_null(after))
    return np.asarray(pc.and_not(unequal, both_null).to_pylist(), dtype=np.bool_)
