"""One version of a table in memory: scans, and exact search in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
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
    column_of,
    row_distances,
    row_vectors,
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
        Capability.VECTOR_INDEX,
        Capability.TEXT_INDEX,
        Capability.MULTIVECTOR,
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

    def __init__(
        self, table: str, state: State, coverings: Callable[[State], Sequence[Covering[Any]]]
    ) -> None:
        super().__init__(Base(table, state.version), state.schema, state.metadata)
        self._state = state
        self._coverings = coverings

    def indexes(self) -> Sequence[Covering[Any]]:
        return self._coverings(self._state)

    def _scan(self, query: ScanQuery) -> pa.RecordBatchReader:
        rows = self._state.rows.select(self._names(query.columns, query.with_row_id))
        if query.row_ids is not None:
            asked = np.asarray(query.row_ids, np.int64)
            held = self._state.row_ids
            rows = rows.take(np.searchsorted(held, asked[np.isin(asked, held)]))
        return rows.slice(query.offset, query.limit).to_reader()

    def _search(self, query: VectorQuery) -> list[pa.Table]:
        positions = self._asked(query)
        held = self._state.rows[column_of(query.column)].combine_chunks()
        vectors = row_vectors(held, query.column)
        vectors = vectors if query.row_ids is None else vectors.take(positions)
        names = self._names(query.columns, query.with_row_id)
        at = len(names) - query.with_row_id
        found = []
        for vector in query.queries():
            distances = row_distances(vector, vectors, query.metric)
            nearest = _nearest(distances, query)
            rows = self._state.rows.select(names).take(positions[nearest])
            found.append(rows.add_column(at, DISTANCE, pa.array(distances[nearest])))
        return found

    def _asked(self, query: VectorQuery) -> NDArray[np.intp]:
        """Return the positions of the rows to search."""
        if query.row_ids is None:
            return np.arange(self._state.rows.num_rows)
        return np.flatnonzero(np.isin(self._state.row_ids, np.asarray(query.row_ids, np.int64)))

    def _names(self, columns: Sequence[str] | None, with_row_id: bool) -> list[str]:
        names = self.schema.names if columns is None else list(columns)
        return [*names, ROW_ID] if with_row_id else names


def _nearest(distances: NDArray[np.float32], query: VectorQuery) -> NDArray[np.intp]:
    kept = wanted_distances(distances, query)
    order = np.argsort(distances, kind="stable")
    return order[kept[order]][query.offset : query.offset + query.k]
