"""One open database of an engine: its tables by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa

from embow.engines.contract._queries import check_schema, check_table_name
from embow.engines.contract._records import Capability, require
from embow.engines.contract._table import EngineTable
from embow.engines.indexes import Libraries, no_libraries
from embow.errors import ConfigurationError

Durability = Literal["full", "os"]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What an engine is handed when a database is opened.

    Attributes:
        storage_options: Its settings.
        libraries: Finds what builds a kind of index.
        durability: What a commit waits for: ``"full"`` until it outlives a loss of power, ``"os"``
            until it outlives the process. An engine that knows no difference waits for both.
    """

    storage_options: Mapping[str, Any] = field(default_factory=dict)
    libraries: Libraries = no_libraries
    durability: Durability = "full"

    def __post_init__(self) -> None:
        if self.durability not in get_args(Durability):
            raise ConfigurationError(
                f"durability={self.durability!r:.60} is not known. Use 'full', where what was "
                "written outlives a loss of power, or 'os', where it outlives the process."
            )


class Engine(ABC):
    """One open database.

    Args:
        uri: As given to ``embow.connect``.
        options: Engine settings.

    Attributes:
        capabilities: What it has; may depend on the address. A table or a snapshot may have less.
    """

    capabilities: frozenset[Capability] = frozenset()

    @abstractmethod
    def __init__(self, uri: str, options: EngineOptions) -> None: ...

    @abstractmethod
    def table_names(self) -> list[str]:
        """Return all table names, sorted."""

    @abstractmethod
    def _create_table(
        self,
        name: str,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        metadata: Mapping[str, str],
    ) -> EngineTable:
        """Create a table; the schema has been checked."""

    def create_table(
        self,
        name: str,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch] = (),
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> EngineTable:
        """Create a table with its first rows, as version 1. If a batch fails there is no table.

        Raises:
            ConfigurationError: The name is no table name.
            TableExistsError: The name is taken.
            SchemaError: A name is repeated, reserved or not a physical one, there is no column, or
                the store cannot hold one.
        """
        check_table_name(name)
        check_schema(schema, self.supports)
        return self._create_table(name, schema, batches, metadata or {})

    @abstractmethod
    def open_table(self, name: str) -> EngineTable:
        """Open a table.

        Raises:
            TableNotFoundError: There is none of that name.
        """

    @abstractmethod
    def drop_table(self, name: str) -> None:
        """Remove a table and its data, all versions included.

        Raises:
            TableNotFoundError: There is none of that name.
        """

    def _rename_table(self, name: str, new_name: str) -> None:
        raise NotImplementedError

    def rename_table(self, name: str, new_name: str) -> None:
        """Give a table another name.

        Raises:
            ConfigurationError: The new name is no table name.
            TableNotFoundError: There is none of that name.
            TableExistsError: The new name is taken.
        """
        check_table_name(new_name)
        require(self.capabilities, Capability.RENAME_TABLE)
        self._rename_table(name, new_name)

    def supports(self, field: pa.Field) -> str | None:
        """Return why a column cannot be stored, as a sentence, or ``None`` where it can."""
        return None

    @property
    def folder(self) -> Path | None:
        """Local folder of the database, where the cache may lie; ``None`` where there is none."""
        return None

    def spec(self) -> tuple[str, Mapping[str, Any]]:
        """Return address and storage options, to open the database in another process.

        Can be pickled and holds no secret: references such as ``$var:NAME`` stay references.

        Raises:
            ConfigurationError: An option holds a secret in clear.
        """
        raise NotImplementedError

    def close(self) -> None:  # noqa: B027 - an engine may have nothing to release
        """Release files. Tables of a closed engine must not be used."""
