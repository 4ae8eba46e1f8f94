"""Which function fills which column: written into a table's schema metadata, and read back."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from embow.embeddings import config
from embow.embeddings.base import EmbeddingFunction
from embow.errors import (
    ConfigurationError,
    PluginError,
    ProviderNotFoundError,
    SchemaError,
)
from embow.schema.protocol import METADATA_KEY

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class EmbeddingFunctionConfig:
    """One function with the columns it reads and fills."""

    vector_column: str
    source_column: str
    function: EmbeddingFunction


@dataclass(frozen=True, slots=True)
class Binding:
    """One binding as a table keeps it. Reading it needs no provider; asking for the function does.

    Attributes:
        name: Provider id.
        settings: Arguments that make the function again.
        source_column: Column that is embedded.
        vector_column: Column that is filled.
        ndims: Length of the vectors, ``None`` in tables LanceDB wrote.
        identity: What made the vectors, ``None`` in tables LanceDB wrote.
        fingerprint: SHA-256 of the identity.
        distribution: Distribution of the provider, ``None`` for a class of the user's own.
        version: Version of that distribution.
        target: ``"module:Class"`` of the provider.
    """

    name: str
    settings: Mapping[str, Any]
    source_column: str
    vector_column: str
    ndims: int | None = None
    identity: Mapping[str, Any] | None = None
    fingerprint: str | None = None
    distribution: str | None = None
    version: str | None = None
    target: str | None = None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Binding:
        """Read one record.

        Raises:
            SchemaError: Something that must be there is missing or of another type.
        """
        try:
            return cls(
                name=_text(record, "name"),
                settings=dict(record.get("model") or {}),
                source_column=_text(record, "source_column"),
                vector_column=_text(record, "vector_column"),
                **{key: record.get(key) for key in _OPTIONAL},
            )
        except (AttributeError, TypeError, ValueError, KeyError) as exc:
            raise SchemaError(f"The table's embedding metadata is damaged: {exc}.") from exc

    def to_record(self) -> dict[str, Any]:
        """Return the record this was read from, as plain JSON values."""
        record: dict[str, Any] = {
            "name": self.name,
            "model": dict(self.settings),
            "source_column": self.source_column,
            "vector_column": self.vector_column,
        }
        optional = {key: getattr(self, key) for key in _OPTIONAL}
        return record | {key: value for key, value in optional.items() if value is not None}

    def function(self) -> EmbeddingFunction:
        """Return the function, the same object for the same settings within a process.

        Raises:
            PluginError: The provider is missing or unusable; the message says what to do.
            ConfigurationError: The settings do not fit the installed provider.
        """
        from embow.embeddings.registry import get_registry

        try:
            cls = get_registry().get(self.name)
        except PluginError as exc:
            raise type(exc)(f"{self._origin()} {exc}{self._import_hint(exc)}") from exc
        return _FUNCTIONS.get(cls, self.settings, self.ndims)

    def _origin(self) -> str:
        version = f" {self.version}" if self.version else ""
        origin = f" (distribution {self.distribution}{version})" if self.distribution else ""
        return f"Column {self.vector_column!r} is embedded by provider {self.name!r}{origin}."

    def _import_hint(self, error: PluginError) -> str:
        if not isinstance(error, ProviderNotFoundError):
            return ""
        if self.distribution:
            return f" The table was written with {self.distribution}: install it."
        if self.target:
            module, _, name = self.target.partition(":")
            return f" It was class {name} of module {module!r}: import that module first."
        return " Import the module that registers it first."


_OPTIONAL = ("ndims", "identity", "fingerprint", "distribution", "version", "target")


def read_bindings(
    source: pa.Schema | Mapping[Any, Any] | None,
) -> dict[str, Binding]:
    """Return the bindings of a schema, or of its metadata, by vector column.

    Of several records for one vector column the last counts, as in LanceDB.

    Raises:
        SchemaError: The metadata is damaged.
    """
    metadata = getattr(source, "metadata", source) or {}
    text = metadata.get(METADATA_KEY, metadata.get(METADATA_KEY.decode()))
    if not text:
        return {}
    try:
        records = json.loads(text)
    except ValueError as exc:
        raise SchemaError(f"The table's embedding metadata is damaged: {exc}.") from exc
    if not isinstance(records, list):
        raise SchemaError("The table's embedding metadata is damaged: it is no list.")
    bindings = (Binding.from_record(record) for record in records)
    return {binding.vector_column: binding for binding in bindings}


def bindings_metadata(bindings: Iterable[Binding]) -> bytes:
    """Return the value to keep under :data:`METADATA_KEY`."""
    return json.dumps([binding.to_record() for binding in bindings]).encode()


def make_record(
    function: EmbeddingFunction, source_column: str, vector_column: str
) -> dict[str, Any]:
    """Return the JSON record of a binding, and remember the function for it.

    Raises:
        ConfigurationError: The class has no registered name to be found by again.
    """
    cls = type(function)
    name = vars(cls).get("provider_id")
    if not name:
        raise ConfigurationError(
            f"Class {cls.__qualname__} is not registered, so a table that uses it could not be "
            'opened again. Put @register("a-name") above the class.'
        )
    settings = function.safe_model_dump()
    target = f"{cls.__module__}:{cls.__qualname__}"
    distribution, version = _home_of(name, target)
    _FUNCTIONS.remember(function, settings)
    return Binding(
        name=name,
        settings=settings,
        source_column=source_column,
        vector_column=vector_column,
        ndims=function.ndims(),
        identity=function.identity(),
        fingerprint=function.fingerprint(),
        distribution=distribution,
        version=version,
        target=target,
    ).to_record()


def forget_functions() -> None:
    """Drop the functions kept for bindings, and with them any key passed as an argument."""
    _FUNCTIONS.clear()


@dataclass(slots=True)
class _Functions:
    """Functions by class and settings.

    A key passed as an argument is in no metadata; it lives on here, so that the table that was
    just made with it works until the process ends. Two functions equal but for their keys are
    told apart by nothing in the metadata: then neither is handed out.
    """

    kept: dict[tuple[Any, ...], EmbeddingFunction] = field(default_factory=dict)
    contested: set[tuple[Any, ...]] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def get(
        self, cls: type[EmbeddingFunction], settings: Mapping[str, Any], ndims: int | None
    ) -> EmbeddingFunction:
        key = _key(cls, settings)
        with self.lock:
            if key not in self.kept:
                function = cls.create(**settings)
                function.remember_ndims(ndims)
                self.kept[key] = function
            return self.kept[key]

    def remember(self, function: EmbeddingFunction, settings: Mapping[str, Any]) -> None:
        key = _key(type(function), settings)
        with self.lock:
            if key in self.contested:
                return
            other = self.kept.setdefault(key, function)
            if other is not function and other.account() != function.account():
                self.contested.add(key)
                del self.kept[key]

    def clear(self) -> None:
        with self.lock:
            self.kept.clear()
            self.contested.clear()


_FUNCTIONS = _Functions()


def _key(cls: type[EmbeddingFunction], settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what makes two functions the same: class, settings, and what variables stand for."""
    resolved = config.resolve_arguments(cls, settings)
    return cls, json.dumps([settings, resolved], sort_keys=True)


def _home_of(name: str, target: str) -> tuple[str | None, str | None]:
    from embow.plugins import ProviderSpec, discovery

    listed = discovery.catalog().find(ProviderSpec, name)
    if listed is None or listed.spec is None or listed.spec.target != target:
        return None, None
    return listed.distribution, listed.version


def _text(record: Mapping[str, Any], key: str) -> str:
    value = record[key]
    if not isinstance(value, str):
        raise ValueError(f"{key!r} must be text, not {type(value).__name__}")
    return value
