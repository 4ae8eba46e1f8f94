"""A folder, or a prefix of an object store, with a Lance dataset for each table."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import lance
import pyarrow as pa
from lance.file import LanceFileSession

from embow.engines.contract import Engine, EngineOptions, EngineTable, check_table_name
from embow.errors import (
    ConfigurationError,
    TableExistsError,
    TableNotFoundError,
    near_name,
)
from embow.variables import has_reference, resolve
from embow_lance.failures import storing
from embow_lance.fields import Shape
from embow_lance.incoming import Source, fit
from embow_lance.store import SUFFIX, Store, capabilities_at
from embow_lance.table import LanceTable
from embow_lance.types import why_not

_SECRET = re.compile(r"secret|token|password|key|credential|sas", re.IGNORECASE)
_PUBLIC = re.compile(r"key_id$", re.IGNORECASE)


class LanceEngine(Engine):
    """A folder (``lance:///path``), or a prefix of an object store (``s3://``, ``gs://``, ``az://``).

    Each table is a dataset ``<name>.lance``, as LanceDB lays them out.

    Args:
        uri: Address of the folder or prefix. A folder is made when missing.
        options: ``storage_options`` go to Lance; values may be ``$var:NAME``.

    Raises:
        ConfigurationError: The address is not absolute.
        StorageError: The folder cannot be made.
    """

    def __init__(self, uri: str, options: EngineOptions) -> None:
        self._uri = uri
        self._given = dict(options.storage_options)
        self._options = {key: str(value) for key, value in resolve(self._given).items()}
        self._folder = _folder(uri)
        self.capabilities = capabilities_at(self._folder)
        self._root = uri.rstrip("/") if self._folder is None else str(self._folder)
        if self._folder is not None:
            with storing(f"open {self._folder}"):
                self._folder.mkdir(parents=True, exist_ok=True)
        self._session = lance.Session()
        self._stores: dict[str, Store] = {}

    def table_names(self) -> list[str]:
        """Return all table names, sorted."""
        with storing(f"list the tables of {self._root}"):
            files = LanceFileSession(self._root, storage_options=self._options)
            folders = [each.strip("/") for each in files.list_with_delimiter().common_prefixes]
            return sorted(
                folder.removesuffix(SUFFIX)
                for folder in folders
                if folder.endswith(SUFFIX)
                # What is being created, or was left behind, has files but no version.
                and files.list_with_delimiter(f"{folder}/_versions").objects
            )

    def _create_table(
        self,
        name: str,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        metadata: Mapping[str, str],
    ) -> EngineTable:
        store = self._store(name)
        if self._exists(store):
            raise _taken(name)
        own = Shape({}, {}, {}).noted(table=uuid.uuid4().hex, shaped=1).metadata
        source = Source(batches, schema.with_metadata({**metadata, **own}), fit)
        try:
            with source.readers() as readers, storing(f"create table '{name}'"):
                made = lance.write_dataset(
                    next(readers),
                    store.uri,
                    mode="create",
                    storage_options=dict(store.options),
                    enable_stable_row_ids=True,
                    transaction_properties={"embow.operation": "create"},
                )
        except BaseException as exc:
            self._clear(store)
            if "Dataset already exists" in str(exc):
                raise _taken(name) from exc
            raise
        store.sync(
            f"data/{each.path}" for part in made.get_fragments() for each in part.data_files()
        )
        store.sync_version(made.version)
        return LanceTable(store)

    def _clear(self, store: Store) -> None:
        """Remove the empty folders that a failed creation left."""
        if store.folder is not None:
            with suppress(OSError):  # Not empty: another process creates a table of that name.
                for folder in (store.folder / "data", store.folder):
                    folder.rmdir()

    def _exists(self, store: Store) -> bool:
        try:
            store.latest()
        except TableNotFoundError:
            return False
        return True

    def open_table(self, name: str) -> EngineTable:
        """Open a table."""
        try:
            return LanceTable(self._store(name))
        except TableNotFoundError as exc:
            raise self._not_found(name) from exc

    def drop_table(self, name: str) -> None:
        """Remove a table and its data, all versions included."""
        store = self._store(name)
        if not self._exists(store):
            raise self._not_found(name)
        with storing(f"drop table '{name}'"):
            lance.LanceDataset.drop(store.uri, storage_options=dict(store.options))

    def supports(self, field: pa.Field) -> str | None:
        """Return why a column cannot be stored."""
        return why_not(field)

    @property
    def folder(self) -> Path | None:
        """Local folder of the database."""
        return self._folder

    def spec(self) -> tuple[str, Mapping[str, Any]]:
        """Return address and storage options.

        Raises:
            ConfigurationError: A secret was given as it is, not as ``$var:NAME``.
        """
        for key, value in self._given.items():
            if _SECRET.search(key) and not _PUBLIC.search(key) and not has_reference(value):
                raise ConfigurationError(
                    f"Storage option '{key}' holds a secret, which must not travel to another "
                    f"process. Give it as '$var:NAME', or leave it to the environment."
                )
        return self._uri, self._given

    def close(self) -> None:
        """Let go of Lance's caches."""
        self._stores.clear()
        self._session = lance.Session()

    def _store(self, name: str) -> Store:
        check_table_name(name)
        folder = None if self._folder is None else self._folder / f"{name}{SUFFIX}"
        uri = f"{self._root}/{name}{SUFFIX}"
        return self._stores.setdefault(name, Store(name, uri, folder, self._options, self._session))

    def _not_found(self, name: str) -> TableNotFoundError:
        names = self.table_names()
        return TableNotFoundError(
            f"There is no table '{name}' in {self._root}.{near_name(name, names)} "
            f"Tables: {', '.join(names) or 'none'}."
        )


def _taken(name: str) -> TableExistsError:
    return TableExistsError(f"There is a table '{name}' already.")


def _folder(uri: str) -> Path | None:
    parts = urlsplit(uri)
    if parts.scheme != "lance":
        return None
    if parts.netloc or not parts.path.startswith("/"):
        raise ConfigurationError(
            f"{uri!r} is no address of a folder: lance:/// and its absolute path."
        )
    return Path(unquote(parts.path))
