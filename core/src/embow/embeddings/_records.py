"""The record of a binding: which function fills which column, as a table keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from embow.embeddings._functions import FUNCTIONS
from embow.embeddings._provider import Provider
from embow.errors import ConfigurationError, SchemaError
from embow.plugins import _discovery as discovery
from embow.plugins._specs import ProviderSpec

_TEXTS = ("fingerprint", "distribution", "version", "target")
_OPTIONAL = ("ndims", "identity", *_TEXTS)


@dataclass(frozen=True, slots=True)
class Record:
    """One binding as a table keeps it.

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
    def from_record(cls, record: Mapping[str, Any]) -> Self:
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


def make_record(
    function: Provider, ndims: int, source_column: str, vector_column: str
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
    return Record(
        name=name,
        settings=settings,
        source_column=source_column,
        vector_column=vector_column,
        ndims=ndims,
        identity=function.identity(),
        fingerprint=function.fingerprint(),
        distribution=distribution,
        version=version,
        target=target,
    ).to_record()


def _home_of(name: str, target: str) -> tuple[str | None, str | None]:
    listed = discovery.catalog().find(ProviderSpec, name)
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
