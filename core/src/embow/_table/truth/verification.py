"""Whether every stored vector still belongs to its source and its model; mending those that do not.

Verifying reads hashes and calls no provider unless asked to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow._table.columns import Columns
from embow._table.handle import Handle
from embow._table.incoming.vectors import validity
from embow._table.truth.sample import Sample
from embow._table.writing.ingest import Ingest
from embow._table.writing.rows import rewritten
from embow._table.writing.staging import Writer, chunks, keeping_rows, stored_rows
from embow.embeddings import Binding
from embow.engines.contract import Change, RowIds, ScanQuery, Snapshot, row_ids_of
from embow.pipeline import AddReport, content_hashes
from embow.pipeline._rider import SAME_MODEL
from embow.pipeline._types import SourceRows

_SAMPLE = 8


@dataclass(slots=True)
class ColumnReport:
    """The state of one vector column; rows are named by ``_rowid``.

    Attributes:
        current: Vectors made from the source as it is now.
        empty: Rows with nothing to embed and no vector.
        stale: Vectors made from a source that has changed since.
        missing: Rows that should have a vector and have none.
        foreign: Vectors the user brought; the function did not make them.
        drift: Smallest cosine similarity of a sample of current vectors and their sources embedded
            again; ``None`` where it was not asked for, or no vector is current.
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


def verify(handle: Handle, *, remote: bool) -> VerifyReport:
    """Find stale, missing and foreign vectors. See ``Table.verify``."""
    with handle.snapshot() as snapshot:
        columns = handle.columns(snapshot)
        report = VerifyReport(_inspected(snapshot, columns))
        if remote:
            for binding in columns.bindings:
                drift = _drift(handle, snapshot, columns, binding)
                report.columns[binding.vector_column].drift = drift
    return report


def _inspected(snapshot: Snapshot, columns: Columns) -> dict[str, ColumnReport]:
    found = {binding.vector_column: ColumnReport() for binding in columns.bindings}
    names: set[str] = set()
    for binding in columns.bindings:
        vector = binding.vector_column
        names |= {columns.physical(binding.source_column), columns.physical(vector)}
        names.add(columns.hashes[vector])
    if names:
        for batch in snapshot.scan(ScanQuery(columns=sorted(names), with_row_id=True)):
            for binding in columns.bindings:
                _inspect(batch, columns, binding, found[binding.vector_column])
    return found


def _inspect(
    batch: pa.RecordBatch, columns: Columns, binding: Binding, found: ColumnReport
) -> None:
    """Sort the rows of a batch into the states of a column."""
    now = content_hashes(batch.column(columns.physical(binding.source_column)))
    stored = batch.column(columns.hashes[binding.vector_column])
    present = validity(batch.column(columns.physical(binding.vector_column))).tolist()
    row_ids = row_ids_of(batch).tolist()
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


def _drift(handle: Handle, snapshot: Snapshot, columns: Columns, binding: Binding) -> float | None:
    """Embed a sample of current rows again and compare with the vectors they have."""
    source = columns.physical(binding.source_column)
    sample = Sample(source, columns.physical(binding.vector_column), _SAMPLE)
    function = handle.function(columns, binding)
    options = handle.options(columns, {"cache": False})
    return sample.least_similarity(handle, snapshot, function, options)


def repair(handle: Handle, given: Mapping[str, Any]) -> AddReport:
    """Re-embed stale and missing vectors. See ``Table.repair``."""
    handle.require_latest()
    writer = Writer(handle)

    def plan(snapshot: Snapshot) -> Change | None:
        columns = handle.columns(snapshot)
        found = _inspected(snapshot, columns)
        broken = {
            name: np.union1d(np.array(state.stale, np.int64), np.array(state.missing, np.int64))
            for name, state in found.items()
        }
        if not any(map(len, broken.values())):
            return None
        ids = np.unique(np.concatenate(list(broken.values())))
        options = keeping_rows(handle.options(columns, given))
        writing = Ingest(handle, columns, options, snapshot=snapshot)
        rows = _to_mend(snapshot, columns, ids, broken)
        staged = writer.stage(
            snapshot, (ids, *broken.values()), lambda: writing.embedded(rows, writer.report)
        )
        return Change(snapshot.base, add=[staged], remove=ids)

    with handle.confined(handle.look()):
        writer.commit(plan)
    return writer.report


def _to_mend(
    snapshot: Snapshot, columns: Columns, ids: RowIds, broken: Mapping[str, NDArray[np.int64]]
) -> Iterator[SourceRows]:
    """Yield stored rows and which of their vectors must be made again."""
    for old, chunk in zip(stored_rows(snapshot, ids), chunks(ids), strict=True):
        needs = {name: np.isin(chunk, rows) for name, rows in broken.items()}
        yield rewritten(old, {}, columns, needs)


def _line(column: ColumnReport) -> str:
    parts = [f"{column.current} current"]
    for name in ("stale", "missing", "foreign"):
        rows = getattr(column, name)
        if rows:
            parts.append(f"{len(rows)} {name}")
    if column.empty:
        parts.append(f"{column.empty} with nothing to embed")
    if column.drift is not None:
        parts.append(f"sample at cosine {column.drift:.4f}")
    return ", ".join(parts)
