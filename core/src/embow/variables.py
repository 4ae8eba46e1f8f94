"""Values that settings refer to as ``"$var:NAME"`` or ``"$var:NAME:default"``."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from embow.errors import ConfigurationError, VariableNotFoundError

PREFIX = "$var:"


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed ``$var:`` string.

    Attributes:
        name: Variable name, without colons.
        default: Text used where the variable has no value; may be empty, ``None`` if not given.
    """

    name: str
    default: str | None = None


class Variables:
    """Named values of one process. Safe to use from several threads."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._lock = threading.Lock()

    def set(self, name: str, value: str) -> None:
        """Give a variable a value, replacing an earlier one.

        Raises:
            ConfigurationError: The name is empty or holds a colon, or the value is not text.
        """
        if not name or ":" in name:
            raise ConfigurationError(
                f"A variable name must not be empty or contain colons: {name!r}."
            )
        if not isinstance(value, str):
            raise ConfigurationError(
                f"Variable {name!r} must be a string, not {type(value).__name__}."
            )
        with self._lock:
            self._values[name] = value

    def find(self, name: str) -> str | None:
        """Return the value set in this process, else the environment's, else ``None``."""
        with self._lock:
            value = self._values.get(name)
        return os.environ.get(name) if value is None else value

    def get(self, name: str) -> str:
        """Return the value of a variable.

        Raises:
            VariableNotFoundError: It has none.
        """
        value = self.find(name)
        if value is None:
            raise not_found(name)
        return value


SHARED = Variables()
"""The variables that every registry of the process uses."""


def not_found(name: str) -> VariableNotFoundError:
    """Return the error for a variable without a value."""
    return VariableNotFoundError(
        f"Variable {name!r} has no value. Call get_registry().set_var({name!r}, ...) in this "
        f"process, set the environment variable {name}, or give a default: "
        f'"{PREFIX}{name}:default".'
    )


def parse_reference(value: object) -> Reference | None:
    """Return the reference a string stands for, or ``None`` where it is no reference.

    Raises:
        ConfigurationError: The string is ``"$var:"`` without a name.
    """
    if not isinstance(value, str) or not value.startswith(PREFIX):
        return None
    name, colon, default = value.removeprefix(PREFIX).partition(":")
    if not name:
        raise ConfigurationError(
            'A variable reference must read "$var:NAME" or "$var:NAME:default".'
        )
    return Reference(name, default if colon else None)


def has_reference(value: Any) -> bool:
    """Tell whether a value is a reference or holds one in its dicts and lists."""
    if isinstance(value, str):
        return value.startswith(PREFIX)
    if isinstance(value, Mapping):
        return any(has_reference(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(has_reference(item) for item in value)
    return False


def lookup(reference: Reference) -> str:
    """Return what a reference stands for.

    Raises:
        VariableNotFoundError: The variable has no value and the reference no default.
    """
    value = SHARED.find(reference.name)
    if value is not None:
        return value
    if reference.default is None:
        raise not_found(reference.name)
    return reference.default


def resolve(value: Any) -> Any:
    """Replace every reference in a value, also inside dicts, lists and tuples.

    Raises:
        VariableNotFoundError: A variable has no value and no default.
    """
    if isinstance(value, str):
        reference = parse_reference(value)
        return value if reference is None else lookup(reference)
    if isinstance(value, Mapping) and has_reference(value):
        return {key: resolve(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and has_reference(value):
        return type(value)(resolve(item) for item in value)
    return value
