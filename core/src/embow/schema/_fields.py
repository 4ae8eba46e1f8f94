"""Field markers: which model field is embedded, and which one holds the vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Field, GetCoreSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from embow.errors import AmbiguousBindingError
from embow.schema._protocol import ColumnFunction, SourceMarker, VectorMarker
from embow.schema._vector import as_list

Marker = SourceMarker | VectorMarker


class _VectorInput:
    """Lets a vector field take ``None`` (not embedded yet) and arrays, whatever its type."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = core_schema.no_info_before_validator_function(_plain, handler(source))
        return core_schema.nullable_schema(schema)

    def __repr__(self) -> str:
        return "vector input"


def _plain(value: Any) -> Any:
    return value if value is None else as_list(value)


def source_field(function: ColumnFunction, **kwargs: Any) -> Any:
    """Return a pydantic field whose values ``function`` embeds.

    Every argument of ``pydantic.Field`` passes through.
    """
    return _marked(SourceMarker(function), kwargs)


def vector_field(function: ColumnFunction, *, source: str | None = None, **kwargs: Any) -> Any:
    """Return a pydantic field that ``function`` fills, from the field ``source`` where given.

    Every argument of ``pydantic.Field`` passes through. Without a default the field is ``None``
    until the row is embedded, so that instances can be made from the source alone.
    """
    if "default_factory" not in kwargs:
        kwargs.setdefault("default", None)
    return _marked(VectorMarker(function, source), kwargs)


@dataclass(frozen=True, slots=True)
class KeyMarker:
    """Says that a field is in the primary key."""


def KeyField(**kwargs: Any) -> Any:  # noqa: N802 - named as the fields of functions are
    """Return a pydantic field of the primary key: never null, and no two rows have the same.

    Every argument of ``pydantic.Field`` passes through. Several such fields make up one key.

    Example:
        ``id: int = embow.KeyField()``
    """
    field: FieldInfo = Field(**kwargs)
    field.metadata.append(KeyMarker())
    return field


def marker_of(name: str, field: FieldInfo) -> Marker | None:
    """Return the marker a field carries, or ``None``.

    Raises:
        AmbiguousBindingError: The field carries several markers.
    """
    found = [item for item in field.metadata if isinstance(item, (SourceMarker, VectorMarker))]
    if len(found) > 1:
        raise AmbiguousBindingError(
            f"Field {name!r} carries several markers. Give it one SourceField or one VectorField. "
            "To embed one text with two functions, name it in the second: "
            'VectorField(source="text").'
        )
    return found[0] if found else None


def _marked(marker: Marker, kwargs: dict[str, Any]) -> FieldInfo:
    field: FieldInfo = Field(**kwargs)
    # Metadata is pydantic's place for objects it does not interpret; json_schema_extra would be
    # printed by model_json_schema().
    field.metadata.append(marker)
    if isinstance(marker, VectorMarker):
        field.metadata.append(_VectorInput())
    return field
