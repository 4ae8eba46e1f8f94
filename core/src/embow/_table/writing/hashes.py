"""The hidden columns of source hashes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from embow._table.incoming.vectors import as_mask
from embow._table.names import HASH_TYPE

Flags = NDArray[np.bool_]


def chosen_hashes(
    made: pa.Array, valid: Flags, carried: pa.Array | None = None, kept: Flags | None = None
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
