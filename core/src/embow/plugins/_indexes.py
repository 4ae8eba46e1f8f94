"""From a kind of index to the library that builds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from embow.plugins import _discovery as discovery
from embow.plugins._specs import IndexSpec

if TYPE_CHECKING:
    from embow.engines.indexes import Library


def index_library(kind: str) -> type[Library[Any]]:
    """Return the class that builds and reads indexes of a kind.

    Raises:
        PluginError: It is not installed, or cannot be used; the message says what to do.
    """
    listed = discovery.find(IndexSpec, kind)
    if listed.spec is None:
        raise discovery.unusable(IndexSpec, kind, listed)
    return cast("type[Library[Any]]", discovery.load_target(listed.spec))
