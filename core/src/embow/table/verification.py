"""Whether every stored vector still belongs to its source and its model; mending those that do not.

Called by ``Table.verify`` and ``Table.repair``. Verifying reads hashes and calls no provider unless
asked to.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from embow.embeddings import Binding
from embow.engines.base import ROW_ID, ScanQuery
from embow.pipeline import AddReport, PipelineOptions, content_hashes
from embow.table.bindings import job_of
from embow.table.canary import keep_canaries, read_canaries
from embow.table.changes import finish, keeping_rows, stored_rows
from embow.table.committing import again_on_conflict
from embow.table.ingest import needs_name
from embow.table.provenance import hash_column
from embow.table.vectors import BadVectorPolicy, validity

if TYPE_CHECKING:
    from embow.table.table import Table

SAME_MODEL = 0.999
"""Least cosine similarity of two embeddings of one text by one model."""


@dataclass(slots=True)
class ColumnReport:
    """The state of one vector column; rows are named by ``_rowid``.

    Attributes:
        current: Vectors made from the source as it is now.
        empty: Rows with nothing to embed and no vector.
        stale: Vectors made from a source that has changed since.
        missing: Rows that should have a vector and have none.
        foreign: Vectors the user brought; the function did not make them.
        drift: Cosine similarity of the fixed text embedded now and at the first write; ``None``
            where it was not asked for or not stored.
    """

    current: int = 0
    empty: int = 0
    stale: list[int] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    foreign: list[int] = field(default_factory=list)
    drift: float | None = None

    @property
    def ok(self) -> bool:
        """Whether no vector is stale or missing and the model has not changed."""
        drifted = self.drift is not None and self.drift < SAME_MODEL
        return not (self.stale or self.missing or drifted)


@dataclass(slots=True)
class VerifyReport:
    """The state of a table's vectors, by vector column."""

    columns: dict[str, ColumnReport]

    @property
    def ok(self) -> bool:
        """Whether every column is as it should be. Foreign vectors are the user's own choice."""
        return all(column.ok for column in self.columns.values())

    def __str__(self) -> str:
        return "\n".join(f"{name}: {_line(column)}" for name, column in self.columns.items())


def verify(table: Table, *, remote: bool) -> VerifyReport:
    """Find stale, missing and foreign vectors. See ``Table.verify``."""
    bindings = table._columns().bindings
    report = VerifyReport({b.vector_column: ColumnReport() for b in bindings})
    if not bindings:
        return report
    names = {
        name
        for b in bindings
        for name in (b.source_column, b.vector_column, hash_column(b.vector_column))
    }
    query = ScanQuery(columns=sorted(names), with_row_id=True)
    for batch in table._engine_table.scan(query):
        for binding in bindings:
            _inspect(batch, binding, report.columns[binding.vector_column])
    if remote:
        for binding in bindings:
            report.columns[binding.vector_column].drift = _drift(table, binding)
    return report


def _inspect(batch: pa.RecordBatch, binding: Binding, found: ColumnReport) -> None:
    """Sort the rows of a batch into the states of a column."""
    now = content_hashes(batch.column(binding.source_column))
    stored = batch.column(hash_column(binding.vector_column))
    present = validity(batch.column(binding.vector_column)).tolist()
    row_ids = batch.column(ROW_ID).to_pylist()
    rows = zip(row_ids, now.to_pylist(), stored.to_pylist(), present, strict=True)
    for row_id, source, made_from, has_vector in rows:
        if not has_vector:
            if source is None:
                found.empty += 1
            else:
                found.missing.append(row_id)
        elif made_from is None:
            found.foreign.append(row_id)
        elif made_from == source:
            found.current += 1
        else:
            found.stale.append(row_id)


def _drift(table: Table, binding: Binding) -> float | None:
    """Embed the fixed text again and compare it with what the first write got."""
    stored = read_canaries(table._engine_table.schema().metadata).get(binding.vector_column)
    if stored is None or stored["fingerprint"] != (binding.fingerprint or ""):
        return None
    job = job_of(binding)
    options = table._options({"cache": False})
    vector = table._database._pipeline.embed_documents(job.function, [stored["text"]], options)[0]
    return cosine(vector, stored["vector"])


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Return the cosine similarity of two vectors, 0 where one is zero or lengths differ."""
    if one.shape != other.shape:
        return 0.0
    a, b = one.astype(np.float64), other.astype(np.float64)
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norms if norms else 0.0


def repair(table: Table, options: PipelineOptions) -> AddReport:
    """Re-embed stale and missing vectors. See ``Table.repair``."""
    return again_on_conflict(lambda: _repair_once(table, options))


def _repair_once(table: Table, options: PipelineOptions) -> AddReport:
    started = time.monotonic()
    columns = table._columns()
    found = verify(table, remote=False).columns
    broken = {name: {*state.stale, *state.missing} for name, state in found.items()}
    row_ids = sorted(set().union(*broken.values()))
    report = AddReport(version=table.version)
    if not row_ids:
        return report
    writing = columns.ingest(
        table._database._pipeline, keeping_rows(options), BadVectorPolicy(), table._quarantine()
    )
    batches = writing.embedded(_marked(table, row_ids, broken), report)
    commit = table._engine_table.replace(row_ids, batches, guard=columns.guard())
    keep_canaries(table._engine_table, writing.canaries, columns.bindings)
    return finish(table, report, commit, started)


def _marked(
    table: Table, row_ids: list[int], broken: dict[str, set[int]]
) -> Iterator[pa.RecordBatch]:
    """Yield stored rows, marked where a vector must be made again."""
    done = 0
    for batch in stored_rows(table, row_ids):
        chunk = row_ids[done : done + batch.num_rows]
        done += batch.num_rows
        for name, rows in broken.items():
            marks = pa.array([row_id in rows for row_id in chunk], pa.bool_())
            batch = batch.append_column(needs_name(name), marks)
        yield batch


def _line(column: ColumnReport) -> str:
    parts = [f"{column.current} current"]
    for name in ("stale", "missing", "foreign"):
        rows = getattr(column, name)
        if rows:
            parts.append(f"{len(rows)} {name}")
    if column.empty:
        parts.append(f"{column.empty} with nothing to embed")
    if column.drift is not None:
        parts.append(f"fixed text at cosine {column.drift:.4f}")
    return ", ".join(parts)
