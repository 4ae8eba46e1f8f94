"""From a Python annotation to the Arrow type of its column."""

from __future__ import annotations

import collections
import collections.abc as abc
import dataclasses
import enum
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NoReturn, TypeVar

import pyarrow as pa
import typing_extensions
from pydantic import BaseModel, Json, RootModel
from pydantic.fields import FieldInfo

from embow.errors import UnsupportedTypeError
from embow.schema._annotations import peel, type_name
from embow.schema._scalars import common_type, enum_decoder, enum_type, hint_for, scalar_type
from embow.schema._vector import VectorType

Decoder = Callable[[Any], Any]

_LIST_ORIGINS = (
    list,
    set,
    frozenset,
    collections.deque,
    abc.Sequence,
    abc.MutableSequence,
    abc.Set,
    abc.MutableSet,
    abc.Collection,
)
_MAP_ORIGINS = (dict, collections.OrderedDict, collections.defaultdict, abc.Mapping)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a Python type becomes in Arrow.

    Attributes:
        type: Arrow type.
        nullable: Whether ``None`` is a value of it.
        decode: Turns a non-null value of ``to_pylist`` into what pydantic takes; ``None`` where
            pydantic takes it as it is.
        override: The Arrow field a ``pa.Field`` in the annotation gave.
    """

    type: pa.DataType
    nullable: bool = False
    decode: Decoder | None = None
    override: pa.Field | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """Where an annotation stands, for messages and for what it inherits.

    Attributes:
        model: Name of the class it belongs to.
        field: Field name, with dots below nested classes.
        nested: Returns the struct that holds a nested model.
        tz: Time zone of timestamps, from ``json_schema_extra={"tz": ...}``.
        inside: Classes being resolved, to notice one that holds itself.
    """

    model: str
    field: str
    nested: Callable[[type[BaseModel], Site], Resolved]
    tz: str | None = None
    inside: tuple[Any, ...] = ()

    def refuse(self, annotation: Any, reason: str) -> NoReturn:
        """Raise for a type without an Arrow counterpart."""
        raise UnsupportedTypeError(
            f"{self.model}.{self.field}: Arrow has no type for {type_name(annotation)}. {reason}"
        )

    def enter(self, annotation: Any) -> Site:
        """Return the site inside a class; refuse one that holds itself."""
        if annotation in self.inside:
            self.refuse(annotation, "The class holds itself, and columns cannot nest without end.")
        return replace(self, inside=(*self.inside, annotation))

    def below(self, name: str) -> Site:
        """Return the site of a field of the class at this site."""
        return replace(self, field=f"{self.field}.{name}")


def resolve(annotation: Any, site: Site, metadata: tuple[Any, ...] = ()) -> Resolved:
    """Return what an annotation becomes in Arrow.

    Raises:
        UnsupportedTypeError: Arrow has no type for it; the message names what to use instead.
    """
    found = list(metadata)
    core = peel(annotation, found)
    for item in [item for item in found if isinstance(item, FieldInfo)]:
        found.extend(item.metadata)
    if any(item is Json or type(item).__name__ == "Json" for item in found):
        site.refuse(Json, "Use dict[str, ...] or a nested Model, or str for the text itself.")
    override = next((item for item in found if isinstance(item, pa.Field)), None)
    arrow = next((item for item in found if isinstance(item, pa.DataType)), None)
    if override is not None or arrow is not None:
        return _overridden(core, site, override, arrow)
    vector = next((item for item in found if isinstance(item, VectorType)), None)
    return _resolve_core(vector or core, site, found)


def _overridden(
    core: Any, site: Site, override: pa.Field | None, arrow: pa.DataType | None
) -> Resolved:
    """Take the Arrow type as given; the Python type only says how values are read back."""
    try:
        inner = _resolve_core(core, site, [])
    except UnsupportedTypeError:
        inner = Resolved(pa.null(), nullable=_admits_none(core))
    if override is None:
        return replace(inner, type=arrow)
    return replace(inner, type=override.type, nullable=override.nullable, override=override)


def _resolve_core(core: Any, site: Site, metadata: list[Any]) -> Resolved:
    if isinstance(core, VectorType):
        if core.spec.dim is None:
            site.refuse(core, "Its dimension is not known: write Vector(128), or VectorField().")
        return Resolved(core.spec.arrow_type(core.spec.dim), nullable=core.spec.nullable)
    origin = typing.get_origin(core)
    if origin in (typing.Union, types.UnionType):
        return _resolve_union(core, site, metadata)
    if origin is typing.Literal:
        return _resolve_literal(core, site)
    if origin in _LIST_ORIGINS or origin is tuple:
        return _resolve_list(core, site)
    if origin in _MAP_ORIGINS:
        return _resolve_map(core, site)
    if isinstance(core, TypeVar):
        if core.__bound__ is None:
            site.refuse(core, "Give the generic model its types, as in Model[int].")
        return resolve(core.__bound__, site)
    if isinstance(core, type) and issubclass(core, enum.Enum):
        return Resolved(enum_type(core)[0], decode=enum_decoder(core))
    if (struct := _resolve_class(core, site)) is not None:
        return struct
    arrow = scalar_type(core, metadata, site.tz)
    if arrow is None:
        site.refuse(core, hint_for(core))
    return Resolved(arrow)


def _resolve_union(core: Any, site: Site, metadata: list[Any]) -> Resolved:
    """Take ``X | None``, and members that Arrow holds alike, such as ``Path | str``."""
    members = [arg for arg in typing.get_args(core) if arg is not type(None)]
    parts = [resolve(member, site, tuple(metadata)) for member in members]
    if any(part.type != parts[0].type for part in parts):
        site.refuse(core, "Choose one type for the column, or use a nested Model.")
    if len(parts) > 1 and any(part.decode is not None for part in parts):
        site.refuse(core, "Values could not be told apart when they are read back.")
    return replace(parts[0], nullable=_admits_none(core) or any(part.nullable for part in parts))


def _resolve_literal(core: Any, site: Site) -> Resolved:
    values = typing.get_args(core)
    enums = {type(value) for value in values if isinstance(value, enum.Enum)}
    if len(enums) == 1 and all(value is None or isinstance(value, enum.Enum) for value in values):
        cls = enums.pop()
        return Resolved(enum_type(cls)[0], nullable=None in values, decode=enum_decoder(cls))
    arrow = common_type(value for value in values if value is not None)
    if arrow is None:
        site.refuse(core, "Use literals of one type: all text or all numbers.")
    return Resolved(arrow, nullable=None in values)


def _resolve_list(core: Any, site: Site) -> Resolved:
    args = [arg for arg in typing.get_args(core) if arg is not Ellipsis]
    if not args:
        site.refuse(core, hint_for(tuple))
    items = [resolve(arg, site.below("item")) for arg in args]
    if any(item.type != items[0].type for item in items):
        site.refuse(core, hint_for(tuple))
    decoders = [item.decode for item in items]
    arrow = pa.list_(items[0].type)  # Items may be null, as in the Arrow of everyone else.
    if not any(decoders):
        return Resolved(arrow)
    if len(decoders) == 1:
        return Resolved(arrow, decode=_each(decoders[0]))
    return Resolved(
        arrow, decode=lambda v: [_apply(d, x) for d, x in zip(decoders, v, strict=True)]
    )


def _resolve_map(core: Any, site: Site) -> Resolved:
    key_type, item_type = typing.get_args(core)
    key = resolve(key_type, site.below("key"))
    item = resolve(item_type, site.below("value"))
    if key.nullable:
        site.refuse(core, "The keys of a map cannot be None.")
    arrow = pa.map_(
        pa.field("key", key.type, nullable=False), pa.field("value", item.type, item.nullable)
    )

    def decode(pairs: Any) -> dict[Any, Any]:
        pairs = pairs.items() if isinstance(pairs, dict) else pairs
        return {_apply(key.decode, k): _apply(item.decode, v) for k, v in pairs}

    return Resolved(arrow, decode=decode)


def _resolve_class(core: Any, site: Site) -> Resolved | None:
    """Resolve what Arrow holds as a struct: models, dataclasses, TypedDict, NamedTuple."""
    if isinstance(core, type) and issubclass(core, RootModel):
        root = core.model_fields["root"]
        return resolve(root.annotation, site.enter(core), tuple(root.metadata))
    if isinstance(core, type) and issubclass(core, BaseModel):
        return site.nested(core, site.enter(core))
    if dataclasses.is_dataclass(core):
        return _struct(core, [f.name for f in dataclasses.fields(core)], site)
    if typing_extensions.is_typeddict(core):
        return _struct(core, list(core.__annotations__), site, core.__optional_keys__)
    if isinstance(core, type) and issubclass(core, tuple) and hasattr(core, "_fields"):
        struct = _struct(core, list(core._fields), site)
        decode = struct.decode
        return replace(struct, decode=lambda row: tuple(_apply(decode, row).values()))
    return None


def _struct(
    cls: Any, names: list[str], site: Site, optional: frozenset[str] = frozenset()
) -> Resolved:
    inner = site.enter(cls)
    try:
        hints = typing_extensions.get_type_hints(cls, include_extras=True)
    except NameError as exc:
        raise UnsupportedTypeError(
            f"{site.model}.{site.field}: the annotations of {type_name(cls)} cannot be read: "
            f"{exc}. Define the class, and what it names, at module level."
        ) from exc
    parts = {name: resolve(hints[name], inner.below(name)) for name in names}
    fields = [pa.field(n, p.type, p.nullable or n in optional) for n, p in parts.items()]
    decoders = {name: part.decode for name, part in parts.items()}
    absent = {name for name in optional if not parts[name].nullable}
    if not absent and not any(decoders.values()):
        return Resolved(pa.struct(fields))

    def decode(row: dict[str, Any]) -> dict[str, Any]:
        kept = {k: v for k, v in row.items() if v is not None or k not in absent}
        return {k: _apply(decoders.get(k), v) for k, v in kept.items()}

    return Resolved(pa.struct(fields), decode=decode)


def _apply(decode: Decoder | None, value: Any) -> Any:
    return value if decode is None or value is None else decode(value)


def _each(decode: Decoder | None) -> Decoder:
    return lambda values: [_apply(decode, value) for value in values]


def _admits_none(core: Any) -> bool:
    return type(None) in typing.get_args(core)
