"""A table's schema and the physical name under which each column is stored."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from embow.engines.base import DISTANCE, ROW_ID
from embow.engines.predicate.columns import unknown_name
from embow.errors import SchemaError, UnknownColumnError

_RESERVED = (ROW_ID, DISTANCE)


@dataclass(frozen=True, slots=True)
class Layout:
    """A schema over stored columns.

    Attributes:
        schema: What users see.
        columns: Physical name of each field. A physical name is never used twice, so that
            renaming and dropping touch no file.
    """

    schema: pa.Schema
    columns: tuple[str, ...]

    @classmethod
    def new(cls, schema: pa.Schema) -> Layout:
        """Return a layout with fresh physical names.

        Raises:
            SchemaError: A name is repeated or reserved, or there is no column.
        """
        _check_names(schema.names)
        return cls(schema, tuple(map(physical_name, schema.names)))

    @classmethod
    def load(cls, arrow: bytes, columns: str) -> Layout:
        """Return a layout as kept in the catalog."""
        return cls(pa.ipc.read_schema(pa.py_buffer(arrow)), tuple(json.loads(columns)))

    def dump(self) -> tuple[bytes, str]:
        """Return what the catalog keeps."""
        return self.schema.serialize().to_pybytes(), json.dumps(self.columns)

    def physical(self, name: str) -> str:
        """Return the physical name of a column.

        Raises:
            UnknownColumnError: There is none of that name.
        """
        self.check([name])
        index: int = self.schema.get_field_index(name)
        return self.columns[index]

    def check(self, names: Iterable[str]) -> None:
        """Raise `UnknownColumnError` for the first name that is not a column."""
        for name in names:
            if self.schema.get_field_index(name) < 0:
                raise UnknownColumnError(
                    f"There is no column '{name}'. {unknown_name(name, self.schema.names)}"
                )

    def stored_schema(self) -> pa.Schema:
        """Return the schema with physical names, without any metadata of the table."""
        fields = [
            field.with_name(name) for field, name in zip(self.schema, self.columns, strict=True)
        ]
        return pa.schema(fields)

    def with_metadata(self, metadata: Mapping[bytes, bytes]) -> Layout:
        """Return a layout with other schema metadata."""
        return replace(self, schema=self.schema.with_metadata(dict(metadata)))

    def with_column(self, field: pa.Field) -> Layout:
        """Return a layout with one more column, stored under a fresh name."""
        _check_names([*self.schema.names, field.name])
        return Layout(self.schema.append(field), (*self.columns, physical_name(field.name)))

    def without(self, names: Collection[str]) -> Layout:
        """Return a layout that no longer shows some columns."""
        self.check(names)
        kept = [i for i, name in enumerate(self.schema.names) if name not in names]
        fields = [self.schema.field(i) for i in kept]
        return self._with(fields, [self.columns[i] for i in kept])

    def renamed(self, names: Mapping[str, str]) -> Layout:
        """Return a layout with some columns renamed, all at once."""
        self.check(names)
        fields = [field.with_name(names.get(field.name, field.name)) for field in self.schema]
        return self._with(fields, self.columns)

    def ordered(self, names: Sequence[str]) -> Layout:
        """Return a layout whose columns stand as their names do in a list, others after them."""
        places = {name: place for place, name in enumerate(names)}
        order = sorted(
            range(len(self.columns)), key=lambda i: places.get(self.schema.names[i], len(places))
        )
        return self._with([self.schema.field(i) for i in order], [self.columns[i] for i in order])

    def with_nullable(self, nullable: Mapping[str, bool]) -> Layout:
        """Return a layout in which some columns may, or may no longer, hold null."""
        self.check(nullable)
        fields = [f.with_nullable(nullable.get(f.name, f.nullable)) for f in self.schema]
        return self._with(fields, self.columns)

    def _with(self, fields: list[pa.Field], columns: Sequence[str]) -> Layout:
        _check_names([field.name for field in fields])
        return Layout(pa.schema(fields, self.schema.metadata), tuple(columns))


def physical_name(name: str) -> str:
    """Return a physical name that was never used before, readable by people."""
    return f"{name}#{secrets.token_hex(4)}"


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise SchemaError("A table needs at least one column.")
    for index, name in enumerate(names):
        if name in _RESERVED:
            raise SchemaError(f"Column name '{name}' is reserved; choose another.")
        if name in names[:index]:
            raise SchemaError(f"Column '{name}' appears twice in the schema.")
