"""The columns of a pydantic model: their names, Arrow types and vectors."""

from __future__ import annotations

import typing
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import pyarrow as pa
from pydantic import AliasChoices, BaseModel
from pydantic.errors import PydanticUndefinedAnnotation
from pydantic.fields import FieldInfo

from embow.errors import SchemaError, UnsupportedTypeError
from embow.schema._annotations import peel, type_name
from embow.schema._fields import KeyMarker, Marker, marker_of
from embow.schema._protocol import ColumnFunction, VectorMarker
from embow.schema._resolve import Decoder, Resolved, Site, resolve
from embow.schema._vector import VectorSpec, VectorType

RESERVED_PREFIX = "_embow"
RESERVED_NAMES = frozenset({"_rowid", "_distance", "_score", "_relevance_score"})
"""Column names that a table adds to its rows or to its results."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a model.

    Attributes:
        name: Column name: the field's own, or the one its ``pa.Field`` gives.
        attribute: Field name.
        aliases: Other names its values may come under.
        marker: Source or vector marker.
        vector: What the annotation of a vector field asks for.
        resolved: Arrow type of every other field.
    """

    name: str
    attribute: str
    aliases: tuple[str, ...] = ()
    marker: Marker | None = None
    vector: VectorSpec | None = None
    resolved: Resolved | None = None

    @property
    def decode(self) -> Decoder | None:
        """What turns a stored value into one that pydantic takes."""
        return None if self.resolved is None else self.resolved.decode

    def arrow_field(self, model: str) -> pa.Field:
        """Return the Arrow field; asks the function of a vector field for its dimension."""
        if isinstance(self.marker, VectorMarker) and self.vector is not None:
            dim = _dimension(self.marker.function, self.vector, f"{model}.{self.attribute}")
            return pa.field(self.name, self.vector.arrow_type(dim), self.vector.nullable)
        assert self.resolved is not None
        given = self.resolved.override
        if given is not None:
            return given
        return pa.field(self.name, self.resolved.type, self.resolved.nullable)


_cache: WeakKeyDictionary[type[BaseModel], tuple[Column, ...]] = WeakKeyDictionary()


def columns_of(model: type[BaseModel]) -> tuple[Column, ...]:
    """Return the columns of a pydantic model, in order of declaration.

    Raises:
        UnsupportedTypeError: A field has a type that Arrow cannot hold.
        SchemaError: A column name is reserved or used twice, or a name in an annotation is
            not defined.
    """
    found = _cache.get(model)
    if found is None:
        found = _columns(model, Site(model.__name__, "", nested_struct, inside=(model,)))
        check_column_names([column.name for column in found], model.__name__)
        _cache[model] = found
    return found


def check_column_names(names: Iterable[str], owner: str) -> None:
    """Refuse column names that are reserved, empty or used twice.

    Raises:
        SchemaError: A name cannot be a column; the message names it.
    """
    for name, count in Counter(names).items():
        if name in RESERVED_NAMES or name.startswith(RESERVED_PREFIX):
            raise SchemaError(
                f"{owner}: {name!r} cannot be a column name; tables add columns of that name "
                f"themselves. Rename it, for instance to {name.strip('_')!r}."
            )
        if not name:
            raise SchemaError(f"{owner}: a column has an empty name. Give it one.")
        if count > 1:
            raise SchemaError(f"{owner}: {count} columns are named {name!r}. Rename all but one.")


def nested_struct(model: type[BaseModel], site: Site) -> Resolved:
    """Return the struct that holds a nested model. Vectors are embedded at the top level only."""
    columns = _columns(model, site)
    for column in columns:
        if column.marker is not None:
            raise SchemaError(
                f"{site.model}.{site.field}.{column.attribute}: SourceField and VectorField work "
                f"on the fields of the table's own model. Move the field there."
            )
    fields = [column.arrow_field(site.model) for column in columns]
    if all(c.decode is None and c.name == c.attribute for c in columns):
        return Resolved(pa.struct(fields))
    return Resolved(pa.struct(fields), decode=lambda row: decode_row(columns, row))


def decode_row(columns: Iterable[Column], row: typing.Mapping[str, Any]) -> dict[str, Any]:
    """Return stored values by field name, in the form pydantic takes."""
    values: dict[str, Any] = {}
    for column in columns:
        found = next((name for name in (column.name, *column.aliases) if name in row), None)
        if found is not None:
            value, decode = row[found], column.decode
            values[column.attribute] = value if value is None or decode is None else decode(value)
    return values


def _columns(model: type[BaseModel], site: Site) -> tuple[Column, ...]:
    try:
        model.model_rebuild()
    except PydanticUndefinedAnnotation as exc:
        raise SchemaError(
            f"{model.__name__}: {exc.name!r} in its annotations is not defined yet. Define it "
            f"first, or call {model.__name__}.model_rebuild() once it is."
        ) from exc
    return tuple(_column(name, field, site) for name, field in model.model_fields.items())


def keys_of(model: type[BaseModel]) -> list[str]:
    """Return the columns that a model marks as its primary key."""
    return [
        column.name
        for column in columns_of(model)
        if any(
            isinstance(each, KeyMarker) for each in model.model_fields[column.attribute].metadata
        )
    ]


def _column(name: str, field: FieldInfo, site: Site) -> Column:
    extra = field.json_schema_extra
    tz = extra.get("tz") if isinstance(extra, dict) else None
    path = f"{site.field}.{name}" if site.field else name
    here = replace(site, field=path, tz=str(tz) if tz is not None else site.tz)
    marker = marker_of(name, field)
    aliases = _aliases(field)
    if isinstance(marker, VectorMarker):
        spec = _vector_spec(field, here)
        given = next((item for item in field.metadata if isinstance(item, pa.Field)), None)
        column_name = name if given is None else given.name
        return Column(column_name, name, aliases, marker, vector=spec)
    resolved = resolve(field.annotation, here, tuple(field.metadata))
    if field.default is None and resolved.override is None:
        resolved = replace(resolved, nullable=True)
    column_name = name if resolved.override is None else resolved.override.name
    return Column(column_name, name, aliases, marker, resolved=resolved)


def _aliases(field: FieldInfo) -> tuple[str, ...]:
    validation = field.validation_alias
    choices = validation.choices if isinstance(validation, AliasChoices) else [validation]
    names = [field.alias, *choices, field.serialization_alias]
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str)))


# -- vectors --------------------------------------------------------------------------------


def _vector_spec(field: FieldInfo, site: Site) -> VectorSpec:
    """Read what a vector field's annotation asks for: Vector, list[float] or a list of these."""
    metadata = list(field.metadata)
    core = peel(field.annotation, metadata)
    members = [arg for arg in typing.get_args(core) if arg is not type(None)]
    if len(members) == 1 and type(None) in typing.get_args(core):
        core = peel(members[0], metadata)
    declared = next((m for m in [core, *metadata] if isinstance(m, VectorType)), None)
    if declared is not None:
        return declared.spec
    depth = 0
    while typing.get_origin(core) is list and typing.get_args(core):
        inner: list[Any] = []
        core, depth = peel(typing.get_args(core)[0], inner), depth + 1
        one = next((m for m in [core, *inner] if isinstance(m, VectorType)), None)
        if one is not None and depth == 1 and not one.spec.multi:
            return replace(one.spec, nullable=True, multi=True)
    if core is not float or depth not in (1, 2):
        raise UnsupportedTypeError(
            f"{site.model}.{site.field}: a field of type {type_name(field.annotation)} cannot hold "
            "vectors. Write 'vector: Vector = function.VectorField()'."
        )
    return VectorSpec(dim=None, value_type="float32", nullable=True, multi=depth == 2)


def _dimension(function: ColumnFunction, spec: VectorSpec, where: str) -> int:
    ndims = function.ndims()
    if isinstance(ndims, bool) or not hasattr(ndims, "__index__") or int(ndims) < 1:
        raise SchemaError(
            f"{where}: {type(function).__name__}.ndims() returned {ndims!r}; it must return the "
            "length of the vectors as a positive integer."
        )
    if spec.dim is not None and spec.dim != int(ndims):
        raise SchemaError(
            f"{where}: Vector({spec.dim}) does not fit its function, which makes vectors of "
            f"{int(ndims)} numbers. Write 'Vector', and the function decides."
        )
    return int(ndims)
