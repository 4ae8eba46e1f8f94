"""A table's schema, its metadata, and the name under which each column is stored in files."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from embow._processes import cached_property
from embow.engines._paths import renamed, type_at
from embow.engines.contract import check_columns, with_columns
from embow.errors import SchemaError

_BINARY = "embow.binary:"


@dataclass(frozen=True)
class Layout:
    """A schema over stored columns.

    Attributes:
        schema: Physical columns, without metadata of the table.
        columns: Stored name of each field. Within one life of the rows a stored name is never
            used twice, so that dropping a column touches no file and its name is free again.
        metadata: Metadata of the table.
        version: Version whose commit brought it; 0 where it is of no version yet.
    """

    schema: pa.Schema
    columns: tuple[str, ...]
    metadata: Mapping[str, str]
    version: int = 0

    @classmethod
    def new(cls, schema: pa.Schema, metadata: Mapping[str, str] | None = None) -> Layout:
        """Return the layout of a table that begins with a schema.

        Stored names follow from name and type, so that rows can be written for a schema before
        the commit that brings it.
        """
        fields = [first_name(field) for field in schema]
        return cls(schema.remove_metadata(), tuple(fields), metadata or {})

    @classmethod
    def load(cls, arrow: bytes, columns: str, version: int) -> Layout:
        schema = pa.ipc.read_schema(pa.py_buffer(arrow))
        entries = dict(_as_text(*item) for item in (schema.metadata or {}).items())
        return cls(schema.remove_metadata(), tuple(json.loads(columns)), entries, version)

    def dump(self) -> tuple[bytes, str]:
        schema = self.schema.with_metadata(dict(self.metadata))
        return schema.serialize().to_pybytes(), json.dumps(self.columns)

    @cached_property
    def stored(self) -> dict[str, str]:
        return dict(zip(self.schema.names, self.columns, strict=True))

    @cached_property
    def stored_schema(self) -> pa.Schema:
        fields = [
            field.with_name(name) for field, name in zip(self.schema, self.columns, strict=True)
        ]
        return pa.schema(fields)

    @cached_property
    def types(self) -> dict[str, pa.DataType]:
        return dict(zip(self.columns, self.schema.types, strict=True))

    def stored_path(self, path: str) -> str | None:
        """Return where a column or a field is stored; ``None`` where there is no such."""
        stored = renamed(path, self.stored)
        return None if stored is None or type_at(self.types, stored) is None else stored

    def with_entries(self, entries: Mapping[str, str | None]) -> Layout:
        """Return a layout with some metadata set, or removed where the value is ``None``."""
        merged = {**self.metadata, **entries}
        kept = {key: value for key, value in merged.items() if value is not None}
        return replace(self, metadata=kept)

    def with_column(self, field: pa.Field, stored: str) -> Layout:
        return replace(self, schema=self.schema.append(field), columns=(*self.columns, stored))

    def with_new(self, fields: Sequence[pa.Field]) -> Layout:
        """Return a layout with columns that rows may be written for before the commit brings them.

        Their stored names follow from the version of this layout, and no other one has that.

        Raises:
            SchemaError: One of them cannot come in, or is there already.
        """
        joined = with_columns(self.schema, fields)
        names = [_stored_name(field, str(self.version)) for field in fields]
        return replace(self, schema=joined, columns=(*self.columns, *names))

    def without(self, names: Collection[str]) -> Layout:
        """Return a layout that no longer shows some columns.

        Raises:
            UnknownColumnError: There is no such column.
            SchemaError: None would be left.
        """
        check_columns(self.schema, names)
        kept = [i for i, name in enumerate(self.schema.names) if name not in names]
        if not kept:
            raise SchemaError("A table needs at least one column.")
        schema = pa.schema([self.schema.field(i) for i in kept])
        return replace(self, schema=schema, columns=tuple(self.columns[i] for i in kept))


def fresh_name(name: str) -> str:
    """Return a stored name that was never used before, readable by people."""
    return f"{name}#{secrets.token_hex(4)}"


def visible_name(stored: str) -> str:
    """Return the name a stored column had."""
    return stored.rpartition("#")[0]


def first_name(field: pa.Field) -> str:
    """Return the stored name of a column that a table begins with."""
    return _stored_name(field, "")


def _stored_name(field: pa.Field, when: str) -> str:
    kind = pa.schema([pa.field("", field.type)]).serialize().to_pybytes() + when.encode()
    return f"{field.name}#{hashlib.blake2b(kind, digest_size=4).hexdigest()}"


def _as_text(key: bytes, value: bytes) -> tuple[str, str]:
    name = key.decode(errors="backslashreplace")
    try:
        return name, value.decode()
    except UnicodeDecodeError:  # Only catalogs of format 1 hold such.
        return _BINARY + name, base64.b64encode(value).decode()
