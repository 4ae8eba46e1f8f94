"""The embedded engine: a folder with a catalog and data files."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from embow.engines._local.begun import check_own, sync_folder
from embow.engines._local.catalog import Catalog
from embow.engines._local.failures import storing
from embow.engines._local.files import NewFiles
from embow.engines._local.indexrows import piece_names
from embow.engines._local.layout import Layout
from embow.engines._local.records import (
    TableRow,
    delete_table,
    insert_table,
    insert_version,
    table_named,
    table_row,
    table_rows,
    update_table,
)
from embow.engines._local.sealed import require_pages
from embow.engines._local.sizes import sizes_from
from embow.engines._local.staging import insert_rows, stage
from embow.engines._local.table import CAPABILITIES, LocalTable
from embow.engines.contract import Engine, EngineOptions, EngineTable
from embow.errors import ConfigurationError, TableExistsError, TableNotFoundError, near_name


class LocalEngine(Engine):
    """A database in a local folder, made when missing. Safe for several threads and processes.

    Args:
        uri: Folder, also as ``file:///folder``; ``~`` stands for the home folder.
        options: ``storage_options`` may set the sizes of `embow.engines._local.sizes.Sizes`.

    Raises:
        ConfigurationError: The address is empty or not of this machine.
        StorageError: The folder cannot be made, read or written, or holds another program's files.
    """

    capabilities = CAPABILITIES

    def __init__(self, uri: str, options: EngineOptions) -> None:
        self._uri = uri
        self._options = options.storage_options
        self._libraries = options.libraries
        self._sizes = sizes_from(options.storage_options)
        self._root = _path(uri)
        self._data = self._root / "data"
        catalog = self._root / "catalog.sqlite"
        with storing(self._root, "open"):
            for each in (self._data, catalog):
                check_own(each)
            self._data.mkdir(parents=True, exist_ok=True)
            sync_folder(self._root)
        self._catalog = Catalog(catalog, self._sizes.busy_seconds, options.durability)
        self._tables: dict[int, LocalTable] = {}

    def table_names(self) -> list[str]:
        with self._catalog.read() as db:
            return [row.name for row in table_rows(db)]

    def _create_table(
        self,
        name: str,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        metadata: Mapping[str, str],
    ) -> EngineTable:
        if self._find(name) is not None:
            raise _exists(name)
        layout = Layout.new(schema, metadata)
        folder = uuid.uuid4().hex
        self._catalog.require("write")  # Before rows are asked for, which may cost money.
        with NewFiles(self._catalog, self._data / folder) as files:
            rows = stage(batches, layout, files, self._sizes)
            with self._catalog.write() as db:
                if table_named(db, name) is not None:
                    raise _exists(name)
                empty = replace(insert_table(db, name, folder, layout), version=1)
                row = insert_rows(db, empty, rows, files, self._sizes)
                insert_version(db, row, "create")
                files.keep()
        return self._table(row)

    def open_table(self, name: str) -> EngineTable:
        return self._table(self._need(name))

    def drop_table(self, name: str) -> None:
        """Remove a table and its data; readers keep what they have mapped."""
        table = self._table(self._need(name))
        with self._catalog.write() as db:
            row = table.current(db)
            unnamed = piece_names(db, row) + delete_table(db, row.id)
        table.remove(unnamed)
        with suppress(OSError):  # Another writer's file is still there: optimize() removes it.
            table.folder.rmdir()

    def rename_table(self, name: str, new_name: str) -> None:
        row = self._need(name)
        with self._catalog.write() as db:
            if table_named(db, new_name) is not None:
                raise _exists(new_name)
            update_table(db, replace(table_row(db, row.id, name), name=new_name))
        self._table(row).name = new_name

    @property
    def folder(self) -> Path:
        return self._root

    def spec(self) -> tuple[str, Mapping[str, Any]]:
        return self._uri, self._options

    def close(self) -> None:
        """Release the catalog and all mapped files."""
        self._tables.clear()
        self._catalog.close()

    def _find(self, name: str) -> TableRow | None:
        with self._catalog.read() as db:
            return table_named(db, name)

    def _need(self, name: str) -> TableRow:
        row = self._find(name)
        if row is None:
            with self._catalog.read() as db:
                require_pages(db)
            names = self.table_names()
            raise TableNotFoundError(
                f"There is no table '{name}' in {self._root}.{near_name(name, names)} "
                f"Tables: {', '.join(names) or 'none'}."
            )
        return row

    def _table(self, row: TableRow) -> LocalTable:
        fresh = LocalTable(self._catalog, self._data, row, self._sizes, self._libraries)
        return self._tables.setdefault(row.id, fresh)


def _exists(name: str) -> TableExistsError:
    return TableExistsError(
        f"Table '{name}' is already there. Open it with open_table('{name}'), "
        "or replace it with mode='overwrite'."
    )


def _path(uri: str) -> Path:
    if not uri:
        raise ConfigurationError("The address is empty. Name a folder: embow.connect('./mydb').")
    path = _of_address(uri) if uri.lower().startswith("file:") else uri
    if "\0" in path or not _encodable(path):
        raise ConfigurationError(f"{uri!r} is no path: it holds a character no file name can have.")
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as exc:
        raise ConfigurationError(f"{uri!r} is in no known home folder. Write it out.") from exc


def _of_address(uri: str) -> str:
    parts = urlsplit(uri)
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost") or not path.startswith("/"):
        raise ConfigurationError(
            f"{uri!r} is no folder of this machine. Write file:///folder, or the folder itself."
        )
    return path


def _encodable(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True
