"""Tells embow what is here, without importing it."""

from __future__ import annotations

from embow.plugins import CommandSpec, hookimpl


@hookimpl
def embow_commands() -> list[CommandSpec]:
    """Return the one command of this distribution."""
    return [
        CommandSpec(
            id="new-plugin",
            target="embow_testing.new_plugin:add_arguments",
            summary="start a distribution for a provider",
        )
    ]
