"""What a call or a table says about errors, limits and the cache.

A setting given to a call wins over the table's own, which wins over the default.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

import pyarrow as pa

from embow.engines.base import EngineTable
from embow.errors import CommitConflictError, ConfigurationError
from embow.pipeline import PipelineOptions
from embow.pipeline.types import OnError, OnLong

SETTINGS_KEY = b"_embow_settings"
_METADATA_TRIES = 5
_CHOICES = {"on_error": get_args(OnError), "on_long": get_args(OnLong)}


@dataclass(frozen=True, slots=True)
class TableSettings:
    """Settings kept with a table; ``None`` leaves the default."""

    on_error: str | None = None
    on_long: str | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            _check_choice(name, value)

    @classmethod
    def read(cls, schema: pa.Schema) -> TableSettings:
        """Return the settings kept in a stored schema."""
        return cls(**json.loads((schema.metadata or {}).get(SETTINGS_KEY, b"{}")))

    def into(self, schema: pa.Schema) -> pa.Schema:
        """Return the schema with these settings in it."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        metadata = dict(schema.metadata or {})
        metadata.pop(SETTINGS_KEY, None)
        if given:
            metadata[SETTINGS_KEY] = json.dumps(given).encode()
        return schema.with_metadata(metadata or None)


def pipeline_options(settings: TableSettings, **given: Any) -> PipelineOptions:
    """Return the options of one call.

    Raises:
        ConfigurationError: A setting is unknown or has an unknown value.
    """
    known = {f.name for f in fields(PipelineOptions)}
    for name, value in given.items():
        if name not in known:
            raise ConfigurationError(
                f"There is no setting {name!r}. The settings are: {', '.join(sorted(known))}."
            )
        _check_choice(name, value)
    merged = {name: value for name, value in asdict(settings).items() if value is not None}
    merged.update({name: value for name, value in given.items() if value is not None})
    return PipelineOptions(**merged)


def change_metadata(
    stored: EngineTable, change: Callable[[pa.Schema], Mapping[bytes, bytes]]
) -> None:
    """Change a table's schema metadata, again where another writer was faster.

    Raises:
        CommitConflictError: Others were faster ``_METADATA_TRIES`` times in a row.
    """
    for attempt in range(_METADATA_TRIES):
        schema = stored.schema()
        try:
            stored.set_metadata(change(schema), expected=schema)
            return
        except CommitConflictError:
            if attempt == _METADATA_TRIES - 1:
                raise


def _check_choice(name: str, value: Any) -> None:
    choices = _CHOICES.get(name)
    if choices and value is not None and value not in choices:
        raise ConfigurationError(f"{name}={value!r} is not known; use one of {', '.join(choices)}.")
