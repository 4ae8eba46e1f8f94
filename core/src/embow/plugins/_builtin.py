"""What the core itself plugs in, by the same hooks as everyone else."""

from __future__ import annotations

from embow.plugins._hookspecs import hookimpl
from embow.plugins._specs import EngineSpec


@hookimpl
def embow_engines() -> list[EngineSpec]:
    """Offer the embedded engine for plain paths and ``file:`` URIs, and one in memory."""
    return [
        EngineSpec(
            id="local",
            target="embow.engines._local:LocalEngine",
            schemes=("", "file"),
            summary="Tables in a folder: Arrow files and a SQLite catalog",
        ),
        EngineSpec(
            id="memory",
            target="embow.engines._memory:MemoryEngine",
            schemes=("memory",),
            summary="Tables in memory, gone with the connection",
        ),
    ]
