"""A few stored rows embedded again, to see whether a function still makes the vectors they have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow._table.columns import QUARANTINE, Columns
from embow._table.handle import Handle
from embow._table.identity import describe
from embow._table.incoming.vectors import validity, vector_values
from embow._table.names import hash_column
from embow.embeddings import Binding, EmbeddingFunction, TextEmbeddingFunction
from embow.engines.contract import RowIds, ScanQuery, Snapshot, row_ids_of, vector_kind
from embow.errors import EmbowError, IdentityMismatchError
from embow.pipeline import PipelineOptions, content_hashes
from embow.pipeline._rider import Rider, cosine

_LOOKED_AT = 64
"""Rows among which one to send along is looked for."""


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
        handle: Handle,
        snapshot: Snapshot,
        function: EmbeddingFunction,
        options: PipelineOptions,
    ) -> float | None:
        """Return the smallest cosine similarity of a stored vector and its source embedded now.

        ``None`` where no row can be compared.
        """
        kind, form = vector_kind(snapshot.schema.field(self.vector).type), function.vector_form()
        if kind is None or (kind.ndims, kind.multi) != (function.ndims(), form.multi):
            return 0.0
        inputs, stored = self.read(snapshot)
        if not inputs:
            return None
        with handle.confined(handle.columns(snapshot)):
            made = handle.pipeline.embed_documents(function, inputs, options)
        return min(map(cosine, made, stored))

    def read(
        self, snapshot: Snapshot, most: int | None = None
    ) -> tuple[list[Any], NDArray[np.floating]]:
        """Return sources and vectors of the sample, looked for among so many rows."""
        query = ScanQuery(columns=[self.source, self.vector], row_ids=self._choose(snapshot, most))
        rows = snapshot.scan(query).read_all().combine_chunks()
        if not rows.num_rows:
            return [], np.empty((0, 0), np.float32)
        (batch,) = rows.to_batches()
        return batch.column(0).to_pylist(), vector_values(batch.column(1))

    def _choose(self, snapshot: Snapshot, most: int | None) -> RowIds:
        """Return the first rows whose vector was made from the source as it is now."""
        hashes = hash_column(self.vector)
        names = [self.source, hashes] if hashes in snapshot.schema.names else [self.source]
        if self.foreign:
            names.append(self.vector)
        chosen = np.empty(0, np.int64)
        for batch in snapshot.scan(ScanQuery(columns=names, with_row_id=True, limit=most)):
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


def part_of(
    columns: Columns, vector: str, function: EmbeddingFunction, fingerprint: str | None
) -> tuple[Any, ...]:
    """Return what stands for one column of one table, filled by one function."""
    table = columns.metadata.get(QUARANTINE)
    mark = fingerprint or function.fingerprint()
    return table, columns.physical(vector), mark, type(function)


def rider(
    handle: Handle,
    snapshot: Snapshot,
    columns: Columns,
    binding: Binding,
    function: EmbeddingFunction,
) -> Rider | None:
    """Return a stored source to send along with the first rows a process adds to a table.

    ``None`` where this process has done so, or no row can be compared.
    """
    # A function that is handed out for a binding has its fingerprint.
    part = part_of(columns, binding.vector_column, function, binding.fingerprint)
    same = handle.pipeline.same_models
    if part in same:
        return None
    source, vector = map(columns.physical, (binding.source_column, binding.vector_column))
    sample = Sample(source, vector, 1)
    inputs, stored = sample.read(snapshot, _LOOKED_AT)
    text = isinstance(function, TextEmbeddingFunction)
    if not inputs or not isinstance(inputs[0], str if text else bytes):  # no path from a table
        same.add(part)
        return None

    def differs(similarity: float) -> EmbowError:
        name = binding.vector_column
        return IdentityMismatchError(
            f"{describe(function.identity())} no longer makes the vectors of column {name!r} of "
            f"table {handle.name!r}: a stored source embedded again has cosine similarity "
            f"{similarity:.4f} with the vector it has. Another model answers under that name; "
            "nothing was stored. verify(remote=True) compares more rows. To go on, re-embed the "
            f"column by a name of its own for the new model with migrate({name!r}, function), or "
            f"rebind({name!r}, function) to one that makes the vectors that are there."
        )

    return Rider(inputs[0], stored[0], differs, lambda: same.add(part))
