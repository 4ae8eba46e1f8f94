"""The types that LanceDB's users name: addresses, vectors, data."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

URI = str | Path
VEC = list[float] | np.ndarray | pa.Array | pa.ChunkedArray
VECTOR_COLUMN_NAME = "vector"
DATA = list[dict[str, Any]] | pa.Table | pa.RecordBatchReader | Iterable[pa.RecordBatch]


class Credential(str):
    """A secret text; what prints it shows stars."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "*" * 8

    __str__ = __repr__


def sanitize_uri(uri: URI) -> str:
    """Return an address as text."""
    return os.fspath(uri)
