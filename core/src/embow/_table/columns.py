"""What users call a table's columns, how they are stored, and which functions fill them.

Beside each vector column that a function fills, a hidden column keeps the content hash of the
source value its vector was made from: null where there was nothing to embed, or where the user
brought the vector. What users call a column is kept in the table's metadata, so that any name will
do and another model's vectors take the place of the old ones without a row being written.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from uuid import uuid4

import pyarrow as pa

from embow._table.incoming.mending import read_defaults
from embow._table.names import (
    HASH_TYPE,
    HIDDEN_PREFIX,
    free_name,
    hash_column,
    is_hidden,
    unknown_column,
)
from embow._table.settings import TableSettings, pipeline_options
from embow.embeddings import Binding, read_bindings
from embow.embeddings._bindings import bindings_metadata, sign
from embow.embeddings._trust import OWNER_KEY, SIGNATURE_KEY, owner_mark
from embow.engines.contract import RESERVED
from embow.engines.predicate import Predicate, parse_predicate
from embow.engines.predicate._tree import Call, Column, Node
from embow.errors import SchemaError
from embow.expr import Condition
from embow.pipeline import PipelineOptions
from embow.schema._protocol import METADATA_KEY

FUNCTIONS = METADATA_KEY.decode()
COLUMNS = "embow.columns"
PREVIOUS = "embow.previous"
QUARANTINE = "embow.quarantine"
"""What the hidden table of failed rows is called; no name of a table, which may change."""
REPLACED = "embow.replaced_quarantine"
"""What it was called before all rows were replaced: a process may have died before it was gone."""
_OWN = "embow."
_BINARY = "embow.binary:"
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
        try:
            listed = json.loads(metadata[COLUMNS]) if COLUMNS in metadata else _as_named(stored)
            fields = [
                stored.field(physical).with_name(name).with_nullable(nullable)
                for name, physical, nullable in listed
            ]
        except (KeyError, TypeError, ValueError) as exc:
            raise SchemaError(f"The table's list of columns is damaged: {exc}.") from exc
        visible = pa.schema(fields, metadata=_of_user(metadata) or None)
        names = {name: physical for name, physical, _ in listed}
        return cls(visible, stored, metadata, tuple(read_bindings(visible).values()), names)

    @classmethod
    def create(cls, visible: pa.Schema, extra: Mapping[str, str] | None = None) -> Columns:
        """Return how declared columns are to be stored; functions in the metadata are bound."""
        bindings = tuple(read_bindings(visible).values())
        filled = [binding.vector_column for binding in bindings]
        names: dict[str, str] = {}
        fields = []
        for field in visible:
            names[field.name] = free_name(field.name, names.values())
            # A change of model leaves the old vectors where they are: later rows have none there.
            nullable = field.nullable or field.name in filled
            fields.append(field.with_name(names[field.name]).with_nullable(nullable))
        fields += [pa.field(hash_column(names[name]), HASH_TYPE) for name in filled]
        stored = pa.schema(fields)
        listed = [[f.name, names[f.name], f.nullable] for f in visible]
        metadata = {**_entries_of_user(visible.metadata), **(extra or {})}
        metadata[QUARANTINE] = uuid4().hex
        if (mark := owner_mark()) is not None:
            metadata[OWNER_KEY] = mark
        metadata |= {k: v for k, v in function_entries(bindings).items() if v is not None}
        if listed != _as_named(stored):
            metadata[COLUMNS] = json.dumps(listed, ensure_ascii=False)
        return cls(visible, stored, metadata, bindings, names)

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
        listed = {f.name: [f.name, self.names[f.name], f.nullable] for f in self.visible}
        listed[name] = [name, physical, nullable]
        return {COLUMNS: json.dumps(list(listed.values()), ensure_ascii=False)}


def function_entries(
    bindings: Iterable[Binding], former: Iterable[Binding] = (), before: str | None = None
) -> dict[str, str | None]:
    """Return the metadata to set for bindings; former ones that can be gone back to are signed."""
    bindings = list(bindings)
    if not bindings:
        return {FUNCTIONS: None, SIGNATURE_KEY: None}
    signature = sign([*bindings, *former], before)
    return {FUNCTIONS: bindings_metadata(bindings).decode(), SIGNATURE_KEY: signature}


def _as_named(stored: pa.Schema) -> list[list[Any]]:
    """Return the list of columns that goes without saying."""
    return [[f.name, f.name, f.nullable] for f in stored if not is_hidden(f.name)]


def _translated(node: Node, names: Mapping[str, str]) -> Node:
    match node:
        case Column(path=(first, *rest)):
            return replace(node, path=(names[first], *rest))
        case Call(args=args):
            return replace(node, args=tuple(_translated(each, names) for each in args))
        case _:
            return node


def _of_user(metadata: Mapping[str, str]) -> dict[bytes, bytes]:
    """Return the schema metadata that users see."""
    seen = {
        key.encode(): value.encode()
        for key, value in metadata.items()
        if not key.startswith((_OWN, HIDDEN_PREFIX))
    }
    try:
        for key, value in metadata.items():
            if key.startswith(_BINARY):
                seen[key.removeprefix(_BINARY).encode()] = base64.b64decode(value, validate=True)
    except binascii.Error as exc:
        raise SchemaError(f"The table's metadata are damaged: {exc}.") from exc
    return seen


def _entries_of_user(metadata: Mapping[bytes, bytes] | None) -> dict[str, str]:
    """Return schema metadata as entries of text; what is no text goes in base64."""
    entries: dict[str, str] = {}
    for raw, value in (metadata or {}).items():
        key = raw.decode(errors="replace")
        if key.startswith((_OWN, HIDDEN_PREFIX)):
            raise SchemaError(f"Metadata key {key!r} is kept for embow. Choose another.")
        try:
            entries[key] = value.decode()
        except UnicodeDecodeError:
            entries[f"{_BINARY}{key}"] = base64.b64encode(value).decode()
    return entries
