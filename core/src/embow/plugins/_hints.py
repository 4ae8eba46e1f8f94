"""The sentences that tell how to install or enable something. Nothing else spells them out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from embow.errors import near_name
from embow.plugins._known import ELSEWHERE_BY_ID, KNOWN, KNOWN_BY_ID, Known
from embow.plugins._specs import ProviderSpec, Sdk, Spec

DISABLE_VARIABLE = "EMBOW_DISABLE_PLUGINS"


def clone_command(known: Known) -> str:
    """Return the command that installs a plugin from a clone of embow."""
    return f"pip install ./core ./plugins/{known.distribution}"


def published_command(known: Known) -> str:
    """Return the command that will install a plugin once embow is on PyPI."""
    return f'pip install "embow[{known.extra}]"'


def install_hint(known: Known) -> str:
    """Return how to install a known plugin."""
    return (
        f"In a clone of embow run: {clone_command(known)} "
        f"(once embow is published: {published_command(known)})."
    )


def install_any() -> str:
    """Return how to install any of the known plugins, in two lines."""
    return (
        "To install one that is not, run in a clone of embow:\n"
        "  pip install ./core ./plugins/DISTRIBUTION"
    )


def sdk_hint(sdk: Sdk) -> str:
    """Return how to install a package that a provider calls."""
    return sdk.hint or f'Run: pip install "{sdk.requirement}".'


def unknown(kind: type[Spec], name: str, installed: Iterable[str]) -> str:
    """Return the message for a name that nothing of a kind has."""
    if kind is ProviderSpec:
        return _unknown_provider(name, installed)
    have = sorted(installed)
    known = f"Installed: {', '.join(have) or 'none'}."
    return f"No {kind.kind} named {name!r}.{near_name(name, have)} {known}"


def _unknown_provider(name: str, installed: Iterable[str]) -> str:
    have = sorted(installed)
    missing = [known for known in KNOWN if known.id not in have]
    names = [*have, *(known.id for known in missing), *ELSEWHERE_BY_ID]
    near = difflib.get_close_matches(name.lower(), names, n=1)
    parts = [f"No provider named {name!r}."]
    if near:
        parts.append(f"Did you mean {near[0]!r}?")
    parts.append(f"Installed: {', '.join(have) or 'none'}.")
    if missing:
        parts.append(f"Known but not installed: {', '.join(known.id for known in missing)}.")
    if near and near[0] in KNOWN_BY_ID and near[0] not in have:
        parts.append(install_hint(KNOWN_BY_ID[near[0]]))
    return " ".join(parts)
