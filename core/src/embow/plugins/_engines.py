"""From a URI to the class of the engine that serves it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, cast

from embow.errors import ConfigurationError, ProviderConflictError
from embow.plugins import _discovery as discovery
from embow.plugins._listing import Listed
from embow.plugins._loader import State
from embow.plugins._specs import EngineSpec

if TYPE_CHECKING:
    from embow.engines.contract import Engine

# One letter is a Windows drive, not a scheme.
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):(?P<rest>.*)", re.DOTALL)


def scheme_of(uri: str | os.PathLike[str]) -> str:
    """Return the scheme of a URI in lower case, empty for a path."""
    match = _SCHEME.match(os.fspath(uri))
    if match is None or not (match["rest"].startswith("/") or match["scheme"].lower() == "file"):
        return ""
    return match["scheme"].lower()


def engine_for(uri: str | os.PathLike[str]) -> type[Engine]:
    """Return the engine class that serves a URI.

    Raises:
        ConfigurationError: No installed engine serves the scheme.
        ProviderConflictError: Several distributions offer the engine.
        PluginBrokenError: The engine is disabled, incompatible or broken.
    """
    scheme = scheme_of(uri)
    serving = [e for e in _engines() if e.spec is not None and scheme in e.spec.schemes]
    usable = [e for e in serving if e.state in (State.READY, State.NEEDS_SDK)]
    if len(usable) > 1:
        owners = " and ".join(f"{e.id} ({e.distribution})" for e in usable)
        raise ProviderConflictError(
            f"{scheme}:// is served by {owners}. Uninstall one of them, or name it in "
            "EMBOW_DISABLE_PLUGINS."
        )
    if usable and usable[0].spec is not None:
        return cast("type[Engine]", discovery.load_target(usable[0].spec))
    if serving:
        raise discovery.unusable(EngineSpec, serving[0].id, serving[0])
    raise ConfigurationError(
        f"No installed engine serves {scheme}:// addresses. Installed: {_overview()}."
    )


def _engines() -> tuple[Listed[EngineSpec], ...]:
    return discovery.catalog().of(EngineSpec)


def _overview() -> str:
    parts = []
    for engine in _engines():
        schemes = engine.spec.schemes if engine.spec else ()
        names = ", ".join(f"{s}://" if s else "paths" for s in schemes)
        parts.append(f"{engine.id} ({names})")
    return "; ".join(parts)
