"""A database in memory: its tables by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from embow.engines._forks import Guard
from embow.engines._memory.snapshot import CAPABILITIES
from embow.engines._memory.table import MemoryTable
from embow.engines.contract import Engine, EngineOptions, EngineTable
from embow.errors import (
    ConfigurationError,
    TableExistsError,
    TableNotFoundError,
    UnsupportedOperationError,
    near_name,
)


class MemoryEngine(Engine):
    """A database in memory, gone when it is closed. Each connection has one of its own."""

    capabilities = CAPABILITIES

    def __init__(self, uri: str, options: EngineOptions) -> None:
        if uri != "memory://":
            raise ConfigurationError(
                f"{uri!r} is no database: one in memory has no name. Use 'memory://'."
            )
        self._tables: dict[str, MemoryTable] = {}
        self._libraries = options.libraries
        self._lock = Guard()

    def table_names(self) -> list[str]:
        with self._lock:
            return sorted(self._tables)

    def _create_table(
        self,
        name: str,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        metadata: Mapping[str, str],
    ) -> EngineTable:
        self._require_free(name)
        table = MemoryTable(name, schema, batches, metadata, self._libraries)
        with self._lock:
            self._require_free(name)
            self._tables[name] = table
        return table

    def open_table(self, name: str) -> EngineTable:
        return self._table(name)

    def drop_table(self, name: str) -> None:
        with self._lock:
            self._table(name).dropped = True
            del self._tables[name]

    def _rename_table(self, name: str, new_name: str) -> None:
        with self._lock:
            table = self._table(name)
            self._require_free(new_name)
            self._tables[new_name] = self._tables.pop(name)
            table.name = new_name

    def spec(self) -> tuple[str, Mapping[str, Any]]:
        """Refuse: memory is not shared with another process."""
        raise UnsupportedOperationError(
            "A database in memory cannot be opened in another process. One in a folder can: "
            "embow.connect('./mydb')."
        )

    def _table(self, name: str) -> MemoryTable:
        with self._lock:
            if name not in self._tables:
                raise TableNotFoundError(
                    f"There is no table '{name}'.{near_name(name, self._tables)} "
                    f"Tables: {', '.join(self.table_names()) or 'none'}."
                )
            return self._tables[name]

    def _require_free(self, name: str) -> None:
        if name in self._tables:
            raise TableExistsError(f"There is a table '{name}' already.")
