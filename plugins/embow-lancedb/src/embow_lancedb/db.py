"""Databases, synchronous and asynchronous."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self

import embow
from embow_lancedb._arguments import (
    create_arguments,
    deprecated,
    no_namespace,
    no_values,
    open_version,
    refused,
)
from embow_lancedb.common import URI
from embow_lancedb.table import AsyncTable, LanceTable

_NAMESPACES = "a database has no namespaces; use one folder for each, connect('./mydb/name')."
_PLACES = "says where a table lies, which its database does: connect('./mydb')."
_SERVICE = "is LanceDB's service's, which embow is not. Use tables of a folder, connect('./mydb')."


@dataclass(frozen=True, slots=True)
class Session:
    """Sizes of LanceDB's caches. Taken and not used: tables are memory-mapped."""

    index_cache_size_bytes: int | None = None
    metadata_cache_size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ListTablesResponse:
    """Names of tables.

    Attributes:
        tables: The names, sorted.
        page_token: What to go on with; ``None`` after the last.
    """

    tables: list[str]
    page_token: str | None = None
    context: dict[str, str] | None = field(default=None)


class _NotHere:
    """Calls of LanceDB's databases that have no counterpart."""

    create_namespace = refused("create_namespace", _NAMESPACES)
    describe_namespace = refused("describe_namespace", _NAMESPACES)
    drop_namespace = refused("drop_namespace", _NAMESPACES)
    namespace_client = refused("namespace_client", _NAMESPACES)
    clone_table = refused(
        "clone_table", "copy the rows: create_table(name, db.open_table(source).to_arrow())."
    )
    execute_query = refused("execute_query", "SQL over tables goes through DuckDB: to_arrow().")
    create_view = refused("create_view", f"a view {_SERVICE}")
    create_materialized_view = refused("create_materialized_view", f"a view {_SERVICE}")
    create_function = refused("create_function", f"a stored function {_SERVICE}")
    create_secret = refused("create_secret", f"a stored secret {_SERVICE}")
    list_jobs = refused("list_jobs", f"a job {_SERVICE}")
    open_job = refused("open_job", f"a job {_SERVICE}")


class DBConnection(_NotHere):
    """A database. What ``isinstance`` checks and annotations name.

    Attributes:
        core: embow's database.
    """

    core: embow.Database
    read_consistency_interval: timedelta | None = None
    session: Session | None = None

    @property
    def uri(self) -> str:
        """Where the database is."""
        return self.core.uri

    def __iter__(self) -> Iterator[str]:
        return iter(self.core)

    def __len__(self) -> int:
        return len(self.core)

    def __contains__(self, name: object) -> bool:
        return name in self.core

    def __getitem__(self, name: str) -> LanceTable:
        return self.open_table(name)

    def table_names(
        self,
        page_token: str | None = None,
        limit: int | None = None,
        *,
        namespace_path: Sequence[str] | None = None,
    ) -> list[str]:
        """Return the names of the tables, sorted, all of them. Deprecated in LanceDB."""
        deprecated("table_names()", "use list_tables()")
        no_namespace(namespace_path)
        return self.core.table_names(page_token, limit)

    def list_tables(
        self,
        namespace_path: Sequence[str] | None = None,
        page_token: str | None = None,
        limit: int | None = None,
    ) -> ListTablesResponse:
        """Return the names of the tables, ``.tables``, and where to go on, ``.page_token``."""
        no_namespace(namespace_path)
        return _page(self.core.table_names(page_token), limit)

    def create_table(
        self,
        name: str,
        data: Any = None,
        schema: Any = None,
        mode: str = "create",
        exist_ok: bool = False,
        on_bad_vectors: str = "error",
        fill_value: float = 0.0,
        embedding_functions: Sequence[Any] | None = None,
        *,
        namespace_path: Sequence[str] | None = None,
        storage_options: Mapping[str, str] | None = None,
        data_storage_version: str | None = None,
        enable_v2_manifest_paths: bool | None = None,
    ) -> LanceTable:
        """Create a table, with its first rows where ``data`` is given, in one commit."""
        given = create_arguments(
            data=data,
            schema=schema,
            mode=mode,
            exist_ok=exist_ok,
            on_bad_vectors=on_bad_vectors,
            fill_value=fill_value,
            embedding_functions=embedding_functions,
            namespace_path=namespace_path,
        )
        return LanceTable(self, name, core=self.core.create_table(name, **given))

    def open_table(
        self,
        name: str,
        *,
        namespace_path: Sequence[str] | None = None,
        storage_options: Mapping[str, str] | None = None,
        index_cache_size: int | None = None,
        branch: str | None = None,
        version: int | str | None = None,
    ) -> LanceTable:
        """Open a table, at its latest version or the one that is named.

        Raises:
            TableNotFoundError: There is none; it is a ``ValueError`` and a ``FileNotFoundError``.
        """
        no_namespace(namespace_path)
        if index_cache_size is not None:
            deprecated("index_cache_size", "tables are memory-mapped and need none")
        core = self.core.open_table(name, open_version(branch, version))
        return LanceTable(self, name, core=core)

    def drop_table(
        self,
        name: str,
        namespace_path: Sequence[str] | None = None,
        ignore_missing: bool = False,
    ) -> None:
        """Remove a table with its rows."""
        no_namespace(namespace_path)
        self.core.drop_table(name, ignore_missing)

    def drop_all_tables(self, namespace_path: Sequence[str] | None = None) -> None:
        """Remove every table."""
        no_namespace(namespace_path)
        self.core.drop_all_tables()

    def drop_database(self) -> None:
        """Remove every table. Deprecated in LanceDB."""
        deprecated("drop_database", "use drop_all_tables()")
        self.core.drop_all_tables()

    def rename_table(
        self,
        cur_name: str,
        new_name: str,
        cur_namespace_path: Sequence[str] | None = None,
        new_namespace_path: Sequence[str] | None = None,
    ) -> None:
        """Give a table another name."""
        no_namespace(cur_namespace_path)
        no_namespace(new_namespace_path)
        self.core.rename_table(cur_name, new_name)

    def serialize(self) -> str:
        """Return what ``deserialize_conn`` opens, in this process or another."""
        return json.dumps({"uri": self.uri})

    def close(self) -> None:
        """Release files."""
        self.core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LanceDBConnection(DBConnection):
    """Tables under one folder or URI."""

    def __init__(
        self,
        uri: URI,
        *,
        read_consistency_interval: timedelta | None = None,
        storage_options: dict[str, Any] | None = None,
        session: Session | None = None,
        trust: bool | Collection[str] = False,
        **settings: Any,
    ) -> None:
        self.core = embow.connect(uri, trust=trust, storage_options=storage_options)
        self.read_consistency_interval = read_consistency_interval
        self.session = session

    def __repr__(self) -> str:
        return f"LanceDBConnection(uri={self.uri!r})"


class AsyncConnection(_NotHere):
    """Tables under one folder or URI, with calls to await.

    Attributes:
        core: embow's asynchronous database.
    """

    def __init__(
        self, connection: embow.AsyncDatabase, read_consistency_interval: timedelta | None = None
    ) -> None:
        self.core = connection
        self._interval = read_consistency_interval
        self._is_open = True

    def __repr__(self) -> str:
        return f"AsyncConnection(uri={self.uri!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_open = False
        await self.core.close()

    @property
    def uri(self) -> str:
        """Where the database is."""
        return self.core.uri

    async def get_read_consistency_interval(self) -> timedelta | None:
        """Return what ``connect_async`` was told; every call reads the latest version."""
        return self._interval

    def is_open(self) -> bool:
        """Whether ``close`` was not called."""
        return self._is_open

    def close(self) -> None:
        """Release files."""
        self._is_open = False
        self.core.close()

    async def table_names(
        self,
        *,
        namespace_path: Sequence[str] | None = None,
        start_after: str | None = None,
        limit: int | None = None,
    ) -> list[str]:
        """Return the names of the tables, sorted. Deprecated in LanceDB."""
        deprecated("table_names()", "use list_tables()")
        no_namespace(namespace_path)
        return await self.core.table_names(start_after, limit)

    async def list_tables(
        self,
        namespace_path: Sequence[str] | None = None,
        page_token: str | None = None,
        limit: int | None = None,
    ) -> ListTablesResponse:
        """Return the names of the tables, ``.tables``, and where to go on, ``.page_token``."""
        no_namespace(namespace_path)
        return _page(await self.core.table_names(page_token), limit)

    async def create_table(
        self,
        name: str,
        data: Any = None,
        schema: Any = None,
        mode: str | None = None,
        exist_ok: bool | None = None,
        on_bad_vectors: str | None = None,
        fill_value: float | None = None,
        storage_options: Mapping[str, str] | None = None,
        *,
        namespace_path: Sequence[str] | None = None,
        embedding_functions: Sequence[Any] | None = None,
        location: str | None = None,
        namespace_client: Any = None,
    ) -> AsyncTable:
        """Create a table, with its first rows where ``data`` is given, in one commit."""
        no_values("create_table", _PLACES, location=location, namespace_client=namespace_client)
        given = create_arguments(
            data=data,
            schema=schema,
            mode=mode,
            exist_ok=exist_ok,
            on_bad_vectors=on_bad_vectors,
            fill_value=fill_value,
            embedding_functions=embedding_functions,
            namespace_path=namespace_path,
        )
        return AsyncTable(await self.core.create_table(name, **given))

    async def open_table(
        self,
        name: str,
        *,
        namespace_path: Sequence[str] | None = None,
        storage_options: Mapping[str, str] | None = None,
        index_cache_size: int | None = None,
        location: str | None = None,
        namespace_client: Any = None,
        managed_versioning: bool | None = None,
        branch: str | None = None,
        version: int | str | None = None,
    ) -> AsyncTable:
        """Open a table, at its latest version or the one that is named."""
        no_values("open_table", _PLACES, location=location, namespace_client=namespace_client)
        no_namespace(namespace_path)
        return AsyncTable(await self.core.open_table(name, open_version(branch, version)))

    async def drop_table(
        self,
        name: str,
        *,
        namespace_path: Sequence[str] | None = None,
        ignore_missing: bool = False,
    ) -> None:
        """Remove a table with its rows."""
        no_namespace(namespace_path)
        await self.core.drop_table(name, ignore_missing)

    async def drop_all_tables(self, namespace_path: Sequence[str] | None = None) -> None:
        """Remove every table."""
        no_namespace(namespace_path)
        await self.core.drop_all_tables()

    async def drop_database(self) -> None:
        """Remove every table. Deprecated in LanceDB."""
        deprecated("drop_database", "use drop_all_tables()")
        await self.core.drop_all_tables()

    async def rename_table(
        self,
        cur_name: str,
        new_name: str,
        cur_namespace_path: Sequence[str] | None = None,
        new_namespace_path: Sequence[str] | None = None,
    ) -> None:
        """Give a table another name."""
        no_namespace(cur_namespace_path)
        no_namespace(new_namespace_path)
        await self.core.rename_table(cur_name, new_name)


def _page(names: list[str], limit: int | None) -> ListTablesResponse:
    if limit is None or len(names) <= limit:
        return ListTablesResponse(names)
    return ListTablesResponse(names[:limit], names[limit - 1] if limit else None)


__all__ = [
    "URI",
    "AsyncConnection",
    "DBConnection",
    "LanceDBConnection",
    "ListTablesResponse",
    "Session",
]
