"""What a call or a table says about errors, limits and the cache.

A setting given to a call wins over the table's own, which wins over the default.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypedDict, get_args

from embow.errors import ConfigurationError, near_name
from embow.pipeline import PipelineOptions
from embow.pipeline._types import OnError, OnLong, ProgressUpdate

SETTINGS = "embow.settings"
_FORMER_SETTINGS = "_embow_settings"
_CHOICES = {"on_error": get_args(OnError), "on_long": get_args(OnLong)}


class LimitOptions(TypedDict, total=False):
    """Limits of one call that embeds; `PipelineOptions` says what each does."""

    concurrency: int | None
    deadline: float
    cache: bool | None
    budget: int | None
    progress: bool | Callable[[ProgressUpdate], None] | None


class CallOptions(LimitOptions, total=False):
    """Settings of one call that embeds."""

    on_long: OnLong | None


class AddOptions(CallOptions, total=False):
    """Settings of one call that embeds rows."""

    on_error: OnError | None


@dataclass(frozen=True, slots=True)
class TableSettings:
    """Settings kept with a table; ``None`` leaves the default."""

    on_error: str | None = None
    on_long: str | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            _check_choice(name, value)

    @classmethod
    def read(cls, metadata: Mapping[str, str]) -> TableSettings:
        """Return the settings kept in a table's metadata."""
        text = metadata.get(SETTINGS, metadata.get(_FORMER_SETTINGS, "{}"))
        return cls(**json.loads(text))

    def entries(self) -> dict[str, str | None]:
        """Return the metadata to set for these settings."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return {SETTINGS: json.dumps(given)}


def pipeline_options(
    settings: TableSettings, given: Mapping[str, Any], on_error: str | None = None
) -> PipelineOptions:
    """Return the options of one call.

    Args:
        settings: The table's own.
        given: The call's.
        on_error: What holds where neither says.

    Raises:
        ConfigurationError: A setting is unknown or has an unknown value.
    """
    known = {f.name for f in fields(PipelineOptions)}
    for name, value in given.items():
        if name not in known:
            raise ConfigurationError(
                f"There is no setting {name!r}.{near_name(name, known)} "
                f"The settings are: {', '.join(sorted(known))}."
            )
        _check_choice(name, value)
    merged: dict[str, Any] = {} if on_error is None else {"on_error": on_error}
    for each in (asdict(settings), given):
        merged.update({name: value for name, value in each.items() if value is not None})
    return PipelineOptions(**merged)


def _check_choice(name: str, value: Any) -> None:
    choices = _CHOICES.get(name)
    if choices and value is not None and value not in choices:
        raise ConfigurationError(f"{name}={value!r} is not known; use one of {', '.join(choices)}.")
