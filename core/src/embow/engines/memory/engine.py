"""A database in memory: its tables by name."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from embow.engines.contract import (
    Base,
    Engine,
    EngineOptions,
    EngineTable,
    Staged,
)
from embow.engines.memory.store import (
    CAPABILITIES,
    State,
    Store,
    no_rows,
    pack,
)
from embow.engines.memory.table import MemoryTable
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
        self._stores: dict[str, Store] = {}
        self._lock = threading.RLock()

    def table_names(self) -> list[str]:
        """Return all table names, sorted."""
        with self._lock:
            return sorted(self._stores)

    def _create_table(
        self,
        name: str,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        metadata: Mapping[str, str],
    ) -> EngineTable:
        self._require_free(name)
        schema = schema.remove_metadata()
        born = dict.fromkeys(schema.names, 1)
        store, now = Store(name), datetime.now(UTC)
        empty = no_rows(schema)
        state = State(1, now, "create", schema, dict(metadata), empty, born, 1, 1)
        payload, count = pack(batches, schema)
        staged = Staged("", Base(store.identity, 1), count, now, payload)
        store.publish(replace(state, rows=store.appended(empty, state, [staged])))
        with self._lock:
            self._require_free(name)
            self._stores[name] = store
        return MemoryTable(store)

    def open_table(self, name: str) -> EngineTable:
        """Open a table."""
        return MemoryTable(self._store(name))

    def drop_table(self, name: str) -> None:
        """Remove a table."""
        with self._lock:
            store = self._store(name)
            with store.lock:
                store.dropped = True
            del self._stores[name]

    def _rename_table(self, name: str, new_name: str) -> None:
        with self._lock:
            store = self._store(name)
            self._require_free(new_name)
            self._stores[new_name] = self._stores.pop(name)
            store.name = new_name

    def spec(self) -> tuple[str, Mapping[str, Any]]:
        """Refuse: memory is not shared with another process."""
        raise UnsupportedOperationError(
            "A database in memory cannot be opened in another process. One in a folder can: "
            "embow.connect('./mydb')."
        )

    def _store(self, name: str) -> Store:
        with self._lock:
            if name not in self._stores:
                raise TableNotFoundError(
                    f"There is no table '{name}'.{near_name(name, self._stores)} "
                    f"Tables: {', '.join(self.table_names()) or 'none'}."
                )
            return self._stores[name]

    def _require_free(self, name: str) -> None:
        if name in self._stores:
            raise TableExistsError(f"There is a table '{name}' already.")
