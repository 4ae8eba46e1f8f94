"""The asynchronous face of a database: the same tables, with calls to await.

Every call runs on the database's own threads, so limits, cache and engine are shared with the
synchronous face, and the event loop is never blocked.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, Self

from embow.pipeline import AddReport
from embow.table.connect import connect
from embow.table.database import Database
from embow.table.table import Table


async def connect_async(uri: str | os.PathLike[str], **options: Any) -> AsyncDatabase:
    """Open a database without blocking the event loop. See :func:`embow.connect`."""
    return AsyncDatabase(await asyncio.to_thread(connect, uri, **options))


class AsyncDatabase:
    """A :class:`~embow.table.database.Database` whose calls are awaited.

    Attributes:
        sync: The database itself.
    """

    def __init__(self, database: Database) -> None:
        self.sync = database

    async def table_names(
        self, page_token: str | None = None, limit: int | None = None
    ) -> list[str]:
        """Return the names of the tables, sorted."""
        return await self.sync._in_thread(self.sync.table_names, page_token, limit)

    async def create_table(self, name: str, data: Any = None, **options: Any) -> AsyncTable:
        """Create a table. See ``Database.create_table``."""
        return AsyncTable(await self.sync._in_thread(self.sync.create_table, name, data, **options))

    async def open_table(self, name: str, *, schema: Any = None) -> AsyncTable:
        """Open a table. See ``Database.open_table``."""
        return AsyncTable(await self.sync._in_thread(self.sync.open_table, name, schema=schema))

    async def drop_table(self, name: str, ignore_missing: bool = False) -> None:
        """Remove a table. See ``Database.drop_table``."""
        await self.sync._in_thread(self.sync.drop_table, name, ignore_missing)

    async def close(self) -> None:
        """Release files and threads."""
        await asyncio.to_thread(self.sync.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class AsyncTable:
    """A :class:`~embow.table.table.Table` whose calls are awaited.

    ``search`` returns a query at once; its ``ato_list``, ``ato_arrow``, ``ato_pandas``,
    ``ato_polars`` and ``ato_pydantic`` are awaited.

    Attributes:
        sync: The table itself.
    """

    def __init__(self, table: Table) -> None:
        self.sync = table

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.sync.name

    async def add(self, data: Any, *args: Any, **options: Any) -> AddReport:
        """Add rows. See ``Table.add``."""
        return await self.sync.aadd(data, *args, **options)

    async def update(self, *args: Any, **options: Any) -> Any:
        """Change rows. See ``Table.update``."""
        return await self.sync.aupdate(*args, **options)

    async def delete(self, where: str) -> Any:
        """Remove rows. See ``Table.delete``."""
        return await self.sync.adelete(where)

    async def count_rows(self, filter: str | None = None) -> int:
        """Count rows. See ``Table.count_rows``."""
        return await self.sync.acount_rows(filter)

    def search(self, *args: Any, **options: Any) -> Any:
        """Return a query. See ``Table.search``."""
        return self.sync.search(*args, **options)
