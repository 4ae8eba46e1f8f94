"""Which rows of a block pass: alive, and satisfying a predicate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines.local.view import Part, View
from embow.engines.predicate import evaluate

if TYPE_CHECKING:
    from embow.engines.predicate import Predicate


def select(view: View, part: Part, predicate: Predicate | None) -> NDArray[np.intp] | None:
    """Return the positions that pass, ascending; ``None`` when every row does."""
    mask = passing(view, part, predicate)
    return None if mask is None else np.flatnonzero(mask)


def passing(
    view: View,
    part: Part,
    predicate: Predicate | None,
    row_ids: NDArray[np.int64] | None = None,
) -> NDArray[np.bool_] | None:
    """Return a mask of the rows that pass; ``None`` when every row does."""
    mask = part.live
    if row_ids is not None:
        among = np.zeros(part.block.rows, np.bool_)
        among[part.block.positions(row_ids)] = True
        mask = among if mask is None else mask & among
    if predicate is None or (mask is not None and not mask.any()):
        return mask
    names = list(predicate.columns)
    arrays = view.columns(part, names)
    if not names:  # A constant condition still needs a number of rows.
        names, arrays = [""], [pa.nulls(part.block.rows)]
    found = evaluate(predicate, pa.RecordBatch.from_arrays(arrays, names=names))
    return found if mask is None else mask & found
