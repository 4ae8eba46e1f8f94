"""The hidden columns of source hashes, put together without importing pandas."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.table.incoming.vectors import validity
from embow.table.names import HASH_TYPE

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
    digests, present = _digests(made), valid
    if carried is not None and kept is not None:
        kept = kept & validity(carried)
        digests = np.where(kept[:, None], _digests(carried), digests)
        present = valid | kept
    bitmap = pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.Array.from_buffers(
        HASH_TYPE, len(made), [bitmap, pa.py_buffer(np.ascontiguousarray(digests))]
    )


def _digests(hashes: pa.Array) -> NDArray[np.uint8]:
    width = HASH_TYPE.byte_width
    data = np.frombuffer(hashes.buffers()[1] or b"", np.uint8)
    start = hashes.offset * width
    return data[start : start + len(hashes) * width].reshape(-1, width)
