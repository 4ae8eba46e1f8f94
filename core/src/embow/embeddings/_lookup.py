"""The provider classes of a process: those registered in it, then those of installed plugins."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from embow.embeddings._base import EmbeddingFunction
from embow.errors import PluginBrokenError, ProviderConflictError
from embow.plugins import _discovery as discovery
from embow.plugins._listing import Listed, ListedProvider
from embow.plugins._loader import State
from embow.plugins._specs import ProviderSpec


@dataclass(slots=True)
class Classes:
    """Provider classes by name.

    Attributes:
        registered: Those registered in this process.
    """

    registered: dict[str, type[EmbeddingFunction]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def find(self, name: str) -> type[EmbeddingFunction]:
        """Return the class of a provider. Its SDK is not imported.

        Raises:
            ProviderNotFoundError: Nothing is known under that name.
            ProviderNotInstalledError: It is known but not installed.
            ProviderConflictError: Several distributions offer it.
            PluginBrokenError: It is disabled, incompatible or broken.
        """
        with self.lock:
            if name in self.registered:
                return self.registered[name]
        return _load(discovery.find(ProviderSpec, name))

    def providers(self) -> list[ListedProvider]:
        """Return every provider, with its state, sorted by name. Imports none of them."""
        listed = {item.id: item for item in discovery.catalog().of(ProviderSpec)}
        with self.lock:
            own = {name: _describe_own(name, cls) for name, cls in self.registered.items()}
        return sorted((listed | own).values(), key=lambda item: item.id)

    def add(self, name: str, cls: type[EmbeddingFunction]) -> None:
        """Make a class available under a name.

        Raises:
            ProviderConflictError: Another class, or an installed plugin, has the name.
        """
        owner = _plugin_owner(name, cls)
        if owner is not None:
            raise ProviderConflictError(
                f"Provider name {name!r} for {_qualified(cls)} is taken by {owner}. Choose "
                f"another name, or switch that plugin off: EMBOW_DISABLE_PLUGINS={name}."
            )
        with self.lock:
            other = self.registered.get(name)
            if other is not None and _qualified(other) != _qualified(cls):
                raise ProviderConflictError(
                    f"Provider name {name!r} for {_qualified(cls)} is taken by "
                    f"{_qualified(other)}. Choose another name."
                )
            self.registered[name] = cls
        cls.provider_id = name


SHARED = Classes()
"""The classes of the process, as ``get_registry()`` and every table see them."""


def _load(listed: ListedProvider) -> type[EmbeddingFunction]:
    """Import the class of a plugin's provider and give it its name."""
    spec = listed.spec
    assert spec is not None, "a provider that can be imported has a spec"
    cls = discovery.load_target(spec)
    if not (isinstance(cls, type) and issubclass(cls, EmbeddingFunction)):
        raise PluginBrokenError(
            f"Provider {spec.id!r} of {listed.distribution} cannot be used: {spec.target!r} is "
            "not an EmbeddingFunction."
        )
    if not vars(cls).get("provider_id"):
        cls.provider_id = spec.id
    return cls


def _plugin_owner(name: str, cls: type[EmbeddingFunction]) -> str | None:
    """Return the distribution whose usable plugin has the name, unless it names this class."""
    listed = discovery.catalog().find(ProviderSpec, name)
    if listed is None or listed.spec is None or listed.state is State.DISABLED:
        return None
    if listed.spec.target == f"{cls.__module__}:{cls.__qualname__}":
        return None
    return f"{listed.spec.target} of {listed.distribution} {listed.version}"


def _describe_own(name: str, cls: type[EmbeddingFunction]) -> ListedProvider:
    doc = (cls.__doc__ or "").strip().partition("\n")[0]
    return Listed(
        name, State.READY, doc, reason=f"Registered in this process by {_qualified(cls)}."
    )


def _qualified(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
