"""Every hook a plugin may implement, in one place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

from embow.plugins._specs import (
    CommandSpec,
    EngineSpec,
    IndexSpec,
    LoaderSpec,
    ProviderSpec,
    RerankerSpec,
    Spec,
)

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
def embow_indexes() -> Iterable[IndexSpec]:  # type: ignore[empty-body]
    """Return the kinds of index that this plugin builds, without importing them."""


@hookspec
def embow_rerankers() -> Iterable[RerankerSpec]:  # type: ignore[empty-body]
    """Return the rerankers of this plugin, without importing them."""


@hookspec
def embow_loaders() -> Iterable[LoaderSpec]:  # type: ignore[empty-body]
    """Return the readers of files of this plugin, without importing them."""


@hookspec
def embow_commands() -> Iterable[CommandSpec]:  # type: ignore[empty-body]
    """Return the commands this plugin adds to ``embow``, without importing them."""


@hookspec
def embow_observers() -> Iterable[Callable[[Any], None]]:  # type: ignore[empty-body]
    """Return callables that receive one event for each provider request."""


KINDS: dict[type[Spec], str] = {
    ProviderSpec: "embow_providers",
    EngineSpec: "embow_engines",
    IndexSpec: "embow_indexes",
    RerankerSpec: "embow_rerankers",
    LoaderSpec: "embow_loaders",
    CommandSpec: "embow_commands",
}
"""The hook that offers each kind of spec."""
