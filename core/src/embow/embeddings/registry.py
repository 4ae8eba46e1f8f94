"""From a provider's name to its class, and the variables that settings refer to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from embow.embeddings import variables
from embow.embeddings.base import EmbeddingFunction
from embow.embeddings.bindings import (
    Binding,
    EmbeddingFunctionConfig,
    bindings_metadata,
    forget_functions,
    read_bindings,
)
from embow.errors import PluginBrokenError, ProviderConflictError
from embow.plugins import discovery
from embow.plugins.listing import Listed, ListedProvider
from embow.plugins.loader import State
from embow.plugins.specs import ProviderSpec
from embow.schema.protocol import METADATA_KEY

FunctionT = TypeVar("FunctionT", bound=type[EmbeddingFunction])


class EmbeddingFunctionRegistry:
    """Find providers by name: those registered in this process, then installed plugins.

    Example:
        >>> from embow.embeddings import get_registry
        >>> get_registry().get("opnai")
        Traceback (most recent call last):
        ...
        embow.errors.ProviderNotFoundError: No provider named 'opnai'. Did you mean 'openai'? ...
    """

    def __init__(self) -> None:
        self._classes: dict[str, type[EmbeddingFunction]] = {}
        self._lock = threading.RLock()

    @classmethod
    def get_instance(cls) -> EmbeddingFunctionRegistry:
        """Return the registry of the process."""
        return get_registry()

    # -- providers ----------------------------------------------------------------------

    def register(self, alias: str | None = None) -> Callable[[FunctionT], FunctionT]:
        """Return a class decorator that makes a provider available under a name.

        Args:
            alias: The name; the class's own name where it is left out.

        Raises:
            TypeError: What is decorated is not an ``EmbeddingFunction`` class.
            ProviderConflictError: Another class, or an installed plugin, has the name. The same
                class again, from a reloaded module or a cell run twice, replaces the first.
        """
        if alias is not None and not isinstance(alias, str):
            raise TypeError('Write the parentheses: @registry.register("a-name"), or register().')

        def decorate(cls: FunctionT) -> FunctionT:
            if not (isinstance(cls, type) and issubclass(cls, EmbeddingFunction)):
                raise TypeError(f"{cls!r} must be a subclass of EmbeddingFunction.")
            self._add(alias or cls.__name__, cls)
            return cls

        return decorate

    def get(self, name: str) -> type[EmbeddingFunction]:
        """Return the class of a provider. Its SDK is not imported.

        Raises:
            ProviderNotFoundError: Nothing is known under that name.
            ProviderNotInstalledError: It is known but not installed.
            ProviderConflictError: Several distributions offer it.
            PluginBrokenError: It is disabled, incompatible or broken.
        """
        with self._lock:
            if name in self._classes:
                return self._classes[name]
        return _load(discovery.find(ProviderSpec, name))

    def providers(self) -> list[ListedProvider]:
        """Return every provider, with its state, sorted by name. Imports none of them."""
        listed = {item.id: item for item in discovery.catalog().of(ProviderSpec)}
        with self._lock:
            own = {name: _describe_own(name, cls) for name, cls in self._classes.items()}
        return sorted((listed | own).values(), key=lambda item: item.id)

    def reset(self) -> None:
        """Forget the classes registered in this process. Plugins and variables stay."""
        with self._lock:
            self._classes.clear()
        forget_functions()

    def _add(self, name: str, cls: type[EmbeddingFunction]) -> None:
        owner = _plugin_owner(name, cls)
        if owner is not None:
            raise ProviderConflictError(
                f"Provider name {name!r} for {_qualified(cls)} is taken by {owner}. Choose "
                f"another name, or switch that plugin off: EMBOW_DISABLE_PLUGINS={name}."
            )
        with self._lock:
            other = self._classes.get(name)
            if other is not None and _qualified(other) != _qualified(cls):
                raise ProviderConflictError(
                    f"Provider name {name!r} for {_qualified(cls)} is taken by "
                    f"{_qualified(other)}. Choose another name."
                )
            self._classes[name] = cls
        cls.provider_id = name

    # -- variables ----------------------------------------------------------------------

    def set_var(self, name: str, value: str) -> None:
        """Give ``"$var:name"`` a value in this process, whichever registry is asked.

        Raises:
            ConfigurationError: The name is empty or holds a colon.
        """
        variables.SHARED.set(name, value)

    def get_var(self, name: str) -> str:
        """Return the value of a variable: the one set here, else the environment's.

        Raises:
            VariableNotFoundError: It has none.
        """
        return variables.SHARED.get(name)

    # -- table metadata -----------------------------------------------------------------

    def function_to_metadata(self, conf: EmbeddingFunctionConfig) -> dict[str, Any]:
        """Return the JSON record of one configured function."""
        return conf.function.to_binding(conf.source_column, conf.vector_column)

    def get_table_metadata(
        self, func_list: Iterable[EmbeddingFunctionConfig]
    ) -> dict[str, bytes] | None:
        """Return the schema metadata for configured functions, ``None`` for none."""
        records = [Binding.from_record(self.function_to_metadata(conf)) for conf in func_list]
        return {METADATA_KEY.decode(): bindings_metadata(records)} if records else None

    def parse_functions(
        self, metadata: Mapping[Any, Any] | None
    ) -> dict[str, EmbeddingFunctionConfig]:
        """Return the functions of schema metadata by vector column, the providers needed."""
        return {
            column: EmbeddingFunctionConfig(column, binding.source_column, binding.function())
            for column, binding in read_bindings(metadata).items()
        }


_REGISTRY = EmbeddingFunctionRegistry()


def get_registry() -> EmbeddingFunctionRegistry:
    """Return the registry of the process."""
    return _REGISTRY


def register(name: str) -> Callable[[FunctionT], FunctionT]:
    """Return a class decorator that registers a provider of one's own under ``name``.

    Example:
        >>> import numpy as np
        >>> from embow.embeddings import TextEmbeddingFunction, register
        >>> @register("length")
        ... class Length(TextEmbeddingFunction):
        ...     def ndims(self):
        ...         return 1
        ...     def generate_embeddings(self, texts):
        ...         return np.array([[len(text)] for text in texts], dtype=np.float32)

    Raises:
        TypeError: It was written without a name: ``@register``.
        ProviderConflictError: The name is taken.
    """
    if not isinstance(name, str):
        raise TypeError('Name the provider: write @register("a-name"), not @register.')
    return get_registry().register(name)


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
