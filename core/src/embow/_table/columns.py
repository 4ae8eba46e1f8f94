"""What users call a table's columns, how they are stored, and which functions fill them.

Beside each vector column that a function fills, a hidden column keeps the content hash of the
source value its vector was made from: null where there was nothing to embed, or where the user
brought the vector. What users call a column is kept in the table's metadata, so that any name will
do and another model's vectors take the place of the old ones without a row being written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pyarrow as pa

from embow._processes import cached_property
from embow._table.entries import (
    DROPPED,
    KEY,
    Shown,
    column_entries,
    entries_of_user,
    metadata_of_user,
    name_entries,
    read_columns,
    read_names,
)
from embow._table.incoming.mending import read_defaults
from embow._table.names import HASH_TYPE, free_name, hash_column, unknown_column
from embow._table.settings import TableSettings, pipeline_options
from embow.embeddings import Binding, read_bindings
from embow.embeddings._bindings import bindings_metadata, sign
from embow.embeddings._trust import OWNER_KEY, SIGNATURE_KEY, owner_mark
from embow.engines.contract import RESERVED
from embow.engines.predicate import Predicate, parse_predicate
from embow.engines.predicate._tree import Call, Column, Node
from embow.expr import Condition
from embow.pipeline import PipelineOptions
from embow.schema._protocol import METADATA_KEY

FUNCTIONS = METADATA_KEY.decode()
PREVIOUS = "embow.previous"
QUARANTINE = "embow.quarantine"
"""What the hidden table of failed rows is called; no name of a table, which may change."""
REPLACED = "embow.replaced_quarantine"
"""What it was called before all rows were replaced: a process may have died before it was gone."""
_FORMER_PREVIOUS = "_embow_previous"


@dataclass(frozen=True, slots=True)
class Previous:
    """What a vector column was before its latest migration."""

    binding: Binding
    physical: str
    nullable: bool


@dataclass(frozen=True)
class Columns:
    """The columns of one version of a table, and what follows from them.

    Attributes:
        visible: As the user sees them, with the user's metadata and the embedding functions.
        stored: As they are stored, hidden columns included.
        metadata: The table's metadata.
        bindings: Functions that fill vector columns, by their visible names.
        names: Physical name of each visible column, in visible order.
    """

    visible: pa.Schema
    stored: pa.Schema
    metadata: Mapping[str, str]
    bindings: tuple[Binding, ...]
    names: Mapping[str, str]

    @classmethod
    def read(cls, stored: pa.Schema, metadata: Mapping[str, str]) -> Columns:
        """Return what a stored schema and its metadata say.

        Raises:
            SchemaError: The metadata are damaged.
        """
        shown = read_columns(stored, metadata)
        visible = pa.schema([each.field for each in shown], metadata_of_user(metadata) or None)
        names = {each.field.name: each.physical for each in shown}
        return cls(visible, stored, metadata, tuple(read_bindings(visible).values()), names)

    @classmethod
    def create(
        cls,
        visible: pa.Schema,
        extra: Mapping[str, str] | None = None,
        key: Sequence[str] = (),
    ) -> Columns:
        """Return how declared columns are to be stored; functions in the metadata are bound.

        All are stored nullable, and the list of columns says which may not be null: so a column can
        be exchanged or go without a row being written, as a change of model and of schema do.
        """
        bindings = tuple(read_bindings(visible).values())
        names: dict[str, str] = {}
        for field in visible:
            names[field.name] = free_name(field.name, names.values())
        fields = [f.with_name(names[f.name]).with_nullable(True) for f in visible]
        hashed = [hash_column(names[binding.vector_column]) for binding in bindings]
        stored = pa.schema([*fields, *(pa.field(name, HASH_TYPE) for name in hashed)])
        metadata = {**entries_of_user(visible.metadata), **(extra or {})}
        metadata[QUARANTINE] = uuid4().hex
        if (mark := owner_mark()) is not None:
            metadata[OWNER_KEY] = mark
        entries = function_entries(bindings) | name_entries(KEY, (names[name] for name in key))
        metadata |= {k: v for k, v in entries.items() if v is not None}
        if fields != list(visible):
            shown = [Shown(field, names[field.name]) for field in visible]
            metadata |= column_entries(shown, stored)
        return cls(visible, stored, metadata, bindings, names)

    @cached_property
    def key(self) -> tuple[str, ...]:
        """Visible columns of the primary key; empty where there is none."""
        called = {physical: name for name, physical in self.names.items()}
        return tuple(called[physical] for physical in read_names(self.metadata, KEY))

    @cached_property
    def dropped(self) -> list[str]:
        """Physical columns that are shown no more; some may be gone."""
        return read_names(self.metadata, DROPPED)

    @property
    def shown(self) -> list[Shown]:
        """The visible columns with the physical ones that hold them."""
        return [Shown(field, self.names[field.name]) for field in self.visible]

    @property
    def taken(self) -> frozenset[str]:
        """Physical names that no new column may have."""
        return frozenset((*self.stored.names, *self.dropped))

    @cached_property
    def settings(self) -> TableSettings:
        """What the table was told about calls that embed."""
        return TableSettings.read(self.metadata)

    @cached_property
    def options(self) -> PipelineOptions:
        """How a call embeds that says nothing else."""
        return pipeline_options(self.settings, {})

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """What a row has where it does not say, by visible column."""
        return read_defaults(self.metadata)

    def physical(self, name: str) -> str:
        """Return the physical name of a visible column.

        Raises:
            UnknownColumnError: There is none; the nearest name is suggested.
        """
        if name not in self.names:
            raise unknown_column(name, self.names, self.names)
        return self.names[name]

    @cached_property
    def hashes(self) -> Mapping[str, str]:
        """Physical hash column of each vector column that a function fills."""
        return {name: hash_column(self.physical(name)) for name in self.filled}

    @cached_property
    def _shown(self) -> Mapping[str, pa.Field]:
        return {self.names[field.name]: field for field in self.visible}

    def predicate(self, condition: Condition | None) -> Predicate | None:
        """Return a condition over visible columns as one over physical columns."""
        if condition is None:
            return None
        predicate = parse_predicate(condition, self.visible)
        return replace(predicate, root=_translated(predicate.root, self.names))

    def to_visible(self, data: pa.RecordBatch) -> pa.RecordBatch:
        """Return the visible columns of stored rows, in visible order, then what results add."""
        there = data.schema.names
        kept = data.select([n for n in (*self.names.values(), *RESERVED) if n in there])
        return pa.RecordBatch.from_arrays(kept.columns, schema=self.visible_schema(kept.schema))

    def visible_schema(self, physical: pa.Schema) -> pa.Schema:
        """Return physical columns under the names users give them; others stay as they are."""
        fields = list(physical)
        for at, field in enumerate(fields):
            fields[at] = self._shown.get(field.name, field)
        return pa.schema(fields)

    def to_stored(self, given: Mapping[str, pa.Array]) -> pa.RecordBatch:
        """Return rows with these physical columns; the engine, which may drop one, has others."""
        fields, arrays = [], []
        for field in self.stored:
            if field.name in given:
                fields.append(field)
                arrays.append(given[field.name])
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))

    @cached_property
    def filled(self) -> tuple[str, ...]:
        """Vector columns that functions fill, by visible name."""
        return tuple(self._bound)

    @cached_property
    def first(self) -> Binding | None:
        """Binding of the first vector column that has one, in visible order."""
        return next((self._bound[name] for name in self.names if name in self._bound), None)

    @cached_property
    def _bound(self) -> dict[str, Binding]:
        return {binding.vector_column: binding for binding in self.bindings}

    def binding(self, vector: str) -> Binding | None:
        """Return the binding of a visible vector column, if it has one."""
        return self._bound.get(vector)

    def same_functions(self, other: Columns) -> bool:
        """Return whether rows embedded for one fit the other: same functions, same columns."""
        return (self.bindings, self.names) == (other.bindings, other.names)

    def takes_rows_of(self, former: Columns) -> bool:
        """Return whether rows made for former columns are rows of these: others may be null."""
        shown = {each.field.name: each for each in self.shown}
        kept = [shown.pop(each.field.name, None) == each for each in former.shown]
        same = (self.bindings, self.key) == (former.bindings, former.key)
        return all(kept) and same and all(each.field.nullable for each in shown.values())

    @property
    def previous(self) -> dict[str, Previous]:
        """What migrated vector columns were before, by visible name."""
        if PREVIOUS not in self.metadata:
            records = json.loads(self.metadata.get(_FORMER_PREVIOUS, "{}"))
            return {
                vector: Previous(Binding.from_record(record), f"_embow_old_{vector}", True)
                for vector, record in records.items()
            }
        return {
            vector: Previous(Binding.from_record(r["binding"]), r["column"], r["nullable"])
            for vector, r in json.loads(self.metadata[PREVIOUS]).items()
        }

    def previous_entries(self, previous: Mapping[str, Previous]) -> dict[str, str | None]:
        """Return the metadata to set so that these can be gone back to."""
        records = {
            vector: {"binding": p.binding.to_record(), "column": p.physical, "nullable": p.nullable}
            for vector, p in previous.items()
        }
        former = {_FORMER_PREVIOUS: None} if _FORMER_PREVIOUS in self.metadata else {}
        return {PREVIOUS: json.dumps(records) if records else None, **former}

    def binding_entries(self, binding: Binding) -> dict[str, str | None]:
        """Return the metadata to set so that a function is bound, in the place of an older one."""
        bound = {**self._bound, binding.vector_column: binding}
        # Also what it replaces stays signed, so that one can go back to it.
        former = [*self.bindings, *(each.binding for each in self.previous.values())]
        return function_entries(bound.values(), former, self.metadata.get(SIGNATURE_KEY))

    def column_entries(self, name: str, physical: str, nullable: bool) -> dict[str, str | None]:
        """Return the metadata to set so that a name stands for a physical column."""
        shown = {each.field.name: each for each in self.shown}
        known = self.visible.field(name) if name in shown else pa.field(name, pa.null())
        shown[name] = Shown(known.with_nullable(nullable), physical)
        return dict(column_entries(shown.values(), self.stored))


def function_entries(
    bindings: Iterable[Binding],
    former: Iterable[Binding] = (),
    before: str | None = None,
    called: Callable[[Binding], Binding] = lambda binding: binding,
) -> dict[str, str | None]:
    """Return the metadata to set for bindings; former ones that can be gone back to are signed.

    Args:
        bindings: Those to have, under the names of columns until now.
        former: Those to be able to go back to.
        before: The table's signature until now.
        called: Returns a binding with the names its columns have from now on.
    """
    bindings = list(bindings)
    signature = sign([*bindings, *former], before, called)
    text = bindings_metadata(map(called, bindings)).decode() if bindings else None
    return {FUNCTIONS: text, SIGNATURE_KEY: signature}


def _translated(node: Node, names: Mapping[str, str]) -> Node:
    match node:
        case Column(path=(first, *rest)):
            return replace(node, path=(names[first], *rest))
        case Call(args=args):
            return replace(node, args=tuple(_translated(each, names) for each in args))
        case _:
            return node
