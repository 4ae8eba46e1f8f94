"""The sentences that tell how to install or enable something. Nothing else spells them out."""

from __future__ import annotations

from collections.abc import Iterable

from embow.errors import near_name
from embow.plugins._known import ELSEWHERE_BY_ID, KNOWN, RERANKERS, Known
from embow.plugins._specs import ProviderSpec, RerankerSpec, Sdk, Spec

DISABLE_VARIABLE = "EMBOW_DISABLE_PLUGINS"


def install_hint(known: Known) -> str:
    """Return how to install a known plugin."""
    return (
        f"In a clone of embow run: pip install ./core ./plugins/{known.distribution} "
        f'(once embow is published: pip install "embow[{known.extra}]").'
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
    have = sorted(installed)
    known_ones = {ProviderSpec: KNOWN, RerankerSpec: RERANKERS}.get(kind, ())
    missing = {known.id: known for known in known_ones if known.id not in have}
    elsewhere = ELSEWHERE_BY_ID if kind is ProviderSpec else ()
    near = near_name(name, [*have, *missing, *elsewhere])
    parts = [f"No {kind.kind} named {name!r}.{near} Installed: {', '.join(have) or 'none'}."]
    if missing:
        parts.append(f"Known but not installed: {', '.join(missing)}.")
    parts += [install_hint(known) for known in missing.values() if f"'{known.id}'" in near]
    return " ".join(parts)
