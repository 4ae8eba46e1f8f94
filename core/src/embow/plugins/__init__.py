"""What a plugin needs: the hook marker and the plain records it returns; and what is plugged in.

The marker and the records are there at once, the rest is imported when first used: a plugin is
asked for its records without anything else being loaded.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from embow.plugins._hookspecs import hookimpl
from embow.plugins._specs import (
    API_VERSION,
    CommandSpec,
    EngineSpec,
    LoaderSpec,
    ProviderSpec,
    RerankerSpec,
    Sdk,
)

if TYPE_CHECKING:
    from embow.plugins._discovery import catalog as catalog
    from embow.plugins._discovery import credentials_of as credentials_of
    from embow.plugins._known import KNOWN_BY_ID as KNOWN_BY_ID
    from embow.plugins._listing import ListedProvider as ListedProvider
    from embow.plugins._loader import State as State

_HOME = {
    "KNOWN_BY_ID": "_known",
    "ListedProvider": "_listing",
    "State": "_loader",
    "catalog": "_discovery",
    "credentials_of": "_discovery",
}

__all__ = [
    "API_VERSION",
    "KNOWN_BY_ID",
    "CommandSpec",
    "EngineSpec",
    "ListedProvider",
    "LoaderSpec",
    "ProviderSpec",
    "RerankerSpec",
    "Sdk",
    "State",
    "catalog",
    "credentials_of",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
