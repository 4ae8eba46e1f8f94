"""The write path: the user's data in, batches ready for the engine out.

Called by ``Table.add`` and ``Database.create_table``. One generator, pulled by the engine while it
writes: read, conform, embed, assemble. Nothing here commits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.embeddings import Binding
from embow.errors import DataError, PluginError
from embow.pipeline import (
    AddReport,
    EmbeddedBatch,
    EmbedJob,
    FailedRow,
    Pipeline,
    PipelineOptions,
    SourceRows,
)
from embow.table.canary import Canaries
from embow.table.conform import Conformer
from embow.table.inputs import iter_batches
from embow.table.provenance import HASH_TYPE, HIDDEN_PREFIX, hash_column
from embow.table.quarantine import Quarantine
from embow.table.vectors import BadVectorPolicy, validity, vector_array, vector_values

if TYPE_CHECKING:
    from embow.table.bindings import TableSchema


@dataclass(slots=True)
class Ingest:
    """How one call's rows become stored rows.

    Attributes:
        pipeline: What embeds.
        columns: The table's columns and the functions bound to them.
        options: Error, limit, cache and progress settings of the call.
        policy: What to do with bad vectors the user brought.
        quarantine: Takes the rows that could not be embedded, where that is asked for. The caller
            stores them, together with the commit.
        canaries: Fixed texts that ride along with the first write.
    """

    pipeline: Pipeline
    columns: TableSchema
    options: PipelineOptions
    policy: BadVectorPolicy
    quarantine: Quarantine
    canaries: Canaries = field(default_factory=Canaries)

    def batches(self, data: Any, report: AddReport) -> Iterator[pa.RecordBatch]:
        """Yield physical batches of the user's data, filling in the report as they pass."""
        filled = [binding.vector_column for binding in self.columns.bindings]
        conformer = Conformer(self.columns.visible, filled, self.policy)
        fitted = _fit(iter_batches(data, self.columns.visible), conformer)
        return self.embedded(fitted, report)

    def embedded(
        self, fitted: Iterable[pa.RecordBatch], report: AddReport
    ) -> Iterator[pa.RecordBatch]:
        """Yield physical batches of batches that fit the visible schema already."""
        jobs, missing = self._jobs()
        fitted = _with_providers(fitted, missing)
        if not jobs:
            yield from self._stored_as_given(fitted, report)
            return
        stream = self.canaries.follow(fitted, jobs, self.columns.visible)
        rows = (
            SourceRows(batch, {job.vector_column: needs_embedding(batch, job) for job in jobs})
            for batch in stream
        )
        results = self.pipeline.embed_batches(rows, jobs, self.options, report)
        with closing(results):
            for out in results:
                if self.canaries.take(out, report):
                    continue
                batch = self._keep(out, jobs)
                report.rows += batch.num_rows
                if batch.num_rows:
                    yield batch

    def _jobs(self) -> tuple[list[EmbedJob], list[tuple[Binding, PluginError]]]:
        """Return the jobs of the bindings whose provider is there, and the other bindings."""
        jobs: list[EmbedJob] = []
        missing: list[tuple[Binding, PluginError]] = []
        for binding in self.columns.bindings:
            try:
                jobs.append(self.columns.job(binding))
            except PluginError as exc:
                missing.append((binding, exc))
        return jobs, missing

    def _stored_as_given(
        self, batches: Iterable[pa.RecordBatch], report: AddReport
    ) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            report.rows += batch.num_rows
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            yield _as_stored(columns, batch.num_rows, self.columns.physical)

    def _keep(self, out: EmbeddedBatch, jobs: Sequence[EmbedJob]) -> pa.RecordBatch:
        """Return the rows of a batch to store, handing the rejected ones on."""
        stored = assemble(out, jobs, self.columns.physical)
        self._refuse_missing_vectors(out, stored)
        failed = sorted({offset for rows in out.failed.values() for offset in rows})
        if not failed or self.options.on_error == "null":
            return stored
        if self.options.on_error == "quarantine":
            reasons = [_first_failure(out, offset) for offset in failed]
            self.quarantine.reject(take_rows(out.batch, failed), reasons)
        kept = sorted(set(range(stored.num_rows)).difference(failed))
        return take_rows(stored, kept)

    def _refuse_missing_vectors(self, out: EmbeddedBatch, stored: pa.RecordBatch) -> None:
        """Refuse a row without a vector where the vector column may not be null."""
        for binding in self.columns.bindings:
            vector = binding.vector_column
            column = stored.column(vector)
            if self.columns.physical.field(vector).nullable or not column.null_count:
                continue
            left_out = {} if self.options.on_error == "null" else out.failed.get(vector, {})
            empty = set(np.flatnonzero(~validity(column)).tolist()).difference(left_out)
            if empty:
                row = out.first_row + min(empty)
                raise DataError(
                    f"Row {row}, column {binding.source_column!r}: there is nothing to embed, and "
                    f"{vector!r} may not be null. Leave the row out, or declare the vector "
                    "nullable."
                )


def _fit(batches: Iterable[pa.RecordBatch], conformer: Conformer) -> Iterator[pa.RecordBatch]:
    first_row = 0
    for batch in batches:
        yield conformer.fit(batch, first_row)
        first_row += batch.num_rows


def needs_name(vector_column: str) -> str:
    """Return the name of the column that says which rows to embed, where a batch carries one."""
    return f"{HIDDEN_PREFIX}_needs_{vector_column}"


def needs_embedding(batch: pa.RecordBatch, job: EmbedJob | Binding) -> NDArray[np.bool_]:
    """Return which rows to embed: those marked, else those that have no vector yet."""
    position = batch.schema.get_field_index(needs_name(job.vector_column))
    if position >= 0:
        return np.asarray(batch.column(position).to_pylist(), dtype=np.bool_)
    return ~validity(batch.column(job.vector_column))


def _with_providers(
    batches: Iterable[pa.RecordBatch], missing: Sequence[tuple[Binding, PluginError]]
) -> Iterator[pa.RecordBatch]:
    """Yield the batches, unless a row needs a provider that is not there."""
    for batch in batches:
        for binding, error in missing:
            sources = validity(batch.column(binding.source_column))
            if (needs_embedding(batch, binding) & sources).any():
                raise error
        yield batch


def assemble(out: EmbeddedBatch, jobs: Sequence[EmbedJob], physical: pa.Schema) -> pa.RecordBatch:
    """Return a batch with the columns the engine stores: given, embedded and hidden ones.

    A vector the user brought stays, and its hash is null: it was not made from the source here.
    A vector carried over from a stored row keeps the hash carried with it.
    """
    names = out.batch.schema.names
    columns: dict[str, pa.Array] = dict(zip(names, out.batch.columns, strict=True))
    for job in jobs:
        name = job.vector_column
        vectors, hashes = _filled(out, job, columns, physical.field(name).type)
        columns[name] = vectors
        columns[hash_column(name)] = hashes
    return _as_stored(columns, out.batch.num_rows, physical)


def _as_stored(columns: dict[str, pa.Array], rows: int, physical: pa.Schema) -> pa.RecordBatch:
    """Return the columns the engine stores, null where there is nothing to store."""
    arrays = [columns[f.name] if f.name in columns else pa.nulls(rows, f.type) for f in physical]
    return pa.RecordBatch.from_arrays(arrays, schema=physical)


def _filled(
    out: EmbeddedBatch, job: EmbedJob, columns: dict[str, pa.Array], data_type: pa.DataType
) -> tuple[pa.Array, pa.Array]:
    """Return a vector column and its hashes: made where made, carried over where not asked for."""
    name = job.vector_column
    made, valid, hashes = out.vectors[name], out.valid[name], out.hashes[name]
    given, carried = columns[name], columns.get(hash_column(name))
    if given.null_count == len(given):
        fresh = hashes if valid.all() else _chosen_hashes(hashes, valid, None, ~valid)
        return vector_array(made, valid, data_type), fresh
    kept = validity(given) & ~needs_embedding(out.batch, job)
    merged = np.array(vector_values(given))
    merged[valid] = made[valid]
    return vector_array(merged, valid | kept, data_type), _chosen_hashes(
        hashes, valid, carried, kept
    )


def _chosen_hashes(
    made: pa.Array, valid: NDArray[np.bool_], carried: pa.Array | None, kept: NDArray[np.bool_]
) -> pa.Array:
    old = carried.to_pylist() if carried is not None else [None] * len(made)
    rows = zip(made.to_pylist(), valid.tolist(), old, kept.tolist(), strict=True)
    chosen = [new if is_new else (was if is_kept else None) for new, is_new, was, is_kept in rows]
    return pa.array(chosen, HASH_TYPE)


def take_rows(batch: pa.RecordBatch, rows: Sequence[int]) -> pa.RecordBatch:
    """Return the rows at these positions."""
    indices = pa.Array.from_buffers(
        pa.int64(), len(rows), [None, pa.py_buffer(np.asarray(rows, dtype=np.int64))]
    )
    return batch.take(indices)


def _first_failure(out: EmbeddedBatch, offset: int) -> FailedRow:
    return next(rows[offset] for rows in out.failed.values() if offset in rows)
