"""Giving a table another model: a new vector column, a change of model, and the way back.

Called by ``Table``. New vectors are written to a hidden column beside the old ones; one commit then
renames the columns and changes the binding, so that no reader sees a half-changed table. A call
that was interrupted is made again: columns already written are taken up, and the cache holds what
was embedded.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from embow.embeddings import Binding, EmbeddingFunction, read_bindings
from embow.embeddings.bindings import bindings_metadata
from embow.engines.base import Commit, ScanQuery
from embow.errors import (
    CommitConflictError,
    ConfigurationError,
    IdentityMismatchError,
    SchemaError,
)
from embow.pipeline import AddReport, EmbedJob, Estimate, PipelineOptions, SourceRows
from embow.schema.protocol import METADATA_KEY
from embow.table.backfill import Backfill, has_null
from embow.table.canary import CANARY_KEY, write_canaries
from embow.table.changes import finish, keeping_rows
from embow.table.committing import again_on_conflict
from embow.table.conform import check_columns
from embow.table.identity import describe
from embow.table.provenance import (
    HIDDEN_PREFIX,
    abandoned_columns,
    hash_column,
    new_column,
    old_column,
)
from embow.table.settings import change_metadata
from embow.table.vectors import validity, vector_values
from embow.table.verification import SAME_MODEL, cosine

if TYPE_CHECKING:
    from embow.table.table import Table

PREVIOUS_KEY = b"_embow_previous"
_SAMPLE = 32


@dataclass(frozen=True, slots=True)
class _Change:
    """One vector column on its way to a new function."""

    vector: str
    source: str
    function: EmbeddingFunction

    @property
    def binding(self) -> Binding:
        return Binding.from_record(self.function.to_binding(self.source, self.vector))

    @property
    def shadow(self) -> str:
        """Hidden column the new vectors are written to; named after the model, for resuming."""
        return new_column(self.vector, self.function.fingerprint())

    @property
    def job(self) -> EmbedJob:
        return EmbedJob(self.function, self.source, self.shadow, self.function.ndims())

    @property
    def old(self) -> str:
        return old_column(self.vector)

    def field(self, schema: pa.Schema) -> pa.Field:
        """Return the column as it will be: of the former one's number type and nullability."""
        if self.vector not in schema.names:
            return pa.field(self.vector, pa.list_(pa.float32(), self.function.ndims()))
        former = schema.field(self.vector)
        return former.with_type(pa.list_(former.type.value_type, self.function.ndims()))


def add_embedding(
    table: Table,
    vector: str,
    source: str,
    function: EmbeddingFunction,
    *,
    dry_run: bool = False,
    **options: Any,
) -> AddReport | Estimate:
    """Add a vector column and fill it. See ``Table.add_embedding``."""
    check_columns([source], table.schema.names)
    if vector in table.schema.names or vector.startswith(HIDDEN_PREFIX):
        raise SchemaError(
            f"Table {table.name!r} has a column {vector!r} already; to re-embed it use "
            f"migrate({vector!r}, function)."
        )
    change = _Change(vector, source, _checked(function))
    chosen = _options(table, options)
    if dry_run:
        return _estimate(table, change, chosen)
    return _fill_and_switch(table, change, chosen, drop_old=False)


def migrate(
    table: Table,
    vector: str,
    function: EmbeddingFunction,
    *,
    dry_run: bool = False,
    keep_old: bool = True,
    **options: Any,
) -> AddReport | Estimate:
    """Re-embed a column with another function. See ``Table.migrate``."""
    binding = _bound(table, vector)
    if binding.fingerprint == _checked(function).fingerprint():
        raise ConfigurationError(
            f"Column {vector!r} is embedded by this function already: "
            f"{describe(function.identity())}."
        )
    change = _Change(vector, binding.source_column, function)
    chosen = _options(table, options)
    if dry_run:
        return _estimate(table, change, chosen)
    return _fill_and_switch(table, change, chosen, drop_old=not keep_old)


def rollback(table: Table, vector: str) -> None:
    """Go back to the function and vectors before the latest migration. See ``Table.rollback``."""
    with table._database._engine.atomic():
        _roll_back(table, vector)


def _roll_back(table: Table, vector: str) -> None:
    binding = _bound(table, vector)
    schema = table._engine_table.schema()
    change = _Change(vector, binding.source_column, binding.function())
    previous = json.loads((schema.metadata or {}).get(PREVIOUS_KEY, b"{}"))
    if vector not in previous or change.old not in schema.names:
        raise SchemaError(f"Column {vector!r} keeps no earlier vectors to go back to.")
    former = Binding.from_record(previous.pop(vector))
    metadata = _with_binding(schema.metadata, former)
    metadata[PREVIOUS_KEY] = json.dumps(previous).encode()
    table._engine_table.alter_columns(
        drop=[vector, hash_column(vector)],
        rename={change.old: vector, hash_column(change.old): hash_column(vector)},
        metadata=metadata,
        nullable={vector: schema.field(vector).nullable or has_null(table, change.old)},
    )


def rebind(
    table: Table, vector: str, function: EmbeddingFunction, *, sample: int = _SAMPLE
) -> float:
    """Give a column an equivalent function. See ``Table.rebind``."""
    binding = _bound(table, vector)
    least = _least_similarity(table, binding, function, sample)
    if least < SAME_MODEL:
        raise IdentityMismatchError(
            f"{describe(function.identity())} does not make the vectors of column {vector!r}: the "
            f"smallest cosine similarity over a sample is {least:.4f}, at least {SAME_MODEL} is "
            f"needed. Re-embed with migrate({vector!r}, function)."
        )
    record = Binding.from_record(function.to_binding(binding.source_column, vector))
    change_metadata(table._engine_table, lambda schema: _with_binding(schema.metadata, record))
    return least


def _least_similarity(
    table: Table, binding: Binding, function: EmbeddingFunction, sample: int
) -> float:
    """Embed a sample of stored sources and compare with the stored vectors."""
    names = [binding.source_column, binding.vector_column]
    rows = table._engine_table.scan(ScanQuery(columns=names, limit=sample * 4)).read_all()
    batches = rows.combine_chunks().to_batches()
    if not batches:
        return 1.0
    column = batches[0].column(binding.vector_column)
    if column.type.list_size != function.ndims():
        return 0.0
    present = validity(column).tolist()
    sources = batches[0].column(binding.source_column).to_pylist()
    chosen = [i for i, ok in enumerate(present) if ok and sources[i]][:sample]
    if not chosen:
        return 1.0
    inputs = [sources[i] for i in chosen]
    made = table._database._pipeline.embed_documents(function, inputs, table._options({}))
    stored = vector_values(column)
    return min(cosine(new, stored[i]) for new, i in zip(made, chosen, strict=True))


def _checked(function: Any) -> EmbeddingFunction:
    if isinstance(function, EmbeddingFunction):
        return function
    raise ConfigurationError(
        f"An embedding function is needed, made with get_registry().get('...').create(...), not "
        f"{function!r:.60}."
    )


def _bound(table: Table, vector: str) -> Binding:
    check_columns([vector], table.schema.names)
    binding = table._columns().binding(vector)
    if binding is None:
        raise SchemaError(f"Column {vector!r} has no embedding function.")
    return binding


def _options(table: Table, given: Mapping[str, Any]) -> PipelineOptions:
    """Return the options of a backfill; the cache is on, so that it can be taken up again."""
    return table._options({"cache": True, **given})


def _estimate(table: Table, change: _Change, options: PipelineOptions) -> Estimate:
    query = ScanQuery(columns=[change.source])
    rows = (SourceRows(batch) for batch in table._engine_table.scan(query))
    return table._database._pipeline.estimate(rows, [change.job], options)


def _fill_and_switch(
    table: Table, change: _Change, options: PipelineOptions, *, drop_old: bool
) -> AddReport:
    started = time.monotonic()
    report = AddReport()
    field = change.field(table._engine_table.schema())
    backfill = Backfill(table, change.job, keeping_rows(options), field)
    backfill.write_column(report)
    commit = again_on_conflict(lambda: _catch_up_and_switch(change, backfill, report, drop_old))
    return finish(table, report, commit, started)


def _catch_up_and_switch(
    change: _Change, backfill: Backfill, report: AddReport, drop_old: bool
) -> Commit:
    """Embed what other writers added meanwhile, and switch when nothing is left.

    What came in during the embedding is embedded while the others wait, so that an end is reached.
    """
    table = backfill.table
    version = table.version
    settled = not backfill.fill_rows_added_since(report)
    backfill.check()
    with table._database._engine.atomic():
        latest = table.version
        settled = settled and latest == version
        if settled or not backfill.fill_rows_added_since(report):
            return _switch(backfill, change, latest, drop_old)
    raise CommitConflictError(
        f"Other writers kept changing rows of table {table.name!r}. The new vectors are kept; call "
        "again when fewer changes come in."
    )


def _switch(backfill: Backfill, change: _Change, version: int, drop_old: bool) -> Commit:
    """Put the new column in the place of the old one, in one commit."""
    table = backfill.table
    schema = table._engine_table.schema()
    hashes = hash_column
    rename = {change.shadow: change.vector, hashes(change.shadow): hashes(change.vector)}
    drop: list[str] = []
    nullable = {change.vector: backfill.field.nullable}
    metadata = _with_binding(schema.metadata, change.binding)
    previous = json.loads(metadata.get(PREVIOUS_KEY, b"{}"))
    former = read_bindings(schema).get(change.vector)
    if former is not None and drop_old:
        drop += [change.vector, hashes(change.vector)]
    elif former is not None:
        rename |= {change.vector: change.old, hashes(change.vector): hashes(change.old)}
        previous[change.vector] = former.to_record()
        nullable[change.old] = True  # Rows that come in from now on have nothing there.
    if change.old in schema.names:
        drop += [change.old, hashes(change.old)]
    drop += abandoned_columns(schema.names, change.vector, change.shadow)
    if drop_old:
        previous.pop(change.vector, None)
    metadata[PREVIOUS_KEY] = json.dumps(previous).encode()
    made = backfill.canaries.vectors.get(change.shadow)
    if made is not None:
        fingerprints = {change.vector: change.function.fingerprint()}
        metadata = write_canaries(metadata, {change.vector: made}, fingerprints)
    return table._engine_table.alter_columns(
        rename=rename, drop=drop, metadata=metadata, nullable=nullable, expected_version=version
    )


def _with_binding(metadata: Mapping[bytes, bytes] | None, binding: Binding) -> dict[bytes, bytes]:
    """Return the metadata with one binding added or replaced, and its old canary gone."""
    merged = dict(metadata or {})
    bindings = read_bindings(merged)
    bindings[binding.vector_column] = binding
    merged[METADATA_KEY] = bindings_metadata(bindings.values())
    canaries = json.loads(merged.get(CANARY_KEY, b"{}"))
    canaries.pop(binding.vector_column, None)
    merged[CANARY_KEY] = json.dumps(canaries).encode()
    return merged
