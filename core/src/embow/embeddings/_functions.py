"""The functions of a process by class and settings: made once, and found again by tables."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from embow.embeddings import _config as config
from embow.embeddings import _secrets as secrets
from embow.embeddings._provider import Provider
from embow.embeddings.types import provider_name
from embow.errors import ConfigurationError
from embow.plugins import _discovery as discovery
from embow.variables import PREFIX

ProviderT = TypeVar("ProviderT", bound=Provider)


@dataclass(slots=True)
class Functions:
    """Functions by class and settings.

    A key passed as an argument is in no metadata; it lives on here, so that the table that was
    just made with it works until the process ends. Two functions equal but for their keys are
    told apart by nothing in the metadata: then neither is handed out.
    """

    kept: dict[tuple[Any, ...], Provider] = field(default_factory=dict)
    contested: set[tuple[Any, ...]] = field(default_factory=set)
    own: set[tuple[Any, ...]] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def get(
        self,
        cls: type[ProviderT],
        settings: Mapping[str, Any],
        prepare: Callable[[ProviderT], None],
    ) -> ProviderT:
        """Return the function of a class for settings from a table, made where there is none.

        ``prepare`` is called once with a new one.

        Raises:
            ConfigurationError: The settings do not fit the class, or functions of several keys
                were made with them.
        """
        key = _key(cls, settings)
        with self.lock:
            if key in self.contested:
                raise _contested(cls)
            if key not in self.kept:
                function = cls.create(**settings)
                prepare(function)
                self.kept[key] = function
            return cast("ProviderT", self.kept[key])

    def remember(self, function: Provider, settings: Mapping[str, Any]) -> None:
        """Keep a function for the table that is made with it."""
        key = _key(type(function), settings)
        with self.lock:
            own_before = self.made_here(type(function), settings)
            if not own_before and any(kept is function for kept in self.kept.values()):
                return  # it came from a table, and being written into another makes it no more
            self.own.add(_written(type(function), settings))
            other = self.kept.get(key)
            if other is None or (not own_before and not _has_key(other)):
                self.kept[key] = function  # a table was opened before there was any key for it
            elif other is not function and _differ(other, function):
                self.contested.add(key)

    def made_here(self, cls: type[Provider], settings: Mapping[str, Any]) -> bool:
        """Tell whether this process made such a function, other than from a table's metadata."""
        with self.lock:
            return _written(cls, settings) in self.own

    def clear(self) -> None:
        """Forget all of them."""
        with self.lock:
            self.kept.clear()
            self.contested.clear()
            self.own.clear()


FUNCTIONS = Functions()
"""The functions of this process."""


def forget_functions() -> None:
    """Drop the functions kept for bindings, and with them any key passed as an argument."""
    FUNCTIONS.clear()


def _written(cls: type[Provider], settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return class and settings as a table holds them, nothing looked up."""
    return cls, json.dumps(settings, sort_keys=True)


def _key(cls: type[Provider], settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what makes two functions the same: class, settings, and what variables stand for."""
    written = json.dumps(settings, sort_keys=True)
    if PREFIX not in written:
        return cls, written
    return cls, written, json.dumps(config.resolve_arguments(cls, settings), sort_keys=True)


def _has_key(function: Provider) -> bool:
    credentials = discovery.credentials_of(function.name_of_provider())
    return bool(secrets.secrets_of(function, credentials))


def _differ(one: Provider, other: Provider) -> bool:
    """Tell whether two functions of equal settings differ in what no table keeps."""
    unkept = [name for name, info in type(one).model_fields.items() if info.exclude]
    pairs = [(getattr(one, name), getattr(other, name)) for name in unkept]
    return one.account() != other.account() or any(not (a is b or a == b) for a, b in pairs)


def _contested(cls: type[Provider]) -> ConfigurationError:
    unkept = {name for name, info in cls.model_fields.items() if info.exclude}
    names = ", ".join(sorted(unkept | secrets.secret_fields(cls))) or "their account"
    return ConfigurationError(
        f"This program has two functions of provider {provider_name(cls)!r} that are equal but "
        f"for what no table keeps ({names}), so it cannot be told which of them is meant. Name "
        'keys apart: set_var("KEY_A", ...) and create(api_key="$var:KEY_A") for one, '
        '"$var:KEY_B" for the other. Of two that differ in something else, make one.'
    )
