"""Giving a table another model: a new vector column, a change of model, and the way back.

New vectors are written to a hidden column beside the old ones; one commit of metadata then gives
the column's name to them, so that no reader sees a half-changed table. A call that was interrupted
is made again: rows that have a new vector are taken up, and the cache holds what was embedded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import pyarrow as pa

from embow._table.columns import Columns, Previous
from embow._table.handle import Handle
from embow._table.identity import describe
from embow._table.incoming.conform import check_columns
from embow._table.kinds import kind_of_function
from embow._table.names import begun_columns, free_name, hash_column, is_hidden, new_column
from embow._table.truth.backfill import Backfill, has_null
from embow._table.truth.sample import Sample
from embow._table.writing.indexing import follow_columns
from embow._table.writing.staging import Writer, drop_stored, keeping_rows
from embow.embeddings import Binding, EmbeddingFunction
from embow.engines.contract import Change, Commit, ScanQuery, Snapshot, vector_kind
from embow.errors import (
    CommitConflictError,
    ConfigurationError,
    IdentityMismatchError,
    SchemaError,
)
from embow.pipeline import AddReport, EmbedJob, Estimate
from embow.pipeline._rider import SAME_MODEL
from embow.pipeline._types import SourceRows

_SAMPLE = 32
_ROUNDS = 100


@dataclass(frozen=True, slots=True)
class _NewModel:
    """One vector column on its way to a new function."""

    vector: str
    source: str
    function: EmbeddingFunction
    column: str
    """Physical column of the new vectors; named after the model, to be taken up again."""
    keep_old: bool = True

    @classmethod
    def of(cls, columns: Columns, vector: str, source: str, function: EmbeddingFunction) -> Self:
        """Return the way of a column; what was called the same once has its own vectors."""
        others = {name: each.physical for name, each in columns.previous.items() if name != vector}
        taken = {*columns.names.values(), *others.values(), *columns.dropped}
        name = free_name(new_column(vector, function.fingerprint()), taken)
        return cls(vector, source, function, name)

    @property
    def binding(self) -> Binding:
        return Binding.from_record(self.function.to_binding(self.source, self.vector))

    def field(self, columns: Columns) -> pa.Field:
        """Return the column as it will be: of the former one's number type and nullability."""
        if self.vector not in columns.visible.names:
            return pa.field(self.vector, kind_of_function(self.function).arrow_type)
        former: pa.Field = columns.visible.field(self.vector)
        kind = kind_of_function(self.function, vector_kind(former.type))
        return former.with_type(kind.arrow_type)

    def switch(self, snapshot: Snapshot, columns: Columns) -> Change:
        """Plan the commit that shows the new vectors; nothing else may have happened before it."""
        previous = columns.previous
        former = columns.binding(self.vector)
        if former is not None and self.keep_old:
            nullable = columns.visible.field(self.vector).nullable
            previous[self.vector] = Previous(former, columns.physical(self.vector), nullable)
        else:
            previous.pop(self.vector, None)
        return _change_of_model(
            snapshot, columns, self.binding, self.column, self.field(columns).nullable, previous
        )


def add_embedding(
    handle: Handle,
    vector: str,
    source: str,
    function: EmbeddingFunction,
    *,
    dry_run: bool = False,
    **options: Any,
) -> AddReport | Estimate:
    """Add a vector column and fill it. See ``Table.add_embedding``."""
    columns = handle.look()
    check_columns((source,), tuple(columns.names))
    if vector in columns.visible.names or is_hidden(vector):
        raise SchemaError(
            f"Table {handle.name!r} has a column {vector!r} already; to re-embed it use "
            f"migrate({vector!r}, function)."
        )
    model = _NewModel.of(columns, vector, source, _checked(function))
    return _estimate(handle, model, options) if dry_run else _run(handle, model, options)


def migrate(
    handle: Handle,
    vector: str,
    function: EmbeddingFunction,
    *,
    dry_run: bool = False,
    keep_old: bool = True,
    **options: Any,
) -> AddReport | Estimate:
    """Re-embed a column with another function. See ``Table.migrate``."""
    columns = handle.look()
    binding = _bound(columns, vector)
    if binding.fingerprint == _checked(function).fingerprint():
        raise ConfigurationError(
            f"Column {vector!r} is embedded by this function already: "
            f"{describe(function.identity())}."
        )
    model = _NewModel.of(columns, vector, binding.source_column, function)
    model = replace(model, keep_old=keep_old)
    return _estimate(handle, model, options) if dry_run else _run(handle, model, options)


def rollback(handle: Handle, vector: str) -> None:
    """Go back to the function and vectors before the latest migration. See ``Table.rollback``."""
    before = handle.look()

    def plan(snapshot: Snapshot) -> Change:
        columns = handle.columns(snapshot)
        _bound(columns, vector)
        previous = columns.previous
        kept = previous.pop(vector, None)
        if kept is None or kept.physical not in columns.stored.names:
            raise SchemaError(f"Column {vector!r} keeps no earlier vectors to go back to.")
        # Rows that came in since have no earlier vector.
        nullable = kept.nullable or has_null(snapshot, kept.physical)
        return _change_of_model(snapshot, columns, kept.binding, kept.physical, nullable, previous)

    commit = Writer(handle).commit(plan)
    _drop_unused(handle, vector, before, commit)


def rebind(
    handle: Handle, vector: str, function: EmbeddingFunction, *, sample: int = _SAMPLE
) -> float:
    """Give a column an equivalent function. See ``Table.rebind``."""
    handle.require_latest()
    _checked(function)
    with handle.snapshot() as snapshot:
        columns = handle.columns(snapshot)
        binding = _bound(columns, vector)
        source = columns.physical(binding.source_column)
        compared = Sample(source, columns.physical(vector), sample, foreign=True)
        options = handle.options(columns, {"cache": False})  # which may hold the former model's
        found = compared.least_similarity(handle, snapshot, function, options)
    least = 1.0 if found is None else found
    if least < SAME_MODEL:
        raise IdentityMismatchError(
            f"{describe(function.identity())} does not make the vectors of column {vector!r}: the "
            f"smallest cosine similarity over a sample is {least:.4f}, at least {SAME_MODEL} is "
            f"needed. Re-embed with migrate({vector!r}, function)."
        )
    record = Binding.from_record(function.to_binding(binding.source_column, vector))

    def plan(snapshot: Snapshot) -> Change:
        now = handle.columns(snapshot)
        if now.binding(vector) != binding or now.physical(vector) != compared.vector:
            raise CommitConflictError(
                f"The embedding function of column {vector!r} was changed by another writer while "
                "a sample was compared. Nothing was changed; call again."
            )
        return Change(snapshot.base, metadata=now.binding_entries(record))

    Writer(handle).commit(plan)
    return least


def _change_of_model(
    snapshot: Snapshot,
    columns: Columns,
    binding: Binding,
    physical: str,
    nullable: bool,
    previous: Mapping[str, Previous],
) -> Change:
    """Return the change that has a column's name stand for other vectors of another function."""
    entries = columns.binding_entries(binding)
    entries |= columns.column_entries(binding.vector_column, physical, nullable)
    entries |= columns.previous_entries(previous)
    return Change(snapshot.base, metadata=entries, alone=True)


def _checked(function: Any) -> EmbeddingFunction:
    if isinstance(function, EmbeddingFunction):
        return function
    raise ConfigurationError(
        f"An embedding function is needed, made with get_registry().get('...').create(...), not "
        f"{function!r:.60}."
    )


def _bound(columns: Columns, vector: str) -> Binding:
    check_columns((vector,), tuple(columns.names))
    binding = columns.binding(vector)
    if binding is None:
        raise SchemaError(f"Column {vector!r} has no embedding function.")
    return binding


def _job(columns: Columns, model: _NewModel) -> EmbedJob:
    source = columns.physical(model.source)
    return EmbedJob(model.function, source, model.column, model.function.ndims())


def _estimate(handle: Handle, model: _NewModel, given: Mapping[str, Any]) -> Estimate:
    with handle.snapshot() as snapshot:
        columns = handle.columns(snapshot)
        job = _job(columns, model)
        options = handle.options(columns, {"cache": True, **given})
        rows = map(SourceRows, snapshot.scan(ScanQuery(columns=[job.source_column])))
        return handle.pipeline.estimate(rows, [job], options)


def _run(handle: Handle, model: _NewModel, given: Mapping[str, Any]) -> AddReport:
    """Fill the new column and switch to it."""
    handle.require_latest()
    writer = Writer(handle)
    columns = handle.look()
    # The cache is on, so that a backfill that is cut off can be taken up again.
    options = keeping_rows(handle.options(columns, {"cache": True, **given}))
    shown = model.field(columns)
    backfill = Backfill(writer, _job(columns, model), options, shown)
    with handle.confined(columns):
        try:
            writer.commit(backfill.begin)
        finally:
            backfill.discard()
        switched = _switched(writer, model, backfill, columns)
    commit = _drop_unused(handle, model.vector, columns, switched)
    writer.finish(commit)
    report = writer.report
    report.failed = [replace(each, column=model.source) for each in report.failed]
    with handle.snapshot(at_least=commit.version) as snapshot:
        report.rows = snapshot.count_rows()
    return report


def _switched(writer: Writer, model: _NewModel, backfill: Backfill, begun: Columns) -> Commit:
    """Embed what other writers add meanwhile, and switch when nothing is left."""
    switched = False
    held = (begun.names.get(model.source), begun.names.get(model.vector))

    def plan(snapshot: Snapshot) -> Change:
        nonlocal switched
        columns = writer.handle.columns(snapshot)
        if (columns.names.get(model.source), columns.names.get(model.vector)) != held:
            raise CommitConflictError(
                f"Column {model.source!r} or {model.vector!r} of table {writer.handle.name!r} was "
                "changed by another writer while it was being embedded. Nothing was switched; call "
                "again with the columns as they are now."
            )
        filling = backfill.catch_up(snapshot)
        switched = filling is None
        if filling is not None:
            return filling
        backfill.check(snapshot)
        return model.switch(snapshot, columns)

    for _ in range(_ROUNDS):
        commit = writer.commit(plan)
        if switched:
            return commit
        writer.staged = None
    raise CommitConflictError(
        f"Other writers kept changing rows of table {writer.handle.name!r}. The new vectors are "
        "kept; call again when fewer changes come in."
    )


def _drop_unused(handle: Handle, vector: str, before: Columns, commit: Commit) -> Commit:
    """Drop the vectors of a column that nothing names any more, and return the last commit."""
    follow_columns(handle, before)
    dropped = drop_stored(handle, lambda now: _unused(now, vector, before), commit.version)
    return dropped or commit


def _unused(columns: Columns, vector: str, before: Columns) -> list[str]:
    """Return the hidden columns of earlier models, and of migrations that were given up."""
    kept = {*columns.names.values(), *(each.physical for each in columns.previous.values())}
    stored = columns.stored.names
    former = {before.names.get(vector, "")}
    if vector in before.previous:
        former.add(before.previous[vector].physical)
    gone = (begun_columns(vector, stored) | former.intersection(stored)) - kept
    return [each for each in stored if each in gone | {hash_column(name) for name in gone}]
