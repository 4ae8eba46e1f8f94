"""Indexes that embow does without: of values.

Programs list them, wait for them and remove them, so they are noted in the metadata of their
column: name, kind and path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from embow.errors import ConfigurationError, UnknownColumnError, near_name

_MARK = b"lancedb:index:"


@dataclass(frozen=True, slots=True)
class Scalar:
    """An index that a program created.

    Attributes:
        name: Its name.
        kind: What LanceDB calls it, such as ``"BTree"``.
        path: Its column, or a field of a struct.
    """

    name: str
    kind: str
    path: str


def scalars(schema: pa.Schema) -> Iterator[Scalar]:
    """Yield the indexes that are noted."""
    for field in schema:
        for key, value in (field.metadata or {}).items():
            if key.startswith(_MARK):
                kind, _, path = value.decode().partition(" ")
                yield Scalar(key[len(_MARK) :].decode(), kind, path)


def noted(schema: pa.Schema, index: Scalar, replace: bool) -> Any:
    """Return the alteration of a column that notes an index.

    Raises:
        ConfigurationError: There is one of that name, and ``replace`` is false.
        UnknownColumnError: There is no such column.
    """
    if not replace and any(each.name == index.name for each in scalars(schema)):
        raise ConfigurationError(
            f"Index {index.name!r} already exists. Give replace=True, or another name."
        )
    column = column_of(schema, index.path)
    kept = _metadata(schema.field(column))
    mark = {f"{_MARK.decode()}{index.name}": f"{index.kind} {index.path}"}
    return {"path": column, "metadata": {**kept, **mark}}


def forgotten(schema: pa.Schema, name: str) -> Any:
    """Return the alteration of a column that removes the note; ``None`` where there is none."""
    for index in scalars(schema):
        if index.name == name:
            column = column_of(schema, index.path)
            kept = _metadata(schema.field(column))
            del kept[f"{_MARK.decode()}{name}"]
            return {"path": column, "metadata": kept}
    return None


def column_of(schema: pa.Schema, path: str) -> str:
    """Return the column that a path leads into.

    Raises:
        UnknownColumnError: There is none.
    """
    column = path if path in schema.names else path.partition(".")[0].strip("`")
    if column not in schema.names:
        raise UnknownColumnError(
            f"Field path `{path}` not found.{near_name(path, schema.names)} "
            f"Columns: {', '.join(schema.names)}."
        )
    return column


def plain(schema: pa.Schema, path: str) -> str:
    """Return a path as embow has it, without the marks around names."""
    return path if path in schema.names else path.replace("`", "")


def _metadata(field: pa.Field) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
