"""What a plugin needs: the hook marker and the plain records it returns."""

from __future__ import annotations

from embow.plugins.hookspecs import hookimpl
from embow.plugins.specs import (
    API_VERSION,
    CommandSpec,
    EngineSpec,
    LoaderSpec,
    ProviderSpec,
    RerankerSpec,
    Sdk,
)

__all__ = [
    "API_VERSION",
    "CommandSpec",
    "EngineSpec",
    "LoaderSpec",
    "ProviderSpec",
    "RerankerSpec",
    "Sdk",
    "hookimpl",
]
