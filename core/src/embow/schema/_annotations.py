"""Taking type annotations apart."""

from __future__ import annotations

import typing
from typing import Any, NewType

import typing_extensions

_QUALIFIERS = (
    typing.Required,
    typing.NotRequired,
    typing.Final,
    typing_extensions.ReadOnly,
)
# typing's own appeared in Python 3.12; before that every alias is the backport's.
_ALIASES = (
    typing_extensions.TypeAliasType,
    getattr(typing, "TypeAliasType", typing_extensions.TypeAliasType),
)


def type_name(annotation: Any) -> str:
    """Return a type as people write it."""
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def peel(annotation: Any, metadata: list[Any]) -> Any:
    """Strip what wraps a type and gather the metadata on the way."""
    while True:
        origin = typing.get_origin(annotation)
        if origin is typing.Annotated:
            metadata.extend(annotation.__metadata__)
            annotation = annotation.__origin__
        elif origin in _QUALIFIERS:
            annotation = typing.get_args(annotation)[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif isinstance(annotation, _ALIASES):
            annotation = annotation.__value__
        else:
            return annotation
