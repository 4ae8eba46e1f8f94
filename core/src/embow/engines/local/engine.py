"""The embedded engine: a folder with a catalog and data files."""

from __future__ import annotations

import difflib
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from embow.engines.base import Capability, Engine, EngineOptions, EngineTable
from embow.engines.local.catalog import Catalog
from embow.engines.local.failures import storing
from embow.engines.local.files import NewFiles, sync_folder
from embow.engines.local.layout import Layout
from embow.engines.local.records import (
    TableRow,
    delete_table,
    insert_table,
    table_named,
    update_table,
)
from embow.engines.local.sizes import sizes_from
from embow.engines.local.staging import add_rows, stage
from embow.engines.local.store import Store
from embow.engines.local.table import LocalTable
from embow.errors import TableExistsError, TableNotFoundError

if TYPE_CHECKING:
    import pyarrow as pa


class LocalEngine(Engine):
    """A database in a local folder, made when missing. Safe for several threads and processes.

    Args:
        uri: Folder; ``~`` stands for the home folder.
        options: ``storage_options`` may set the sizes of `embow.engines.local.sizes.Sizes`.

    Raises:
        StorageError: The folder cannot be made, read or written, or holds another program's files.
    """

    capabilities = (
        Capability.SEARCH
        | Capability.REPLACE
        | Capability.SCHEMA_EVOLUTION
        | Capability.RENAME_TABLE
    )

    def __init__(self, uri: str, options: EngineOptions) -> None:
        self._sizes = sizes_from(options.storage_options)
        self._root = Path(uri).expanduser().absolute()
        self._data = self._root / "data"
        with storing(self._root, "open"):
            self._data.mkdir(parents=True, exist_ok=True)
            sync_folder(self._root)
        self._catalog = Catalog(self._root / "catalog.sqlite", self._sizes.busy_seconds)
        self._stores: dict[int, Store] = {}

    def table_names(self) -> list[str]:
        """Return all table names, sorted."""
        with self._catalog.read() as db:
            return [name for (name,) in db.execute("SELECT name FROM tables ORDER BY name")]

    def create_table(
        self, name: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch], *, overwrite: bool
    ) -> EngineTable:
        """Create a table and add its first rows in one commit."""
        existing = self._find(name)
        if existing is not None and overwrite:
            store = self._store(existing, name)
            store_table = LocalTable(store)
            store_table.overwrite(schema, batches)
            return store_table
        if existing is not None:
            raise _exists(name)
        layout = Layout.new(schema)
        folder = uuid.uuid4().hex
        with NewFiles(self._data / folder) as files:
            staged = stage(batches, layout, files, self._sizes)
            with self._catalog.write() as db:
                if table_named(db, name) is not None:
                    raise _exists(name)
                row = replace(insert_table(db, name, folder, layout), version=1)
                update_table(db, add_rows(db, row, staged, files, self._sizes))
                files.keep()
        return LocalTable(self._store(row, name))

    def open_table(self, name: str) -> EngineTable:
        """Open a table."""
        return LocalTable(self._store(self._need(name), name))

    def drop_table(self, name: str) -> None:
        """Remove a table and its data; readers keep what they have mapped."""
        store = self._store(self._need(name), name)
        with self._catalog.write() as db:
            unnamed = delete_table(db, store.current(db).id)
        store.remove(unnamed)
        with suppress(OSError):  # Another writer's file is still there: optimize() removes it.
            store.folder.rmdir()

    def rename_table(self, name: str, new_name: str) -> None:
        """Give a table another name."""
        row = self._need(name)
        with self._catalog.write() as db:
            if table_named(db, new_name) is not None:
                raise _exists(new_name)
            db.execute("UPDATE tables SET name = ? WHERE id = ?", (new_name, row.id))
        self._stores.pop(row.id, None)

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """Hold one transaction for the commits of this thread, each to another table.

        Other writers wait meanwhile, so have the rows ready before.
        """
        try:
            with self._catalog.write():
                yield
        except BaseException:
            self._stores.clear()  # A table made here may be gone, and its number free again.
            raise

    def side_path(self, name: str) -> str | None:
        """Return a local path beside the catalog for a file such as the cache."""
        return str(self._root / name)

    def close(self) -> None:
        """Release the catalog and all mapped files."""
        self._stores.clear()
        self._catalog.close()

    def _find(self, name: str) -> TableRow | None:
        with self._catalog.read() as db:
            return table_named(db, name)

    def _need(self, name: str) -> TableRow:
        row = self._find(name)
        if row is None:
            names = self.table_names()
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"Did you mean '{close[0]}'? " if close else ""
            raise TableNotFoundError(
                f"There is no table '{name}' in {self._root}. {hint}"
                f"Tables: {', '.join(names) or 'none'}."
            )
        return row

    def _store(self, row: TableRow, name: str) -> Store:
        fresh = Store(self._catalog, self._data, row, name, self._sizes)
        return self._stores.setdefault(row.id, fresh)


def _exists(name: str) -> TableExistsError:
    return TableExistsError(
        f"Table '{name}' is already there. Open it with open_table('{name}'), "
        "or replace it with mode='overwrite'."
    )
