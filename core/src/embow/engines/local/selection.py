"""Which rows of a block pass: alive, and satisfying a predicate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines.local.snapshot import Part, Snapshot
from embow.engines.predicate import evaluate

if TYPE_CHECKING:
    from embow.engines.predicate import Predicate


def select(snapshot: Snapshot, part: Part, predicate: Predicate | None) -> NDArray[np.intp] | None:
    """Return the positions that pass, ascending; ``None`` when every row does."""
    mask = passing(snapshot, part, predicate)
    return None if mask is None else np.flatnonzero(mask)


def passing(
    snapshot: Snapshot, part: Part, predicate: Predicate | None
) -> NDArray[np.bool_] | None:
    """Return a mask of the rows that pass; ``None`` when every row does."""
    if predicate is None:
        return part.live
    names = list(predicate.columns)
    arrays = snapshot.columns(part, names)
    if not names:  # A constant condition still needs a number of rows.
        names, arrays = [""], [pa.nulls(part.block.rows)]
    mask = evaluate(predicate, pa.RecordBatch.from_arrays(arrays, names=names))
    return mask if part.live is None else mask & part.live
