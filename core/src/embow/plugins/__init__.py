"""What a plugin needs: the hook marker and the plain records it returns; and what is plugged in.

The marker and the records are there at once, the rest is imported when first used: a plugin is
asked for its records without anything else being loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from embow._lazy import lazy
from embow.plugins._hookspecs import hookimpl
from embow.plugins._specs import (
    API_VERSION,
    CommandSpec,
    EngineSpec,
    IndexSpec,
    LoaderSpec,
    ProviderSpec,
    RerankerSpec,
    Sdk,
)

if TYPE_CHECKING:
    from embow.plugins._discovery import catalog, credentials_of
    from embow.plugins._known import KNOWN_BY_ID
    from embow.plugins._listing import ListedProvider
    from embow.plugins._loader import State

__getattr__, __dir__, _ = lazy(
    __name__,
    {
        "_discovery": "catalog credentials_of",
        "_known": "KNOWN_BY_ID",
        "_listing": "ListedProvider",
        "_loader": "State",
    },
)

__all__ = [
    "API_VERSION",
    "KNOWN_BY_ID",
    "CommandSpec",
    "EngineSpec",
    "IndexSpec",
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
