"""Loading of one plugin at a time, so that the failure of one never hides another."""

from __future__ import annotations

import enum
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pluggy
from importlib_metadata import EntryPoint, entry_points
from packaging.requirements import InvalidRequirement, Requirement

import embow
from embow.plugins import _hookspecs as hookspecs
from embow.plugins._specs import Spec

GROUP = "embow.plugins"
_HOOK_PREFIX = "embow_"


class State(enum.StrEnum):
    """What can be said of one thing plugged in, or of a whole plugin."""

    READY = "ready"
    NEEDS_SDK = "needs sdk"
    NOT_INSTALLED = "not installed"
    DISABLED = "disabled"
    INCOMPATIBLE = "incompatible"
    BROKEN = "broken"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point and what it offers.

    Attributes:
        name: Name of the entry point.
        distribution: Distribution that declares it.
        version: Version of that distribution.
        state: ``READY``, ``DISABLED``, ``INCOMPATIBLE`` or ``BROKEN``.
        reason: Why it is not ready, as a sentence.
        specs: What it offers, by kind.
        observers: Observers it offers.
    """

    name: str
    distribution: str
    version: str
    state: State = State.READY
    reason: str = ""
    specs: Mapping[type[Spec], tuple[Any, ...]] = field(default_factory=dict)
    observers: tuple[Callable[[Any], None], ...] = ()


@dataclass(frozen=True, slots=True)
class Disabled:
    """Names switched off by ``EMBOW_DISABLE_PLUGINS``."""

    names: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def parse(cls, text: str) -> Disabled:
        """Read a comma-separated list of ids and distributions; ``*`` means all."""
        return cls(frozenset(_canonical(part) for part in text.split(",") if part.strip()))

    def covers(self, *names: str) -> bool:
        """Tell whether any of the names is switched off."""
        return "*" in self.names or any(_canonical(name) in self.names for name in names)


def installed_plugins(disabled: Disabled) -> list[Plugin]:
    """Load the plugin of every entry point, sorted by distribution and name."""
    found = sorted(entry_points(group=GROUP), key=lambda e: (_distribution_name(e), e.name))
    return [_load(entry_point, disabled) for entry_point in found]


def read_plugin(name: str, distribution: str, version: str, module: object) -> Plugin:
    """Call the hooks of one plugin object.

    Raises:
        Exception: Whatever is wrong with the plugin.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    _refuse_strays(module)
    manager.register(module, name=name)
    manager.check_pending()
    if not manager.get_hookcallers(module):
        raise TypeError("it implements no hook of embow (see embow.plugins.hookimpl)")
    specs = {
        kind: _collect(getattr(manager.hook, hook), kind) for kind, hook in hookspecs.KINDS.items()
    }
    observers = _collect(manager.hook.embow_observers, Callable)
    return Plugin(name, distribution, version, specs=specs, observers=observers)


def _load(entry_point: EntryPoint, disabled: Disabled) -> Plugin:
    distribution = _distribution_name(entry_point)
    version = entry_point.dist.version if entry_point.dist else "unknown"

    def unusable(state: State, reason: str) -> Plugin:
        return Plugin(entry_point.name, distribution, version, state, reason)

    if disabled.covers(entry_point.name, distribution):
        return unusable(State.DISABLED, "Switched off by EMBOW_DISABLE_PLUGINS.")
    requires = entry_point.dist.requires if entry_point.dist else None
    if (wanted := _unmet_core(requires or ())) is not None:
        return unusable(
            State.INCOMPATIBLE, f"Needs {wanted}; embow {embow.__version__} is installed."
        )
    try:
        module = entry_point.load()
        return read_plugin(entry_point.name, distribution, version, module)
    except (Exception, SystemExit) as exc:
        return unusable(State.BROKEN, f"{type(exc).__name__}: {exc}")


def _refuse_strays(plugin: object) -> None:
    """Refuse functions that look like hooks and are none: pluggy skips them in silence."""
    specs = {name for name in vars(hookspecs) if name.startswith(_HOOK_PREFIX)}
    marker = f"{hookspecs.PROJECT}_impl"
    home = plugin.__name__ if isinstance(plugin, ModuleType) else None
    for name, function in inspect.getmembers(plugin, callable):
        if not name.startswith(_HOOK_PREFIX) or hasattr(function, marker):
            continue
        if home is not None and getattr(function, "__module__", home) != home:
            continue
        problem = "is not marked with @hookimpl" if name in specs else "is no hook of embow"
        raise TypeError(f"function {name}() {problem}; hooks are: {', '.join(sorted(specs))}")


def _collect(hook: pluggy.HookCaller, kind: Any) -> tuple[Any, ...]:
    results = hook()
    if len(results) < len(hook.get_hookimpls()):
        raise TypeError(f"{hook.name}() returned None; an empty list says that there is nothing")
    items = tuple(item for result in results for item in result)
    for item in items:
        if not isinstance(item, kind):
            raise TypeError(f"{hook.name}() returned {type(item).__name__}, not {kind.__name__}")
    return items


def _unmet_core(requires: Iterable[str]) -> str | None:
    """Return the requirement on the core that this core does not meet, or ``None``."""
    for text in requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        met = requirement.specifier.contains(embow.__version__, prereleases=True)
        if _canonical(requirement.name) == "embow" and applies and not met:
            return f"{requirement.name}{requirement.specifier}"
    return None


def is_importable(module: str) -> bool:
    """Tell whether a module can be found, without importing it or its parents."""
    if module in sys.modules:
        return sys.modules[module] is not None
    path: Any = None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path)
            if spec is not None:
                break
        else:
            return False
        path = spec.submodule_search_locations
        if path is not None and spec.loader is None:
            path = importlib.import_module(name).__path__  # a namespace: there is no code to run
    return True


def _distribution_name(entry_point: EntryPoint) -> str:
    return entry_point.dist.name if entry_point.dist else "unknown"


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
