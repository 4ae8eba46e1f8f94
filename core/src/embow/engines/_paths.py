"""Fields within structs: named by a path, which is the name of the column and those of the fields.

``image.small`` is the field ``small`` of the column ``image``. A physical name of a column has no
dot, those of fields may have some. Where a struct is null, so are its fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

A = TypeVar("A", pa.Array, pa.ChunkedArray)


def column_of(path: str) -> str:
    """Return the physical column that a path begins with."""
    return path.partition(".")[0]


def renamed(path: str, names: Mapping[str, str]) -> str | None:
    """Return a path with another name of its column; ``None`` where that has none."""
    name, dot, rest = path.partition(".")
    return f"{names[name]}{dot}{rest}" if name in names else None


def places_of(column: pa.DataType, path: str) -> tuple[int, ...] | None:
    """Return the places of the fields that a path leads through; ``None`` if there is no such.

    Args:
        column: Type of the column that the path begins with.
        path: From the name of the column on; that alone leads through none.
    """
    _, _, rest = path.partition(".")
    return _places(column, rest) if rest else ()


def _places(within: pa.DataType, rest: str) -> tuple[int, ...] | None:
    if not pa.types.is_struct(within):
        return None
    for at, field in enumerate(within):
        if rest == field.name:
            return (at,)
        if rest.startswith(f"{field.name}."):
            further = _places(field.type, rest[len(field.name) + 1 :])
            if further is not None:
                return (at, *further)
    return None


def type_at(columns: Mapping[str, pa.DataType], path: str) -> pa.DataType | None:
    """Return the type of what a path names among columns; ``None`` where there is no such."""
    name = column_of(path)
    places = places_of(columns[name], path) if name in columns else None
    if places is None:
        return None
    found = columns[name]
    for at in places:
        found = found.field(at).type
    return found


def values_at(column: A, path: str) -> A:
    """Return the values of what a path names, which is there, in the column it begins with."""
    places = places_of(column.type, path)
    return pc.struct_field(column, list(places)) if places else column


def fields_of(field: pa.Field, name: str, path: str) -> Iterator[tuple[str, str, pa.DataType]]:
    """Yield a column and all fields within: what users call it, its path, and its type.

    Args:
        field: The column, or a field.
        name: What users call it.
        path: Its path.
    """
    yield name, path, field.type
    if pa.types.is_struct(field.type):
        for each in field.type:
            yield from fields_of(each, f"{name}.{each.name}", f"{path}.{each.name}")
