"""From a provider's name to its class, and the variables that settings refer to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

from embow import variables
from embow.embeddings import _lookup as lookup
from embow.embeddings._base import EmbeddingFunction
from embow.embeddings._bindings import (
    Binding,
    EmbeddingFunctionConfig,
    bindings_metadata,
    read_bindings,
)
from embow.embeddings._functions import forget_functions
from embow.embeddings._lookup import Classes
from embow.embeddings._trust import SIGNATURE_KEY, Trust
from embow.plugins._listing import ListedProvider
from embow.schema._protocol import METADATA_KEY

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

    def __init__(self, known: Classes | None = None) -> None:
        """Start with the classes given, with none but the plugins' otherwise."""
        self._known = Classes() if known is None else known

    def __repr__(self) -> str:
        return f"EmbeddingFunctionRegistry({len(self._known.providers())} providers)"

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
            self._known.add(alias or cls.__name__, cls)
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
        return self._known.find(name)

    def providers(self) -> list[ListedProvider]:
        """Return every provider, with its state, sorted by name. Imports none of them."""
        return self._known.providers()

    def reset(self) -> None:
        """Forget the classes registered in this process. Plugins and variables stay."""
        with self._known.lock:
            self._known.registered.clear()
        forget_functions()

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
        self,
        metadata: Mapping[Any, Any] | None,
        trust: bool | Collection[str] | Trust = False,
    ) -> dict[str, EmbeddingFunctionConfig]:
        """Return the functions of schema metadata by vector column, the providers needed.

        Args:
            metadata: The schema's.
            trust: What the metadata may ask for, as ``connect`` takes it.

        Raises:
            UntrustedError: The metadata ask for more than this process allows.
        """
        allowed, signature = Trust.of(trust), _signature(metadata or {})
        return {
            column: EmbeddingFunctionConfig(
                column,
                binding.source_column,
                binding.function(allowed, signature),
            )
            for column, binding in read_bindings(metadata).items()
        }


def _signature(metadata: Mapping[Any, Any]) -> str | None:
    found = metadata.get(SIGNATURE_KEY.encode(), metadata.get(SIGNATURE_KEY))
    return found.decode(errors="replace") if isinstance(found, bytes) else found


_REGISTRY = EmbeddingFunctionRegistry(lookup.SHARED)


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
