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
import pyarrow.compute as pc
from numpy.typing import NDArray

from embow._table.columns import Columns
from embow._table.handle import Context, Handle
from embow._table.incoming.conform import Conformer
from embow._table.incoming.inputs import Reading, count_rows, iter_batches
from embow._table.incoming.vectors import (
    BadVectorPolicy,
    as_mask,
    flags,
    validity,
    vector_array,
    vector_values,
)
from embow._table.names import HASH_TYPE, HIDDEN_PREFIX
from embow._table.truth.sample import part_of, rider
from embow._table.writing.keys import Keys
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

CARRIED = f"{HIDDEN_PREFIX}_carried"
"""Struct of the hidden columns of stored rows that are written again."""

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


def new_rows(batch: pa.RecordBatch, columns: Columns) -> SourceRows:
    """Return rows that come in: what has no vector is embedded."""
    needs = {}
    for name in columns.filled:
        needs[name] = ~validity(batch.column(name))
    return SourceRows(batch, needs)


def rewritten(
    old: pa.RecordBatch,
    new: Mapping[str, pa.Array],
    columns: Columns,
    broken: Mapping[str, NDArray[np.bool_]] | None = None,
) -> SourceRows:
    """Return stored rows with new values, and where a vector must be made again.

    That is where its source changed and no new vector is given.

    Args:
        old: Rows as stored, hidden columns included.
        new: New values by visible column, fitted to the schema.
        columns: The table's.
        broken: Rows whose vector must be made again in any case, by vector column.
    """
    seen = columns.to_visible(old)
    values = {name: new.get(name, seen.column(name)) for name in columns.names}
    shown = set(columns.names.values())
    # Also vectors kept for a rollback; their own hashes tell whether the source changed since.
    hidden = {name: old.column(name) for name in old.schema.names if name not in shown}
    needs = dict(broken or {})
    for binding in columns.bindings:
        vector, source = binding.vector_column, binding.source_column
        if vector in new:
            hidden[columns.hashes[vector]] = pa.nulls(old.num_rows, HASH_TYPE)
        elif source in new and vector not in needs:
            needs[vector] = _differs(seen.column(source), new[source])
        needs.setdefault(vector, np.zeros(old.num_rows, np.bool_))
    if hidden:
        values[CARRIED] = pa.StructArray.from_arrays(list(hidden.values()), names=list(hidden))
    return SourceRows(pa.RecordBatch.from_arrays(list(values.values()), list(values)), needs)


def chosen_hashes(
    made: pa.Array,
    valid: NDArray[np.bool_],
    carried: pa.Array | None = None,
    kept: NDArray[np.bool_] | None = None,
) -> pa.Array:
    """Return what vectors were made from: anew where valid, as carried where kept, else null.

    Args:
        made: Hashes of the sources as they are now.
        valid: Rows that have a vector made from them.
        carried: Hashes that stored rows have.
        kept: Rows that keep the vector they have.
    """
    if carried is None and valid.all():
        return made
    others = pa.nulls(len(made), HASH_TYPE)  # Not pa.scalar, which imports pandas.
    if carried is not None and kept is not None:
        others = pc.if_else(as_mask(kept), carried, others)
    return pc.if_else(as_mask(valid), made, others)


def carried_columns(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """Return the hidden columns that rows carry, by physical name."""
    if CARRIED not in batch.schema.names:
        return {}
    carried = batch.column(CARRIED)
    return dict(zip([f.name for f in carried.type], carried.flatten(), strict=True))


def assemble(
    columns: Columns, batch: pa.RecordBatch, made: Mapping[str, tuple[pa.Array, pa.Array]]
) -> pa.RecordBatch:
    """Return rows as the engine stores them, with vectors and hashes by visible vector column."""
    given = carried_columns(batch)
    for name, physical in columns.names.items():
        given[physical] = batch.column(name)
    for name, (vectors, hashes) in made.items():
        given[columns.names[name]], given[columns.hashes[name]] = vectors, hashes
    return columns.to_stored(given)


def take_rows(batch: pa.RecordBatch, rows: Sequence[int] | NDArray[np.int64]) -> pa.RecordBatch:
    """Return the rows at these positions."""
    at = pa.py_buffer(np.ascontiguousarray(rows, dtype=np.int64))
    return batch.take(pa.Array.from_buffers(pa.int64(), len(rows), [None, at]))


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


def _differs(before: pa.Array, after: pa.Array) -> NDArray[np.bool_]:
    """Return which values changed; null equals null."""
    changed: NDArray[np.bool_] = validity(before) != validity(after)
    try:
        unequal = pc.not_equal(before, after)
    except pa.ArrowNotImplementedError:
        pairs = zip(before.to_pylist(), after.to_pylist(), strict=True)
        return np.fromiter((b != a for b, a in pairs), np.bool_, len(before))
    return changed | (flags(unequal) & validity(unequal))


def _first_failure(out: EmbeddedBatch, offset: int) -> FailedRow:
    return next(rows[offset] for rows in out.failed.values() if offset in rows)
