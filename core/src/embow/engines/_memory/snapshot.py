"""One version of a table in memory: scans, and exact search in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from embow.engines.contract import (
    DISTANCE,
    ROW_ID,
    Base,
    Capability,
    RowIds,
    ScanQuery,
    Snapshot,
    VectorQuery,
    exact_distances,
    wanted_distances,
)
from embow.engines.indexes import Covering

CAPABILITIES = frozenset(
    {
        Capability.VERSIONS,
        Capability.TAGS,
        Capability.RESTORE,
        Capability.RENAME_TABLE,
        Capability.ORDERED_SCAN,
        Capability.STABLE_ROW_IDS,
        Capability.TEXT_INDEX,
    }
)
ROW_ID_FIELD = pa.field(ROW_ID, pa.int64())


@dataclass(frozen=True, slots=True)
class State:
    """One version.

    Attributes:
        rows: The rows in order, ``_rowid`` (ascending) last.
        born: For each column the version it came with. Values staged before are of another column.
        shaped: Version that last touched schema or metadata.
        disturbed: Version that last did more than add rows.
    """

    rows: pa.Table
    metadata: Mapping[str, str]
    version: int = 0
    timestamp: datetime = datetime(1, 1, 1, tzinfo=UTC)
    operation: str = ""
    born: Mapping[str, int] = field(default_factory=dict)
    shaped: int = 0
    disturbed: int = 0

    @property
    def schema(self) -> pa.Schema:
        return self.rows.schema.remove(len(self.rows.schema) - 1)

    @property
    def row_ids(self) -> RowIds:
        return np.asarray(self.rows[ROW_ID])


class MemorySnapshot(Snapshot):
    """One version of a table in memory."""

    capabilities = CAPABILITIES

    def __init__(self, table: str, state: State, indexes: Sequence[Covering[Any]] = ()) -> None:
        super().__init__(Base(table, state.version), state.schema, state.metadata)
        self._state = state
        self._indexes = indexes

    def indexes(self) -> Sequence[Covering[Any]]:
        return self._indexes

    def _scan(self, query: ScanQuery) -> pa.RecordBatchReader:
        rows = self._state.rows.select(self._names(query.columns, query.with_row_id))
        if query.row_ids is not None:
            asked = np.asarray(query.row_ids, np.int64)
            held = self._state.row_ids
            rows = rows.take(np.searchsorted(held, asked[np.isin(asked, held)]))
        return rows.slice(query.offset, query.limit).to_reader()

    def _search(self, query: VectorQuery) -> list[pa.Table]:
        usable = np.asarray(pc.is_valid(self._state.rows[query.column]))
        if query.row_ids is not None:
            usable &= np.isin(self._state.row_ids, np.asarray(query.row_ids, np.int64))
        positions = np.flatnonzero(usable)
        matrix = _matrix(self._state.rows[query.column].take(positions))
        names = self._names(query.columns, query.with_row_id)
        at = len(names) - query.with_row_id
        found = []
        for vector in query.vectors.astype(np.float64):
            distances = exact_distances(vector, matrix, query.metric)
            nearest = _nearest(distances, query)
            rows = self._state.rows.select(names).take(positions[nearest])
            found.append(rows.add_column(at, DISTANCE, pa.array(distances[nearest])))
        return found

    def _names(self, columns: Sequence[str] | None, with_row_id: bool) -> list[str]:
        names = self.schema.names if columns is None else list(columns)
        return [*names, ROW_ID] if with_row_id else names


def _matrix(vectors: pa.ChunkedArray) -> NDArray[np.float64]:
    values: NDArray[Any] = vectors.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values.astype(np.float64).reshape(-1, vectors.type.list_size)


def _nearest(distances: NDArray[np.float32], query: VectorQuery) -> NDArray[np.intp]:
    kept = wanted_distances(distances, query)
    order = np.argsort(distances, kind="stable")
    return order[kept[order]][query.offset : query.offset + query.k]
