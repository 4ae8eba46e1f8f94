"""Arrow types of columns."""

from __future__ import annotations

import pyarrow as pa

from embow_lancedb._arguments import refused


def vector(dimension: int, value_type: pa.DataType | None = None) -> pa.DataType:
    """Return the Arrow type of a vector column.

    Args:
        dimension: Length of the vectors.
        value_type: Type of their numbers; float32 where it is ``None``.
    """
    return pa.list_(pa.float32() if value_type is None else value_type, dimension)


blob = refused(
    "blob", "there are no blob columns. Store bytes in a pa.large_binary() column, or an address."
)
