"""The settings of a provider as people read them: for listings, documentation and checks."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from pydantic import Secret, SecretBytes, SecretStr
from pydantic_core import PydanticUndefined

from embow.embeddings._config import external_marks
from embow.embeddings._secrets import secret_fields
from embow.embeddings.types import operational

if TYPE_CHECKING:
    from embow.embeddings._provider import Provider

Kind = Literal["identity", "operational", "secret"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One argument of ``create()``.

    Attributes:
        name: Argument name.
        type: Its type, as one writes it.
        default: Its default as Python text, ``None`` where it must be given.
        kind: ``identity`` changes the vectors, ``operational`` does not, ``secret`` is never
            stored.
        description: What it does.
        external: Whether values of it that come with a table must be allowed by the process.
    """

    name: str
    type: str
    default: str | None
    kind: Kind
    description: str
    external: bool = False


def describe_settings(cls: type[Provider]) -> list[Setting]:
    """Return the settings of a provider: its own first, then those every provider has."""
    from embow.embeddings._provider import Provider

    shared = Provider.model_fields.keys()
    names = sorted(cls.model_fields, key=lambda name: name in shared)
    return [_describe(cls, name) for name in names]


def _describe(cls: type[Provider], name: str) -> Setting:
    info = cls.model_fields[name]
    default = info.get_default(call_default_factory=True, validated_data={})
    kind: Kind = "operational" if operational in info.metadata or info.exclude else "identity"
    return Setting(
        name,
        type_text(info.annotation),
        None if default is PydanticUndefined else repr(default),
        "secret" if name in secret_fields(cls) else kind,
        info.description or "",
        name in external_marks(cls),
    )


def type_text(annotation: Any) -> str:
    """Return a type as one writes it: ``str | None``, ``dict[str, secret]``, ``'a' | 'b'``."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " | ".join(type_text(argument) for argument in arguments)
    if origin is Literal:
        return " | ".join(repr(argument) for argument in arguments)
    if annotation in (SecretStr, SecretBytes) or origin is Secret:
        return "secret"
    if annotation in (None, types.NoneType):
        return "None"
    if annotation is Ellipsis:
        return "..."
    if isinstance(origin, type):
        return f"{origin.__name__}[{', '.join(type_text(a) for a in arguments)}]"
    return getattr(annotation, "__name__", None) or str(annotation).removeprefix("typing.")
