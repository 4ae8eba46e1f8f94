"""Indexes of a table in memory: what is defined, and how a version has it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from embow.engines._memory.snapshot import State
from embow.engines.contract import ROW_ID
from embow.engines.indexes import Covering, Definition, Library
from embow.errors import ConfigurationError, MissingSdkError


class Indexes:
    """Definitions of the indexes of one table; nothing is built before a search needs it."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Definition, Library[Any]]] = {}
        self._seen: dict[tuple[str, int], Covering[Any]] = {}

    def define(self, definition: Definition, state: State, *, replace: bool) -> None:
        """Add an index."""
        if definition.name in self._known and not replace:
            raise ConfigurationError(
                f"There is an index {definition.name!r} already; replace=True builds it anew."
            )
        library = _library(definition.kind)(
            definition.settings, state.schema.field(definition.column).type
        )
        self.drop(definition.name)
        self._known[definition.name] = definition, library

    def drop(self, name: str) -> None:
        """Forget an index."""
        self._known.pop(name, None)
        self._seen = {key: each for key, each in self._seen.items() if key[0] != name}

    def of(self, state: State) -> list[Covering[Any]]:
        """Return the indexes of a version."""
        found = []
        for name, (definition, library) in self._known.items():
            if definition.column not in state.rows.schema.names:
                continue
            key = name, state.version
            if key not in self._seen:
                rest = np.asarray(state.rows[ROW_ID], np.int64)
                self._seen[key] = Covering(definition, library, (), rest)
            found.append(self._seen[key])
        return found


def _library(kind: str) -> type[Library[Any]]:
    module, name = _KINDS[kind]
    try:
        found: type[Library[Any]] = getattr(importlib.import_module(module), name)
    except ImportError as exc:
        raise MissingSdkError(
            f"An index of kind {kind!r} needs {module}. Run: pip install 'embow[text]'"
        ) from exc
    return found


_KINDS: Mapping[str, tuple[str, str]] = {"fts": ("embow_text._library", "TextSegments")}
