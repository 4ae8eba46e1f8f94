"""Every hook a plugin may implement, in one place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

from embow.plugins.specs import EngineSpec, ProviderSpec

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = "embow"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def embow_providers() -> Iterable[ProviderSpec]:  # type: ignore[empty-body]
    """Return the embedding providers of this plugin, without importing them."""


@hookspec
def embow_engines() -> Iterable[EngineSpec]:  # type: ignore[empty-body]
    """Return the storage engines of this plugin, without importing them."""


@hookspec
def embow_observers() -> Iterable[Callable[[Any], None]]:  # type: ignore[empty-body]
    """Return callables that receive one event for each provider request."""
