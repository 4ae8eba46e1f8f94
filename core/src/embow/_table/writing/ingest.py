"""The write path: the user's data in, batches ready for the engine out.

One generator, pulled by the engine while it writes: read, conform, embed, assemble. Nothing here
commits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from embow._table.columns import Columns
from embow._table.handle import Context, Handle
from embow._table.incoming.conform import Conformer
from embow._table.incoming.inputs import Reading, count_rows, iter_batches
from embow._table.incoming.vectors import (
    BadVectorPolicy,
    as_mask,
    validity,
    vector_array,
    vector_values,
)
from embow._table.truth.sample import part_of, rider
from embow._table.writing.keys import Keys
from embow._table.writing.rows import assemble, carried_columns, chosen_hashes, new_rows, take_rows
from embow.embeddings import Binding
from embow.engines.contract import Snapshot
from embow.errors import DataError, EmbowError, PluginError, UntrustedError
from embow.pipeline import (
    AddReport,
    EmbeddedBatch,
    EmbedJob,
    Estimate,
    FailedRow,
    PipelineOptions,
)
from embow.pipeline._types import SourceRows

Rejected = tuple[pa.RecordBatch, list[FailedRow]]
"""Rows as the user gave them, and why each could not be embedded."""


@dataclass(slots=True)
class Ingest:
    """How one call's rows become stored rows.

    Attributes:
        policy: What to do with bad vectors the user brought.
        rejected: Rows that could not be embedded, where they are to be quarantined; complete when
            the last batch was pulled.
        snapshot: The rows that stay in the table, one of which tells whether the model is still the
            same; ``None`` where none do.
        keys: Primary keys of the user's data that came so far.
    """

    context: Context
    columns: Columns
    options: PipelineOptions
    policy: BadVectorPolicy = field(default_factory=BadVectorPolicy)
    rejected: list[Rejected] = field(default_factory=list)
    snapshot: Snapshot | None = None
    keys: Keys = field(init=False)

    def __post_init__(self) -> None:
        self.keys = Keys(self.columns, self.columns.key)

    def batches(self, data: Any, report: AddReport) -> Iterator[pa.RecordBatch]:
        """Yield physical batches of the user's data, filling in the report as they pass."""
        rows = self._incoming(data, report)
        if self.columns.key:
            rows = self.keys.watched(rows, self.snapshot)
        return self.embedded(rows, report, count_rows(data))

    def _incoming(self, data: Any, report: AddReport) -> Iterator[SourceRows]:
        """Yield the user's rows as the table has them; those with odd text fail by the settings."""
        schema, first_row = self.columns.visible, 0
        conformer = Conformer(schema, self.columns.filled, self.policy)
        odd: dict[int, str] | None = None if self.options.on_error == "raise" else {}
        for batch in iter_batches(data, Reading(schema, self.columns.defaults, odd)):
            if odd:
                yield from self._odd_rows(batch, odd, conformer, first_row, report)
            else:
                yield new_rows(conformer.fit(batch, first_row), self.columns)
            first_row += batch.num_rows

    def _odd_rows(
        self,
        batch: pa.RecordBatch,
        odd: Mapping[int, str],
        conformer: Conformer,
        first_row: int,
        report: AddReport,
    ) -> Iterator[SourceRows]:
        """Yield the rows of a batch in which some text is none, those apart from the others."""
        chosen = np.ones(batch.num_rows, np.bool_)
        chosen[list(odd)] = False
        yield new_rows(conformer.fit(batch.filter(as_mask(chosen)), first_row), self.columns)
        failed = [_odd_text(first_row + at, name) for at, name in sorted(odd.items())]
        report.failed += failed
        rows = conformer.fit(batch.filter(as_mask(~chosen)), first_row)
        if self.options.on_error == "quarantine":
            self.rejected.append((rows, failed))
        elif self.options.on_error == "null":
            needs = np.zeros(rows.num_rows, np.bool_)
            yield SourceRows(rows, dict.fromkeys(conformer.filled, needs))

    def estimate(self, data: Any) -> Estimate:
        """Return what embedding the user's data would take; nothing is stored."""
        jobs, missing = self._jobs()
        rows = _with_functions(self._incoming(data, AddReport()), missing)
        return self.context.pipeline.estimate(rows, jobs, self.options)

    def embedded(
        self, rows: Iterable[SourceRows], report: AddReport, total: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield physical batches of rows that fit the visible schema already."""
        jobs, missing = self._jobs()
        if missing:
            rows = _with_functions(rows, missing)
        with closing(
            self.context.pipeline.embed_batches(rows, jobs, self.options, report, total)
        ) as results:
            for out in results:
                batch = self._keep(out, jobs)
                if batch.num_rows:
                    yield batch
        if self.snapshot is None:  # all there is was made by these functions in this process
            for job in jobs:
                part = part_of(self.columns, job.vector_column, job.function, job.fingerprint)
                self.context.pipeline.same_models.add(part)

    def _jobs(self) -> tuple[list[EmbedJob], list[tuple[Binding, EmbowError]]]:
        """Return the jobs of the bindings whose function can be had, and the other bindings."""
        jobs: list[EmbedJob] = []
        missing: list[tuple[Binding, EmbowError]] = []
        for binding in self.columns.bindings:
            try:
                job = self.context.job(self.columns, binding)
                if self.snapshot is not None and isinstance(self.context, Handle):
                    known = rider(self.context, self.snapshot, self.columns, binding, job.function)
                    job = replace(job, rider=known)
                jobs.append(job)
            except (PluginError, UntrustedError) as exc:
                missing.append((binding, exc))
        return jobs, missing

    def _keep(self, out: EmbeddedBatch, jobs: Sequence[EmbedJob]) -> pa.RecordBatch:
        """Return the rows of a batch to store, setting the rejected ones aside."""
        made = {}
        for job in jobs:
            made[job.vector_column] = self._filled(out, job)
        stored = assemble(self.columns, out.batch, made)
        self._refuse_missing_vectors(out, stored)
        failed = sorted(set().union(*out.failed.values()))
        if not failed or self.options.on_error == "null":
            return stored
        if self.options.on_error == "quarantine":
            reasons = [_first_failure(out, offset) for offset in failed]
            self.rejected.append((take_rows(out.batch, failed), reasons))
        kept = sorted(set(range(stored.num_rows)).difference(failed))
        return take_rows(stored, kept)

    def _filled(self, out: EmbeddedBatch, job: EmbedJob) -> tuple[pa.Array, pa.Array]:
        """Return a vector column and its hashes: made where made, carried over where not asked for.

        A vector the user brought stays, and its hash is null: it was not made from the source here.
        """
        name = job.vector_column
        made, valid, hashes = out.vectors[name], out.valid[name], out.hashes[name]
        data_type = self.columns.visible.field(name).type
        given, fresh = out.batch.column(name), vector_array(made, valid, data_type)
        if given.null_count == len(given):
            return fresh, chosen_hashes(hashes, valid)
        carried = carried_columns(out.batch).get(self.columns.hashes[name])
        kept = validity(given) & ~out.needs[name]
        merged = np.array(vector_values(given))
        merged[valid] = vector_values(fresh)[valid]
        vectors = vector_array(merged, valid | kept, data_type)
        return vectors, chosen_hashes(hashes, valid, carried, kept)

    def _refuse_missing_vectors(self, out: EmbeddedBatch, stored: pa.RecordBatch) -> None:
        """Refuse a row without a vector where the vector column may not be null."""
        for binding in self.columns.bindings:
            vector = binding.vector_column
            column = stored.column(self.columns.names[vector])
            if self.columns.visible.field(vector).nullable or not column.null_count:
                continue
            left_out = {} if self.options.on_error == "null" else out.failed.get(vector, {})
            empty = set(np.flatnonzero(~validity(column)).tolist()).difference(left_out)
            if empty:
                raise DataError(
                    f"Row {out.first_row + min(empty)}, column {binding.source_column!r}: there is "
                    f"nothing to embed, and {vector!r} may not be null. Leave the row out, or "
                    "declare the vector nullable."
                )


def _odd_text(row: int, column: str) -> FailedRow:
    why = "the text is not valid Unicode; U+FFFD stands for what is no character"
    return FailedRow(row, column, "bad_input", why)


def _with_functions(
    rows: Iterable[SourceRows], missing: Sequence[tuple[Binding, EmbowError]]
) -> Iterator[SourceRows]:
    """Yield the rows, unless one needs a function that cannot be had."""
    for each in rows:
        for binding, error in missing:
            sources = validity(each.batch.column(binding.source_column))
            if (each.needs[binding.vector_column] & sources).any():
                raise error
        yield each


def _first_failure(out: EmbeddedBatch, offset: int) -> FailedRow:
    return next(rows[offset] for rows in out.failed.values() if offset in rows)
