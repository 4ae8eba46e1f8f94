"""What there is of each kind of plugin, and in what state.

Plugins are looked for once a process, at the first question. Their modules are imported, the
classes they name and the SDKs they call are not.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import embow
from embow.errors import (
    PluginBrokenError,
    PluginError,
    ProviderConflictError,
    ProviderNotFoundError,
    ProviderNotInstalledError,
)
from embow.plugins import _builtin as builtin
from embow.plugins import _hints as hints
from embow.plugins._hookspecs import KINDS
from embow.plugins._known import COMMANDS, ELSEWHERE_BY_ID, INDEXES, KNOWN, RERANKERS
from embow.plugins._listing import (
    Listed,
    SpecT,
    describe,
    describe_failed,
    mark_conflicts,
    missing,
    names_of,
)
from embow.plugins._loader import Disabled, Plugin, State, installed_plugins, read_plugin
from embow.plugins._specs import CommandSpec, IndexSpec, ProviderSpec, RerankerSpec, Sdk, Spec


@dataclass(frozen=True, slots=True, eq=False)
class Catalog:
    """Everything found at one look."""

    plugins: tuple[Plugin, ...] = ()
    listed: Mapping[type[Spec], tuple[Listed[Any], ...]] = field(default_factory=dict)
    named: Mapping[tuple[type[Spec], str], Listed[Any]] = field(default_factory=dict)

    def of(self, kind: type[SpecT]) -> tuple[Listed[SpecT], ...]:
        """Return everything of a kind, by id."""
        return self.listed.get(kind, ())

    def find(self, kind: type[SpecT], name: str) -> Listed[SpecT] | None:
        """Return what has a name or alias, the most usable where several claim it."""
        return self.named.get((kind, name))


_USABLE = (State.READY, State.NEEDS_SDK)
_RANK = {state: rank for rank, state in enumerate(State)} | {State.NOT_INSTALLED: len(State)}
_EMPTY = Catalog()
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


def find(kind: type[SpecT], name: str) -> Listed[SpecT]:
    """Return what has a name, and can be imported: ready, or short of its SDK.

    Raises:
        ProviderNotFoundError: Nothing is known under that name.
        ProviderNotInstalledError: It is known but not installed.
        ProviderConflictError: Several distributions offer it.
        PluginBrokenError: It is disabled, incompatible or broken.
    """
    listed = catalog().find(kind, name)
    if listed is None or listed.state is State.NOT_INSTALLED:
        listed = refresh().find(kind, name)
    if listed is not None and listed.state in _USABLE:
        return listed
    raise unusable(kind, name, listed)


def load_target(spec: Spec) -> Any:
    """Import what a spec names.

    Raises:
        PluginBrokenError: It cannot be imported.
    """
    module_name, _, name = spec.target.partition(":")
    try:
        return getattr(importlib.import_module(module_name), name)
    except Exception as exc:
        raise PluginBrokenError(
            f"{spec.id!r} cannot be used: importing {spec.target!r} failed with "
            f"{type(exc).__name__}: {exc}"
        ) from exc


def credentials_of(provider: str) -> tuple[str, ...]:
    """Return the environment variables a provider reads, or none where it is unknown."""
    return _credentials(catalog(), provider)


@lru_cache(maxsize=256)
def _credentials(found: Catalog, provider: str) -> tuple[str, ...]:
    specs = _specs_of(found, provider)
    return tuple(dict.fromkeys(name for spec in specs for name in spec.credentials))


def sdk_of(provider: str, module: str) -> Sdk | None:
    """Return what a provider declared about a package it calls."""
    declared = [sdk for spec in _specs_of(catalog(), provider) for sdk in spec.sdk]
    top = module.partition(".")[0]
    exact = [sdk for sdk in declared if sdk.module == module]
    return next(iter(exact or [s for s in declared if s.module.partition(".")[0] == top]), None)


def _specs_of(found: Catalog, name: str) -> list[ProviderSpec | RerankerSpec]:
    """Return what may be called under a name: an account may have both kinds."""
    kinds: tuple[type[ProviderSpec | RerankerSpec], ...] = (ProviderSpec, RerankerSpec)
    listed = [found.find(kind, name) for kind in kinds]
    return [each.spec for each in listed if each is not None and each.spec is not None]


def observers() -> list[Callable[[Any], None]]:
    """Return the observers of all plugins."""
    return [observer for plugin in catalog().plugins for observer in plugin.observers]


def _look() -> Catalog:
    disabled = Disabled.parse(os.environ.get(hints.DISABLE_VARIABLE, ""))
    own = read_plugin("builtin", "embow", embow.__version__, builtin)
    plugins = (own, *installed_plugins(disabled))
    usable = [plugin for plugin in plugins if plugin.state is State.READY]
    listed: dict[type[Spec], list[Listed[Any]]] = {
        kind: mark_conflicts(
            [describe(s, p, disabled) for p in usable for s in p.specs.get(kind, ())]
        )
        for kind in KINDS
    }
    failed = [describe_failed(p) for p in plugins if p.state is not State.READY]
    listed[ProviderSpec] += missing(KNOWN, listed[ProviderSpec], failed)
    listed[RerankerSpec] += missing(RERANKERS, listed[RerankerSpec], failed)
    listed[CommandSpec] += missing(COMMANDS, listed[CommandSpec], failed)
    listed[IndexSpec] += missing(INDEXES, listed[IndexSpec], failed)
    told = {item.distribution for item in listed[ProviderSpec]}
    listed[ProviderSpec] += [item for item in failed if item.distribution not in told]
    by_id = {kind: tuple(sorted(items, key=lambda i: i.id)) for kind, items in listed.items()}
    # Of several that claim a name the last to be set counts: the first of the most usable.
    named = {
        (kind, name): item
        for kind, items in by_id.items()
        for item in sorted(reversed(items), key=lambda i: -_RANK[i.state])
        for name in names_of(item)
    }
    return Catalog(plugins, by_id, named)


def unusable(kind: type[Spec], name: str, listed: Listed[Any] | None) -> PluginError:
    """Return the error for something that cannot be handed out."""
    if listed is None and kind is ProviderSpec and name in ELSEWHERE_BY_ID:
        return ProviderNotFoundError(
            f"LanceDB has a provider {name!r}, embow does not yet. {ELSEWHERE_BY_ID[name].instead}"
        )
    if listed is None:
        installed = [item.id for item in catalog().of(kind) if item.state in _USABLE]
        return ProviderNotFoundError(hints.unknown(kind, name, installed))
    errors: dict[State, type[PluginError]] = {
        State.NOT_INSTALLED: ProviderNotInstalledError,
        State.CONFLICT: ProviderConflictError,
    }
    error = errors.get(listed.state, PluginBrokenError)
    state = "in conflict" if listed.state is State.CONFLICT else listed.state
    sentences = (f"{kind.kind.capitalize()} {name!r} is {state}.", listed.reason, listed.hint)
    return error(" ".join(sentence for sentence in sentences if sentence))
