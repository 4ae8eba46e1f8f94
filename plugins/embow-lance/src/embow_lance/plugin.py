"""Tells embow what this distribution offers. Imports nothing of Lance's."""

from __future__ import annotations

from embow.plugins import EngineSpec, Sdk, hookimpl


@hookimpl
def embow_engines() -> list[EngineSpec]:
    """Return the ``lance`` engine."""
    return [
        EngineSpec(
            id="lance",
            target="embow_lance.engine:LanceEngine",
            schemes=("lance", "s3", "gs", "az"),
            summary="Tables in Lance's format, in a folder or on an object store",
            sdk=(Sdk("lance", "pylance>=14.0,<15"),),
        )
    ]
