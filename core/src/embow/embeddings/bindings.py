"""Which function fills which column: written into a table's schema metadata, and read back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embow.embeddings.base import EmbeddingFunction
from embow.embeddings.functions import FUNCTIONS
from embow.embeddings.trust import Request, Trust, requests_of
from embow.errors import (
    ConfigurationError,
    PluginError,
    ProviderNotFoundError,
    SchemaError,
)
from embow.schema.protocol import METADATA_KEY

if TYPE_CHECKING:
    import pyarrow as pa


_NOTHING = Trust()


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
                settings=_mapping(record, "model") or {},
                source_column=_text(record, "source_column"),
                vector_column=_text(record, "vector_column"),
                ndims=_length(record),
                identity=_mapping(record, "identity"),
                **{key: _text(record, key) for key in _TEXTS if record.get(key) is not None},
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

    def function(self, trust: Trust = _NOTHING, *, signed: bool = False) -> EmbeddingFunction:
        """Return the function, the same object for the same settings within a process.

        Args:
            trust: What the table may ask for.
            signed: Whether the table's signature is good for this binding, see
                :func:`embow.embeddings.trust.is_signed`. A function this process made itself
                needs neither.

        Raises:
            PluginError: The provider is missing or unusable; the message says what to do.
            UntrustedError: The settings ask for more than is allowed; the message says how to.
            ConfigurationError: The settings do not fit the installed provider, or functions of
                several keys were made with them in this process.
        """
        cls = self._provider()
        asked = requests_of(cls, self.settings)
        if asked and not signed and not FUNCTIONS.made_here(cls, self.settings):
            trust.require(asked, self.name, self.vector_column)
        return FUNCTIONS.get(cls, self.settings, self.ndims)

    def requests(self) -> tuple[Request, ...]:
        """Return what the settings ask for that only this process may allow.

        Raises:
            PluginError: The provider is missing or unusable.
        """
        return requests_of(self._provider(), self.settings)

    def made_here(self) -> bool:
        """Tell whether this process made the function, other than from a table's metadata.

        Raises:
            PluginError: The provider is missing or unusable.
        """
        return FUNCTIONS.made_here(self._provider(), self.settings)

    def _provider(self) -> type[EmbeddingFunction]:
        from embow.embeddings.registry import get_registry

        try:
            return get_registry().get(self.name)
        except PluginError as exc:
            raise type(exc)(f"{self._origin()} {exc}{self._import_hint(exc)}") from exc

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


_TEXTS = ("fingerprint", "distribution", "version", "target")
_OPTIONAL = ("ndims", "identity", *_TEXTS)


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
    except (TypeError, ValueError, RecursionError) as exc:
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
    FUNCTIONS.remember(function, settings)
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


def _home_of(name: str, target: str) -> tuple[str | None, str | None]:
    from embow.plugins import discovery

    listed = discovery.catalog().provider(name)
    if listed is None or listed.spec is None or listed.spec.target != target:
        return None, None
    return listed.distribution, listed.version


def _text(record: Mapping[str, Any], key: str) -> str:
    value = record[key]
    if not isinstance(value, str):
        raise ValueError(f"{key!r} must be text, not {type(value).__name__}")
    return value


def _mapping(record: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    value = record.get(key)
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(f"{key!r} must hold names and values, not {type(value).__name__}")
    return None if value is None else dict(value)


def _length(record: Mapping[str, Any]) -> int | None:
    value = record.get("ndims")
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError(f"'ndims' must be a length, not {value!r:.50}")
    return value
