"""One version of a table in memory: scans, and exact search in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from embow.engines.contract import (
    DISTANCE,
    ROW_ID,
    Base,
    Metric,
    ScanQuery,
    Snapshot,
    VectorQuery,
)
from embow.engines.memory.store import (
    CAPABILITIES,
    State,
    row_ids,
)


class MemorySnapshot(Snapshot):
    """One version of a table in memory."""

    capabilities = CAPABILITIES

    def __init__(self, table: str, state: State) -> None:
        self._base = Base(table, state.version)
        self._state = state

    @property
    def base(self) -> Base:
        """Table and version this is."""
        return self._base

    @property
    def schema(self) -> pa.Schema:
        """Physical columns."""
        return self._state.schema

    @property
    def metadata(self) -> Mapping[str, str]:
        """Metadata of the table."""
        return self._state.metadata

    def _scan(self, query: ScanQuery) -> pa.RecordBatchReader:
        rows = self._state.rows.select(self._names(query.columns, query.with_row_id))
        if query.row_ids is not None:
            asked = np.asarray(query.row_ids, np.int64)
            held = row_ids(self._state.rows)
            rows = rows.take(np.searchsorted(held, asked[np.isin(asked, held)]))
        return rows.slice(query.offset, query.limit).to_reader()

    def _search(self, query: VectorQuery) -> list[pa.Table]:
        usable = np.asarray(pc.is_valid(self._state.rows[query.column]))
        if query.row_ids is not None:
            usable &= np.isin(row_ids(self._state.rows), np.asarray(query.row_ids, np.int64))
        positions = np.flatnonzero(usable)
        matrix = _matrix(self._state.rows[query.column].take(positions))
        names = self._names(query.columns, query.with_row_id)
        at = len(names) - query.with_row_id
        found = []
        for vector in query.vectors.astype(np.float64):
            distances = _distances(matrix, vector, query.metric)
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


def _distances(
    matrix: NDArray[np.float64], vector: NDArray[np.float64], metric: Metric
) -> NDArray[np.float32]:
    with np.errstate(all="ignore"):
        if metric == "l2":
            distances: NDArray[np.float64] = np.square(matrix - vector).sum(axis=1)
            return distances.astype(np.float32)
        products: NDArray[np.float64] = (matrix * vector).sum(axis=1)
        if metric == "cosine":
            norms = np.linalg.norm(matrix, axis=1) * np.linalg.norm(vector)
            products = np.where(norms == 0, 0, products / norms)
        return (1 - products).astype(np.float32)


def _nearest(distances: NDArray[np.float32], query: VectorQuery) -> NDArray[np.intp]:
    lower, upper = query.distance_range
    kept = ~np.isnan(distances)
    if lower is not None:
        kept &= distances >= lower
    if upper is not None:
        kept &= distances < upper
    order = np.argsort(distances, kind="stable")
    return order[kept[order]][query.offset : query.offset + query.k]
