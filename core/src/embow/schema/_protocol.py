"""What a schema needs to know of an embedding function, so that it need not import one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

METADATA_KEY = b"embedding_functions"
"""Key in the Arrow schema metadata; LanceDB's own, and its records can be read here."""


@runtime_checkable
class ColumnFunction(Protocol):
    """Anything that can fill a vector column from a source column."""

    def ndims(self) -> int:
        """Return the length of the vectors."""
        ...

    def to_binding(self, source_column: str, vector_column: str) -> dict[str, Any]:
        """Return the JSON record kept in the Arrow schema metadata. Holds no secret."""
        ...


@dataclass(frozen=True, slots=True)
class SourceMarker:
    """Says that a field is embedded by ``function``."""

    function: ColumnFunction


@dataclass(frozen=True, slots=True)
class VectorMarker:
    """Says that a field holds vectors made by ``function``, from ``source`` where given."""

    function: ColumnFunction
    source: str | None = None
