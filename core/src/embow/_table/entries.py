"""What a table's metadata say of its columns, read and written entry by entry.

Knows no function and no handle. Other entries are the user's own schema metadata.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from embow._table.names import HIDDEN_PREFIX, is_hidden
from embow.errors import SchemaError

COLUMNS = "embow.columns"
KEY = "embow.key"
DROPPED = "embow.dropped"
"""Physical columns that are shown no more. None of these names is ever used again."""
_OWN = "embow."
_BINARY = "embow.binary:"


@dataclass(frozen=True, slots=True)
class Shown:
    """One column as the user sees it, and the physical column that holds it."""

    field: pa.Field
    physical: str


def read_columns(stored: pa.Schema, metadata: Mapping[str, str]) -> list[Shown]:
    """Return the visible columns of a stored schema, in visible order.

    Raises:
        SchemaError: The list is damaged.
    """
    if COLUMNS not in metadata:
        return [Shown(field, field.name) for field in stored if not is_hidden(field.name)]
    try:
        return [_read(stored, *entry) for entry in json.loads(metadata[COLUMNS])]
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise SchemaError(f"The table's list of columns is damaged: {exc}.") from exc


def _read(
    stored: pa.Schema,
    name: str,
    physical: str,
    nullable: bool,
    metadata: Mapping[str, str] | None = None,
) -> Shown:
    field = stored.field(physical).with_name(name).with_nullable(nullable)
    if metadata is not None:
        field = with_metadata(field, metadata)
    return Shown(field, physical)


def column_entries(shown: Iterable[Shown], stored: pa.Schema) -> dict[str, str]:
    """Return the metadata to set so that these are the visible columns.

    Args:
        shown: The columns, in visible order.
        stored: The physical columns as they are; one that is only coming in has no metadata.
    """
    return {COLUMNS: json.dumps([_entry(each, stored) for each in shown])}


def _entry(shown: Shown, stored: pa.Schema) -> list[Any]:
    field, physical = shown.field, shown.physical
    there = stored.field(physical).metadata if physical in stored.names else None
    entry, own = [field.name, physical, field.nullable], field.metadata or {}
    return entry if own == (there or {}) else [*entry, _as_text(own)]


def with_metadata(field: pa.Field, metadata: Mapping[str, str]) -> pa.Field:
    """Return a field with these metadata and no other."""
    raw = {
        key.encode("utf-8", "surrogateescape"): value.encode("utf-8", "surrogateescape")
        for key, value in metadata.items()
    }
    return field.with_metadata(raw) if raw else field.remove_metadata()


def _as_text(metadata: Mapping[bytes, bytes]) -> dict[str, str]:
    return {
        key.decode("utf-8", "surrogateescape"): value.decode("utf-8", "surrogateescape")
        for key, value in metadata.items()
    }


def read_names(metadata: Mapping[str, str], entry: str) -> list[str]:
    """Return the physical names that an entry lists."""
    try:
        return [str(name) for name in json.loads(metadata.get(entry, "[]"))]
    except (TypeError, ValueError) as exc:
        raise SchemaError(f"The table's metadata are damaged: {entry}: {exc}.") from exc


def name_entries(entry: str, names: Iterable[str]) -> dict[str, str | None]:
    """Return the metadata to set so that an entry lists these physical names."""
    listed = list(names)
    return {entry: json.dumps(listed) if listed else None}


def metadata_of_user(metadata: Mapping[str, str]) -> dict[bytes, bytes]:
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


def entries_of_user(metadata: Mapping[bytes, bytes] | None) -> dict[str, str]:
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
