"""Which providers, engines and observers there are, and in what state.

Plugins are looked for once a process, at the first question. Their modules are imported, the
classes they name and the SDKs they call are not.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import embow
from embow.errors import (
    PluginBrokenError,
    PluginError,
    ProviderConflictError,
    ProviderNotFoundError,
    ProviderNotInstalledError,
)
from embow.plugins import builtin, hints
from embow.plugins.known import ELSEWHERE_BY_ID
from embow.plugins.listing import (
    ListedEngine,
    ListedProvider,
    describe,
    describe_failed,
    mark_conflicts,
    missing_providers,
    names_of,
)
from embow.plugins.loader import Disabled, Plugin, State, installed_plugins, read_plugin
from embow.plugins.specs import EngineSpec, ProviderSpec, Sdk


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything found at one look."""

    plugins: tuple[Plugin, ...]
    providers: tuple[ListedProvider, ...]
    engines: tuple[ListedEngine, ...]

    def provider(self, name: str) -> ListedProvider | None:
        """Return the provider of a name or alias, the most usable where several claim it."""
        claims = [listed for listed in self.providers if name in names_of(listed)]
        return min(claims, key=lambda listed: _RANK[listed.state], default=None)


_RANK = {state: rank for rank, state in enumerate(State)} | {State.NOT_INSTALLED: len(State)}
_EMPTY = Catalog((), (), ())
_lock = threading.RLock()
_catalog: Catalog | None = None


def catalog() -> Catalog:
    """Return what there is, looking for plugins at the first call.

    A plugin that asks while it is being imported is told that there is nothing yet.
    """
    global _catalog
    with _lock:
        if _catalog is None:
            _catalog = _EMPTY
            try:
                _catalog = _look()
            except BaseException:
                _catalog = None
                raise
        return _catalog


def refresh() -> Catalog:
    """Look again, for plugins installed since. Modules already imported are not imported anew."""
    global _catalog
    importlib.invalidate_caches()
    with _lock:
        _catalog = None
        return catalog()


def find_provider(name: str) -> ListedProvider:
    """Return a provider that can be imported: ready, or short of its SDK.

    Raises:
        ProviderNotFoundError: Nothing is known under that name.
        ProviderNotInstalledError: It is known but not installed.
        ProviderConflictError: Several distributions offer it.
        PluginBrokenError: It is disabled, incompatible or broken.
    """
    listed = catalog().provider(name)
    if listed is None or listed.state is State.NOT_INSTALLED:
        listed = refresh().provider(name)
    if listed is not None and listed.state in (State.READY, State.NEEDS_SDK):
        return listed
    raise _unusable(name, listed)


def load_target(spec: ProviderSpec | EngineSpec) -> type[Any]:
    """Import the class a spec names.

    Raises:
        PluginBrokenError: The module or the class cannot be imported.
    """
    module_name, _, class_name = spec.target.partition(":")
    try:
        target = getattr(importlib.import_module(module_name), class_name)
    except Exception as exc:
        raise PluginBrokenError(
            f"{spec.id!r} cannot be used: importing {spec.target!r} failed with "
            f"{type(exc).__name__}: {exc}"
        ) from exc
    if not isinstance(target, type):
        raise PluginBrokenError(f"{spec.id!r} cannot be used: {spec.target!r} is not a class.")
    return target


def credentials_of(provider: str) -> tuple[str, ...]:
    """Return the environment variables a provider reads, or none where it is unknown."""
    listed = catalog().provider(provider)
    return listed.spec.credentials if listed is not None and listed.spec is not None else ()


def sdk_of(provider: str, module: str) -> Sdk | None:
    """Return what a provider declared about a package it calls."""
    listed = catalog().provider(provider)
    declared = listed.spec.sdk if listed is not None and listed.spec is not None else ()
    top = module.partition(".")[0]
    exact = [sdk for sdk in declared if sdk.module == module]
    return next(iter(exact or [s for s in declared if s.module.partition(".")[0] == top]), None)


def observers() -> list[Callable[[Any], None]]:
    """Return the observers of all plugins."""
    return [observer for plugin in catalog().plugins for observer in plugin.observers]


def _look() -> Catalog:
    disabled = Disabled.parse(os.environ.get(hints.DISABLE_VARIABLE, ""))
    own = read_plugin("builtin", "embow", embow.__version__, builtin)
    plugins = (own, *installed_plugins(disabled))
    usable = [plugin for plugin in plugins if plugin.state is State.READY]
    providers = [describe(s, p, disabled) for p in usable for s in p.providers]
    engines = [describe(s, p, disabled) for p in usable for s in p.engines]
    failed = [describe_failed(p) for p in plugins if p.state is not State.READY]
    missing = missing_providers([*providers, *failed])
    return Catalog(
        plugins,
        tuple(sorted([*mark_conflicts(providers), *failed, *missing], key=lambda p: p.id)),
        tuple(sorted(mark_conflicts(engines), key=lambda e: e.id)),
    )


def _unusable(name: str, listed: ListedProvider | None) -> PluginError:
    """Return the error for a provider that cannot be handed out."""
    if listed is None and name in ELSEWHERE_BY_ID:
        return ProviderNotFoundError(
            f"LanceDB has a provider {name!r}, embow does not yet. {ELSEWHERE_BY_ID[name].instead}"
        )
    if listed is None:
        usable = (State.READY, State.NEEDS_SDK)
        installed = [item.id for item in catalog().providers if item.state in usable]
        return ProviderNotFoundError(hints.unknown_provider(name, installed))
    kinds: dict[State, type[PluginError]] = {
        State.NOT_INSTALLED: ProviderNotInstalledError,
        State.CONFLICT: ProviderConflictError,
    }
    kind = kinds.get(listed.state, PluginBrokenError)
    state = "in conflict" if listed.state is State.CONFLICT else listed.state
    sentences = (f"Provider {name!r} is {state}.", listed.reason, listed.hint)
    return kind(" ".join(sentence for sentence in sentences if sentence))
