"""What users call columns and the fields within them, and the physical paths of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import pyarrow as pa

from embow._table.columns import Columns
from embow._table.names import unknown_column
from embow.engines.contract import fields_of


@dataclass(frozen=True, slots=True)
class Path:
    """A column, or a field within one.

    Attributes:
        name: What users call it, such as ``image.small``.
        physical: The same with the physical name of the column.
        type: What it holds.
    """

    name: str
    physical: str
    type: pa.DataType


def paths(columns: Columns) -> Mapping[str, Path]:
    """Return every column by its visible name, then the fields within them by their paths."""
    return paths_in(columns.visible, tuple(columns.names.items()))


@lru_cache(256)
def paths_in(visible: pa.Schema, names: tuple[tuple[str, str], ...]) -> Mapping[str, Path]:
    """Return the same of visible columns, given the physical name of each."""
    physical = dict(names)
    found = {each.name: Path(each.name, physical[each.name], each.type) for each in visible}
    for field in visible:
        for each in fields_of(field, field.name, physical[field.name]):
            found.setdefault(each[0], Path(*each))
    return MappingProxyType(found)


def path_of(columns: Columns, name: str) -> Path:
    """Return a column or a field by what users call it.

    Raises:
        UnknownColumnError: There is none; the nearest name is suggested.
    """
    known = paths(columns)
    if name not in known:
        raise unknown_column(name, known, columns.names)
    return known[name]
