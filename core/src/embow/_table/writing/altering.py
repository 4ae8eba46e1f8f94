"""What a column is to become, as ``alter_columns`` is told it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Required, Self, TypedDict

import pyarrow as pa

from embow._table.columns import Columns
from embow._table.entries import with_metadata
from embow.errors import ConfigurationError, SchemaError, near_name


class ColumnChange(TypedDict, total=False):
    """What to change of one column; what is left out stays."""

    path: Required[str]
    rename: str
    nullable: bool
    data_type: pa.DataType
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Alteration:
    """A `ColumnChange` that has been checked as far as that needs no table."""

    path: str
    rename: str | None = None
    nullable: bool | None = None
    data_type: pa.DataType | None = None
    metadata: Mapping[str, str] | None = None

    @classmethod
    def read(cls, alterations: Sequence[Mapping[str, Any]]) -> list[Self]:
        """Return what the user asked for.

        Raises:
            ConfigurationError: Something is not known, of another kind, or said twice.
        """
        if not alterations:
            raise ConfigurationError(
                'alter_columns takes what to change: {"path": "price", "rename": "cost"}.'
            )
        known = [each.name for each in fields(cls)]
        for each in alterations:
            if not isinstance(each, Mapping) or not isinstance(each.get("path"), str):
                raise ConfigurationError(
                    'alter_columns takes dicts with the column as "path", such as {"path": '
                    f'"price", "rename": "cost"}}, not {each!r:.60}.'
                )
            for name in each:
                if name not in known:
                    raise ConfigurationError(
                        f"A column has no {name!r} to change.{near_name(str(name), known)} "
                        f"There are: {', '.join(known[1:])}."
                    )
        read = [cls(**each).checked() for each in alterations]
        paths = [each.path for each in read]
        for path in paths:
            if paths.count(path) > 1:
                raise ConfigurationError(f"Column {path!r} is changed twice. Say all in one dict.")
        return read

    def checked(self) -> Self:
        """Return this, sure that each value is of its kind."""
        kinds = {"rename": str, "nullable": bool, "data_type": pa.DataType, "metadata": Mapping}
        for name, kind in kinds.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise ConfigurationError(
                    f"{name!r} of column {self.path!r} is {value!r:.60}; it must be a "
                    f"{'pyarrow type' if name == 'data_type' else kind.__name__}."
                )
        texts = [text for pair in (self.metadata or {}).items() for text in pair]
        if not all(isinstance(text, str) for text in texts):
            raise ConfigurationError(f"Metadata of column {self.path!r} are names and texts.")
        return self

    def check(self, columns: Columns) -> None:
        """Refuse what a table's columns do not allow.

        Raises:
            UnknownColumnError: There is no such column.
            SchemaError: A function or the key rests on what is to change.
        """
        head, _, rest = self.path.partition(".")
        if rest and self.path not in columns.names and head in columns.names:
            raise SchemaError(
                f"{self.path!r} is a field inside column {head!r}. Whole columns can be changed: "
                f"add one with add_columns({{'new': '{self.path}'}})."
            )
        columns.physical(self.path)
        if self.path in columns.key and self.nullable:
            raise SchemaError(
                f"Column {self.path!r} is in the primary key and may not be null: rows are told "
                "apart by it."
            )
        if self.data_type in (None, columns.visible.field(self.path).type):
            return
        if self.path in columns.key:
            raise SchemaError(
                f"Column {self.path!r} is in the primary key and cannot be of another type: two "
                "keys might become one. Put the rows into a new table."
            )
        for binding in columns.bindings:
            if self.path in (binding.source_column, binding.vector_column):
                raise SchemaError(
                    f"Column {self.path!r} cannot be of another type: {binding.vector_column!r} is "
                    f"embedded from {binding.source_column!r}. Drop the vectors first, or give "
                    f"them another function: migrate({binding.vector_column!r}, function)."
                )

    def of(self, field: pa.Field) -> pa.Field:
        """Return what a column becomes."""
        if self.rename is not None:
            field = field.with_name(self.rename)
        if self.nullable is not None:
            field = field.with_nullable(self.nullable)
        if self.data_type is not None:
            field = field.with_type(self.data_type)
        if self.metadata is not None:
            field = with_metadata(field, self.metadata)
        return field
