"""Asynchronous twins of the calls of a table, for programs with an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from embow.pipeline import AddReport
    from embow.table.changes import DeleteResult, UpdateResult
    from embow.table.database import Database


class _Blocking(Protocol):
    """What the twins need of a table."""

    _database: Database

    def add(self, data: Any, *args: Any, **options: Any) -> AddReport: ...
    def update(self, *args: Any, **options: Any) -> UpdateResult: ...
    def delete(self, where: str) -> DeleteResult: ...
    def count_rows(self, filter: str | None = None) -> int: ...


class AsyncTwins:
    """Each method awaits the one without ``a`` on the database's own threads."""

    async def aadd(self: _Blocking, data: Any, *args: Any, **options: Any) -> AddReport:
        """Add rows without blocking the event loop; see ``Table.add``."""
        return await self._database._in_thread(self.add, data, *args, **options)

    async def aupdate(self: _Blocking, *args: Any, **options: Any) -> UpdateResult:
        """Change rows without blocking the event loop; see ``Table.update``."""
        return await self._database._in_thread(self.update, *args, **options)

    async def adelete(self: _Blocking, where: str) -> DeleteResult:
        """Remove rows without blocking the event loop; see ``Table.delete``."""
        return await self._database._in_thread(self.delete, where)

    async def acount_rows(self: _Blocking, filter: str | None = None) -> int:
        """Count rows without blocking the event loop; see ``Table.count_rows``."""
        return await self._database._in_thread(self.count_rows, filter)
