"""Which function fills which column: written into a table's schema metadata, and read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embow.embeddings import _lookup as lookup
from embow.embeddings import _signing as signing
from embow.embeddings._base import EmbeddingFunction
from embow.embeddings._functions import FUNCTIONS
from embow.embeddings._records import Record
from embow.embeddings._trust import Request, Trust, requests_of
from embow.errors import (
    PluginError,
    ProviderNotFoundError,
    SchemaError,
)
from embow.schema._protocol import METADATA_KEY

if TYPE_CHECKING:
    import pyarrow as pa


_NOTHING = Trust()
_VERSION = "v1:"


@dataclass(frozen=True, slots=True)
class EmbeddingFunctionConfig:
    """One function with the columns it reads and fills."""

    vector_column: str
    source_column: str
    function: EmbeddingFunction


@dataclass(frozen=True, slots=True)
class Binding(Record):
    """One binding. Reading it needs no provider; asking for the function does."""

    def function(self, trust: Trust = _NOTHING, signature: str | None = None) -> EmbeddingFunction:
        """Return the function, the same object for the same settings within a process.

        Args:
            trust: What the table may ask for.
            signature: The table's, see :func:`embow.embeddings.is_signed`. A function this
                process made itself needs neither.

        Raises:
            PluginError: The provider is missing or unusable; the message says what to do.
            UntrustedError: The settings ask for more than is allowed; the message says how to.
            ConfigurationError: The settings do not fit the installed provider, or functions of
                several keys were made with them in this process.
        """
        cls = self._provider()
        asked = requests_of(cls, self.settings)
        own = not asked or FUNCTIONS.made_here(cls, self.settings)
        if not own and not is_signed([self], signature):
            trust.require(asked, self.name, self.vector_column)
        return FUNCTIONS.get(cls, self.settings, lambda new: new.remember_ndims(self.ndims))

    def requests(self) -> tuple[Request, ...]:
        """Return what the settings ask for that only this process may allow.

        Raises:
            PluginError: The provider is missing or unusable.
        """
        return requests_of(self._provider(), self.settings)

    def made_here(self) -> bool:
        """Tell whether this process made the function, other than from a table's metadata.

        Raises:
            PluginError: The provider is missing or unusable.
        """
        return FUNCTIONS.made_here(self._provider(), self.settings)

    def _provider(self) -> type[EmbeddingFunction]:
        try:
            return lookup.SHARED.find(self.name)
        except PluginError as exc:
            raise type(exc)(f"{self._origin()} {exc}{self._import_hint(exc)}") from exc

    def _origin(self) -> str:
        version = f" {self.version}" if self.version else ""
        origin = f" (distribution {self.distribution}{version})" if self.distribution else ""
        return f"Column {self.vector_column!r} is embedded by provider {self.name!r}{origin}."

    def _import_hint(self, error: PluginError) -> str:
        if not isinstance(error, ProviderNotFoundError):
            return ""
        if self.distribution:
            return f" The table was written with {self.distribution}: install it."
        if self.target:
            module, _, name = self.target.partition(":")
            return f" It was class {name} of module {module!r}: import that module first."
        return " Import the module that registers it first."


def read_bindings(
    source: pa.Schema | Mapping[Any, Any] | None,
) -> dict[str, Binding]:
    """Return the bindings of a schema, or of its metadata, by vector column.

    Of several records for one vector column the last counts, as in LanceDB.

    Raises:
        SchemaError: The metadata is damaged.
    """
    metadata = getattr(source, "metadata", source) or {}
    text = metadata.get(METADATA_KEY, metadata.get(METADATA_KEY.decode()))
    if not text:
        return {}
    try:
        records = json.loads(text)
    except (TypeError, ValueError, RecursionError) as exc:
        raise SchemaError(f"The table's embedding metadata is damaged: {exc}.") from exc
    if not isinstance(records, list):
        raise SchemaError("The table's embedding metadata is damaged: it is no list.")
    bindings = (Binding.from_record(record) for record in records)
    return {binding.vector_column: binding for binding in bindings}


def bindings_metadata(bindings: Iterable[Binding]) -> bytes:
    """Return the value to keep under :data:`METADATA_KEY`."""
    return json.dumps([binding.to_record() for binding in bindings]).encode()


def sign(
    bindings: Iterable[Binding],
    before: str | None = None,
    called: Callable[[Binding], Binding] | None = None,
) -> str | None:
    """Return the signature to keep in a table, for bindings this user stands behind.

    Those are the bindings whose function this process made, and those that ``before``, the
    table's signature until now, is good for. Others get none, however they were allowed, so that
    changing a stranger's table never turns it into one's own.

    Args:
        bindings: As they were until now.
        before: The table's signature until now.
        called: Returns a binding with the names its columns have from now on.

    Returns:
        ``"v1:"`` and a code for each; ``None`` where no binding asks for anything, none may be
        signed, or this user's key cannot be kept.
    """
    codes = []
    for binding in bindings:
        content = _signed_content(binding if called is None else called(binding))
        if content is not None and (binding.made_here() or is_signed([binding], before)):
            code = signing.code(content, create=True)
            codes += [code] if code is not None else []
    return _VERSION + ",".join(codes) if codes else None


def is_signed(bindings: Iterable[Binding], signature: str | None) -> bool:
    """Tell whether a signature is good for every one of the bindings that asks for anything."""
    contents = [_signed_content(binding) for binding in bindings]
    asked = [content for content in contents if content is not None]
    if not asked:
        return True
    if not isinstance(signature, str) or not signature.startswith(_VERSION):
        return False
    codes = signature.removeprefix(_VERSION).split(",")
    return all(signing.is_one_of(content, codes) for content in asked)


def _signed_content(binding: Binding) -> bytes | None:
    """Return what a signature covers of a binding, ``None`` where there is nothing to sign."""
    try:
        requests = binding.requests()
    except PluginError:  # without its class nothing can be sent, read or run either
        return None
    if not requests:
        return None
    columns = (binding.source_column, binding.vector_column)
    asked = sorted((request.setting, request.value) for request in requests)
    return json.dumps([binding.name, binding.target, *columns, asked]).encode()
