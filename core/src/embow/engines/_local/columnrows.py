"""The rows of one column, as what builds an index takes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from embow.engines._indexing import Rows
from embow.engines._local.retention import Needs
from embow.engines._local.scan import int64_array
from embow.engines._local.view import Fragment
from embow.engines._paths import column_of, values_at
from embow.engines.indexes import RowIds

_TAKEN = 8192
"""Rows handed to a library at a time."""


@dataclass(frozen=True, eq=False)
class LocalRows(Rows):
    """The rows of a stored column, or of a field within, in files."""

    fragments: Sequence[Fragment]
    needs: Needs
    stored: str
    until: int

    @property
    def next_row(self) -> int:
        return self.until

    def ids(self, first: int, end: int) -> RowIds:
        found = [np.empty(0, np.int64)]
        for block, mask in self._blocks(first, end):
            found.append(block.ids[mask])
        return np.concatenate(found)

    def values(self, first: int, end: int) -> Iterator[tuple[RowIds, pa.Array]]:
        column = column_of(self.stored)
        for block, mask in self._blocks(first, end):
            block.check()
            if column not in block.columns:
                continue  # Null in every row.
            array = values_at(block.columns[column], self.stored)
            if array.null_count:
                mask &= np.asarray(array.is_valid())
            places = np.flatnonzero(mask)
            for start in range(0, len(places), _TAKEN):
                chosen = places[start : start + _TAKEN]
                yield block.ids[chosen], array.take(int64_array(chosen))

    def _blocks(self, first: int, end: int) -> Iterator[tuple[Any, Any]]:
        for fragment in self.fragments:
            for block in fragment.blocks:
                if block.last_row < first or end <= block.first_row or not block.rows:
                    continue
                mask = self.needs.rows(block)
                yield block, mask & (block.ids >= first) & (block.ids < end)
