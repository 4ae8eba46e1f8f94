"""Which source column feeds which vector column, and how a table remembers it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from embow.errors import AmbiguousBindingError, SchemaError, near_name
from embow.schema._columns import Column, columns_of
from embow.schema._protocol import METADATA_KEY, ColumnFunction, SourceMarker, VectorMarker


@dataclass(frozen=True, slots=True)
class ColumnBinding:
    """One vector column and what fills it.

    Attributes:
        source: Column whose values are embedded.
        vector: Column the vectors go to.
        function: What embeds.
    """

    source: str
    vector: str
    function: ColumnFunction

    @property
    def source_column(self) -> str:
        """The source column, under the name LanceDB gives it."""
        return self.source

    @property
    def vector_column(self) -> str:
        """The vector column, under the name LanceDB gives it."""
        return self.vector


def bindings_of(model: type[BaseModel]) -> list[ColumnBinding]:
    """Return the bindings of a model, in the order its vector fields are declared.

    For each function: a vector that names its source takes it; one source feeds every vector;
    as many sources as vectors pair in order of declaration. Anything else is refused.

    Raises:
        AmbiguousBindingError: It is not clear which source feeds which vector.
        SchemaError: A vector names a source that does not exist.
    """
    columns = columns_of(model)
    groups: dict[int, list[Column]] = {}
    for column in columns:
        if column.marker is not None:
            groups.setdefault(id(column.marker.function), []).append(column)
    named = {id(c): _named_source(c, columns, model) for c in columns if _names_source(c)}
    pairs = dict(named)
    for group in groups.values():
        pairs.update(_pair(group, named, model.__name__))
    return [_binding(column, pairs[id(column)]) for column in columns if id(column) in pairs]


def metadata_of(bindings: Iterable[ColumnBinding]) -> dict[bytes, bytes]:
    """Return the Arrow schema metadata that keeps the bindings; empty where there are none."""
    records = [b.function.to_binding(b.source, b.vector) for b in bindings]
    if not records:
        return {}
    return {METADATA_KEY: json.dumps(records, ensure_ascii=False).encode()}


def _binding(vector: Column, source: str) -> ColumnBinding:
    assert vector.marker is not None
    return ColumnBinding(source=source, vector=vector.name, function=vector.marker.function)


def _names_source(column: Column) -> bool:
    return isinstance(column.marker, VectorMarker) and column.marker.source is not None


def _named_source(vector: Column, columns: Sequence[Column], model: type[BaseModel]) -> str:
    """Return the column that ``VectorField(source=...)`` names, by field or column name."""
    assert isinstance(vector.marker, VectorMarker)
    wanted = vector.marker.source or ""
    found = next((c for c in columns if wanted in (c.attribute, c.name)), None)
    where = f"{model.__name__}.{vector.attribute}: VectorField(source={wanted!r})"
    if found is None:
        hint = near_name(wanted, [c.attribute for c in columns])
        listed = ", ".join(c.attribute for c in columns if c.vector is None)
        raise SchemaError(f"{where} names no field.{hint} Fields: {listed}.")
    if found.vector is not None:
        raise SchemaError(f"{where} names a vector field. Name the field that is embedded.")
    return found.name


def _pair(group: Sequence[Column], named: dict[int, str], model: str) -> dict[int, str]:
    """Pair the sources and vectors of one function."""
    sources = [c for c in group if isinstance(c.marker, SourceMarker)]
    vectors = [c for c in group if isinstance(c.marker, VectorMarker) and id(c) not in named]
    if vectors and not sources:
        raise AmbiguousBindingError(
            f"{model}: {_listed('vector', vectors)} no source. Mark the field that is embedded "
            f"with SourceField() of the same function object, or name it: "
            f'{vectors[0].attribute} = function.VectorField(source="...").'
        )
    if vectors and len(sources) == 1:
        return {id(vector): sources[0].name for vector in vectors}
    taken = {named[id(column)] for column in group if id(column) in named}
    free = [source for source in sources if source.name not in taken]
    if len(free) == len(vectors):
        return {id(v): s.name for v, s in zip(vectors, free, strict=True)}
    if not vectors:
        raise AmbiguousBindingError(
            f"{model}: {_listed('source', free)} no vector. Add one, "
            f"such as {free[0].attribute}_vector: Vector = function.VectorField(source="
            f'"{free[0].attribute}"), of the same function object, or take SourceField() away.'
        )
    named_by = f'{vectors[0].attribute} = function.VectorField(source="{sources[0].attribute}")'
    spare = (
        " Take SourceField() away from the fields that no vector is made of: a vector has one "
        "source. To embed several, join them into one field of text."
        if len(free) > len(vectors)
        else ""
    )
    raise AmbiguousBindingError(
        f"{model}: {len(free)} sources ({_names(free)}) and {len(vectors)} vectors "
        f"({_names(vectors)}) of one function do not pair. Name the source of each vector: "
        f"{named_by}.{spare}"
    )


def _listed(kind: str, columns: Sequence[Column]) -> str:
    plural = len(columns) > 1
    names = " and ".join(repr(c.attribute) for c in columns)
    return f"{kind} field{'s' if plural else ''} {names} {'have' if plural else 'has'}"


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(column.attribute for column in columns)
