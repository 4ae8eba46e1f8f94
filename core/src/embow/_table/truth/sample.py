"""A few stored rows embedded again, to see whether a function still makes the vectors they have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow._table.incoming.vectors import validity, vector_values
from embow._table.names import hash_column
from embow.embeddings import EmbeddingFunction
from embow.engines.contract import RowIds, ScanQuery, Snapshot, row_ids_of
from embow.pipeline import Pipeline, PipelineOptions, content_hashes

SAME_MODEL = 0.999
"""Least cosine similarity of two embeddings of one input by one model."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of one vector column to compare.

    Attributes:
        source: Physical source column.
        vector: Physical vector column.
        rows: How many at most.
        foreign: Also rows whose vector the user brought.
    """

    source: str
    vector: str
    rows: int
    foreign: bool = False

    def least_similarity(
        self,
        snapshot: Snapshot,
        pipeline: Pipeline,
        function: EmbeddingFunction,
        options: PipelineOptions,
    ) -> float | None:
        """Return the smallest cosine similarity of a stored vector and its source embedded now.

        ``None`` where no row can be compared.
        """
        if snapshot.schema.field(self.vector).type.list_size != function.ndims():
            return 0.0
        chosen = self._choose(snapshot)
        if not len(chosen):
            return None
        query = ScanQuery(columns=[self.source, self.vector], row_ids=chosen)
        rows = snapshot.scan(query).read_all().combine_chunks().to_batches()[0]
        inputs = rows.column(0).to_pylist()
        made = pipeline.embed_documents(function, inputs, options)
        stored = vector_values(rows.column(1))
        return min(cosine(new, old) for new, old in zip(made, stored, strict=True))

    def _choose(self, snapshot: Snapshot) -> RowIds:
        """Return the first rows whose vector was made from the source as it is now."""
        hashes = hash_column(self.vector)
        names = [self.source, hashes] if hashes in snapshot.schema.names else [self.source]
        if self.foreign:
            names.append(self.vector)
        chosen = np.empty(0, np.int64)
        for batch in snapshot.scan(ScanQuery(columns=names, with_row_id=True)):
            chosen = np.append(chosen, row_ids_of(batch)[self._comparable(batch, hashes)])
            if len(chosen) >= self.rows:
                break
        return chosen[: self.rows]

    def _comparable(self, batch: pa.RecordBatch, hashes: str) -> NDArray[np.bool_]:
        now = content_hashes(batch.column(self.source)).to_pylist()
        known = hashes in batch.schema.names
        made_from = batch.column(hashes).to_pylist() if known else [None] * len(now)
        there = np.zeros(len(now), np.bool_)
        if self.foreign:
            there = validity(batch.column(self.vector))
        rows = zip(now, made_from, there.tolist(), strict=True)
        fits = [n is not None and (n == m or (m is None and brought)) for n, m, brought in rows]
        return np.array(fits, np.bool_)


def cosine(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Return the cosine similarity of two vectors, 0 where one is zero or lengths differ."""
    if one.shape != other.shape:
        return 0.0
    a, b = one.astype(np.float64), other.astype(np.float64)
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norms if norms else 0.0
