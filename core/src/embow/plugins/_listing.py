"""How what is plugged in is listed: its state, and what to do about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from importlib_metadata import PackageNotFoundError
from importlib_metadata import version as distribution_version
from packaging.requirements import InvalidRequirement, Requirement

from embow.plugins import _hints as hints
from embow.plugins._known import Known
from embow.plugins._loader import Disabled, Plugin, State, is_importable
from embow.plugins._specs import API_VERSION, ProviderSpec, Sdk, Spec

SpecT = TypeVar("SpecT", bound=Spec)


@dataclass(frozen=True, slots=True)
class Listed(Generic[SpecT]):
    """One thing that is or could be plugged in, as people see it.

    Attributes:
        id: Name it is asked for by.
        state: Whether it can be used.
        summary: One line on what it is.
        distribution: Distribution it comes from, or would come from.
        version: Version of that distribution, ``None`` where it is not installed.
        spec: What the plugin declared, ``None`` where there is no plugin to ask.
        reason: Why it cannot be used, as a sentence.
        hint: What to do about it, as a sentence.
    """

    id: str
    state: State
    summary: str = ""
    distribution: str | None = None
    version: str | None = None
    spec: SpecT | None = None
    reason: str = ""
    hint: str = ""


ListedProvider = Listed[ProviderSpec]


def describe(spec: SpecT, plugin: Plugin, disabled: Disabled) -> Listed[SpecT]:
    """Return a spec with its state."""
    listed = Listed(spec.id, State.READY, spec.summary, plugin.distribution, plugin.version, spec)
    if disabled.covers(spec.id) and plugin.distribution != "embow":
        reason = f"Switched off by {hints.DISABLE_VARIABLE}."
        return replace(listed, state=State.DISABLED, reason=reason, hint=_hint_enable(spec.id))
    if spec.api != API_VERSION:
        return replace(
            listed,
            state=State.INCOMPATIBLE,
            reason=f"Written for plugin interface {spec.api}; this embow has {API_VERSION}.",
            hint=_hint_versions(plugin),
        )
    problems = [(sdk, problem) for sdk in spec.sdk if (problem := _sdk_problem(sdk))]
    if problems:
        return replace(
            listed,
            state=State.NEEDS_SDK,
            reason=" ".join(problem for _, problem in problems),
            hint=" ".join(dict.fromkeys(hints.sdk_hint(sdk) for sdk, _ in problems)),
        )
    return listed


def describe_failed(plugin: Plugin) -> ListedProvider:
    """List a plugin that could not be asked what it offers under its entry point's name."""
    if plugin.state is State.DISABLED:
        hint = _hint_enable(plugin.name)
    elif plugin.state is State.INCOMPATIBLE:
        hint = _hint_versions(plugin)
    else:
        hint = f"Reinstall or remove {plugin.distribution}, or report it to its authors."
    told = (plugin.state, "", plugin.distribution, plugin.version)
    return Listed(plugin.name, *told, reason=plugin.reason, hint=hint)


def _sdk_problem(sdk: Sdk) -> str:
    """Return what is wrong with a package that is called, or an empty string."""
    if not is_importable(sdk.module):
        return f"Package {sdk.module!r} is not installed."
    try:
        requirement = Requirement(sdk.requirement)
        have = distribution_version(requirement.name)
    except (InvalidRequirement, PackageNotFoundError):
        return ""
    if requirement.specifier.contains(have, prereleases=True):
        return ""
    return f"{requirement.name} {have} is installed, {requirement} is needed."


def mark_conflicts(listed: list[Listed[SpecT]]) -> list[Listed[SpecT]]:
    """Mark everything whose name is claimed more than once."""
    claims: defaultdict[str, list[Listed[SpecT]]] = defaultdict(list)
    for item in listed:
        if item.state in (State.READY, State.NEEDS_SDK):
            for name in dict.fromkeys(names_of(item)):
                claims[name].append(item)
    result = []
    for item in listed:
        rivals = next((c for n in names_of(item) if len(c := claims[n]) > 1 and item in c), None)
        result.append(item if rivals is None else _in_conflict(item, rivals))
    return result


def _in_conflict(item: Listed[SpecT], rivals: Iterable[Listed[SpecT]]) -> Listed[SpecT]:
    owners = " and ".join(f"{r.distribution} {r.version}" for r in rivals)
    return replace(
        item,
        state=State.CONFLICT,
        reason=f"{item.id!r} is offered by {owners}.",
        hint=f"Uninstall one of them, or name its distribution in {hints.DISABLE_VARIABLE}.",
    )


def missing(
    known: Iterable[Known], listed: Iterable[Listed[Any]], failed: Iterable[ListedProvider]
) -> Iterator[Listed[Any]]:
    """Yield what is known and not there: not installed, or its plugin could not be asked."""
    have = {name for item in listed for name in names_of(item)}
    plugins = {item.distribution: item for item in failed}
    for each in known:
        if each.id in have:
            continue
        if (plugin := plugins.get(each.distribution)) is not None:
            yield replace(plugin, id=each.id, summary=each.summary)
            continue
        hint, reason = hints.install_hint(each), f"It comes with {each.distribution}."
        absent = (State.NOT_INSTALLED, each.summary, each.distribution)
        yield Listed(each.id, *absent, reason=reason, hint=hint)


def names_of(listed: Listed[Any]) -> tuple[str, ...]:
    """Return the id and the aliases."""
    return (listed.id, *(listed.spec.aliases if listed.spec is not None else ()))


def _hint_enable(name: str) -> str:
    return f"Take {name!r} out of {hints.DISABLE_VARIABLE} to use it."


def _hint_versions(plugin: Plugin) -> str:
    return f"Install versions of {plugin.distribution} and embow that fit together."
