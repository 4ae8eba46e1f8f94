"""The asynchronous face of a database: the same tables, with calls to await.

Every method is the synchronous one, run on threads of the database's own, so that limits, cache and
engine are shared and the event loop is never blocked. A cancelled call sends nothing more and
commits nothing.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Awaitable, Collection, Generator, Mapping, Sequence
from typing import Any, Literal, Never, Self, Unpack, overload

from embow._table.awaiting import Face, Threads, awaited, awaited_face, building, read
from embow._table.connect import connect
from embow._table.database import Database, Observer
from embow._table.reading.aio import (
    AsyncBatches,
    AsyncHybridSearch,
    AsyncQuery,
    AsyncTextSearch,
    AsyncVectorSearch,
    face_of,
)
from embow._table.settings import AddOptions
from embow._table.table import Table
from embow._table.versions import Tags
from embow._table.writing.changes import UpdateResult
from embow._table.writing.merge import MergeInsert
from embow.engines.contract import Durability
from embow.errors import ConfigurationError
from embow.expr import Condition, Expr
from embow.pipeline import AddReport
from embow.query import FullTextQuery


async def connect_async(
    uri: str | os.PathLike[str],
    *,
    trust: bool | Collection[str] = False,
    durability: Durability = "full",
    storage_options: dict[str, Any] | None = None,
    observers: Sequence[Observer] = (),
    **unknown: Never,
) -> AsyncDatabase:
    """Open a database without blocking the event loop. See :func:`embow.connect`."""
    work = functools.partial(
        connect,
        uri,
        trust=trust,
        durability=durability,
        storage_options=storage_options,
        observers=observers,
        **unknown,
    )
    return AsyncDatabase(await asyncio.to_thread(work))


class AsyncMerge(Face[MergeInsert]):
    """A :class:`~embow._table.writing.merge.MergeInsert` that is awaited."""

    when_matched_update_all = building(MergeInsert.when_matched_update_all)
    when_not_matched_insert_all = building(MergeInsert.when_not_matched_insert_all)
    when_not_matched_by_source_delete = building(MergeInsert.when_not_matched_by_source_delete)
    execute = awaited(MergeInsert.execute)


class AsyncTags(Face[Tags]):
    """The :class:`~embow._table.versions.Tags` of a table, awaited."""

    list = awaited(Tags.list)
    get_version = awaited(Tags.get_version)
    create = awaited(Tags.create)
    update = awaited(Tags.update)
    delete = awaited(Tags.delete)


class AsyncTable(Face[Table]):
    """A :class:`~embow._table.table.Table` whose calls are awaited.

    ``search`` and ``merge_insert`` return at once; what they return is awaited in the end. What is
    a property of a table and has to be read is a method here: ``await table.schema()``.
    """

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.sync.name

    @property
    def last_report(self) -> AddReport | None:
        """What the latest call that embedded did, in this object."""
        return self.sync.last_report

    @property
    def tags(self) -> AsyncTags:
        """Names of versions."""
        return AsyncTags(self.sync.tags, self.threads)

    schema = awaited(read(Table.schema))
    version = awaited(read(Table.version))
    primary_key = awaited(read(Table.primary_key))
    embedding_functions = awaited(read(Table.embedding_functions))

    add = awaited(Table.add)

    async def update(
        self,
        updates: Mapping[str, Any] | Condition | None = None,
        values: Mapping[str, Any] | None = None,
        *,
        where: Condition | None = None,
        values_sql: Mapping[str, Condition] | None = None,
        updates_sql: Mapping[str, Condition] | None = None,
        **options: Unpack[AddOptions],
    ) -> UpdateResult:
        """Change columns of the rows that satisfy a condition, and re-embed what changed.

        Takes the arguments of :meth:`embow.Table.update`, and those of LanceDB's asynchronous one.

        Args:
            updates: New values by column; or the condition.
            values: The same as ``updates``.
            where: Condition; all rows where it is ``None``.
            values_sql: New values as SQL expressions over the row, by column.
            updates_sql: The same as ``values_sql``.
            **options: As in :meth:`embow.Table.update`.
        """
        told = [each for each in (where, updates) if isinstance(each, (str, Expr))]
        new = [each for each in (values, updates) if isinstance(each, Mapping)]
        sql = [each for each in (values_sql, updates_sql) if each is not None]
        if len(told) > 1 or len(new) > 1 or len(sql) > 1:
            raise ConfigurationError("update was told the condition or the new values twice.")
        work = functools.partial(
            self.sync.update,
            told[0] if told else None,
            new[0] if new else None,
            values_sql=sql[0] if sql else None,
            **options,
        )
        return await self.threads.run(work)

    upsert = awaited(Table.upsert)
    delete = awaited(Table.delete)
    add_columns = awaited(Table.add_columns)
    alter_columns = awaited(Table.alter_columns)
    drop_columns = awaited(Table.drop_columns)
    set_primary_key = awaited(Table.set_primary_key)

    @functools.wraps(Table.merge_insert)
    def merge_insert(self, on: str | Sequence[str]) -> AsyncMerge:
        """Begin a merge."""
        return AsyncMerge(self.sync.merge_insert(on), self.threads)

    @overload
    def search(self, query: None = None, *, query_type: Literal["auto"] = "auto") -> AsyncQuery: ...

    @overload
    def search(
        self,
        query: FullTextQuery,
        *,
        query_type: Literal["auto", "fts"] = "auto",
        fts_columns: str | Sequence[str] | None = None,
    ) -> AsyncTextSearch: ...

    @overload
    def search(
        self,
        query: str,
        *,
        query_type: Literal["fts"],
        fts_columns: str | Sequence[str] | None = None,
    ) -> AsyncTextSearch: ...

    @overload
    def search(
        self,
        query: str | None = None,
        vector_column_name: str | None = None,
        *,
        query_type: Literal["hybrid"],
        fts_columns: str | Sequence[str] | None = None,
    ) -> AsyncHybridSearch: ...

    @overload
    def search(
        self,
        query: Any,
        vector_column_name: str | None = None,
        query_type: Literal["auto", "vector"] = "auto",
    ) -> AsyncVectorSearch: ...

    @functools.wraps(Table.search)
    def search(self, *args: Any, **options: Any) -> AsyncQuery:
        """Return a query."""
        return face_of(self.sync.search(*args, **options), self.threads)

    get = awaited(Table.get)
    count_rows = awaited(Table.count_rows)
    head = awaited(Table.head)
    to_arrow = awaited(Table.to_arrow)
    to_batches = awaited_face(AsyncBatches, Table.to_batches)
    to_list = awaited(Table.to_list)
    to_pandas = awaited(Table.to_pandas)
    to_polars = awaited(Table.to_polars)
    to_pydantic = awaited(Table.to_pydantic)

    list_versions = awaited(Table.list_versions)
    checkout = awaited(Table.checkout)
    checkout_latest = awaited(Table.checkout_latest)
    restore = awaited(Table.restore)

    verify = awaited(Table.verify)
    check = awaited(Table.check)
    repair = awaited(Table.repair)
    add_embedding = awaited(Table.add_embedding)
    migrate = awaited(Table.migrate)
    rollback = awaited(Table.rollback)
    rebind = awaited(Table.rebind)
    failed_rows = awaited(Table.failed_rows)
    retry_failed = awaited(Table.retry_failed)
    discard_failed = awaited(Table.discard_failed)
    configure = awaited(Table.configure)
    optimize = awaited(Table.optimize)

    create_index = awaited(Table.create_index)
    list_indices = awaited(Table.list_indices)
    index_stats = awaited(Table.index_stats)
    drop_index = awaited(Table.drop_index)


class _Done:
    """What may be awaited and is over."""

    def __await__(self) -> Generator[Any, None, None]:
        yield from ()


class AsyncDatabase(Face[Database]):
    """A :class:`~embow._table.database.Database` whose calls are awaited.

    Attributes:
        sync: The database itself.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database, Threads())

    @property
    def uri(self) -> str:
        """Where the database is."""
        return self.sync.uri

    table_names = awaited(Database.table_names)
    create_table = awaited_face(AsyncTable, Database.create_table)
    open_table = awaited_face(AsyncTable, Database.open_table)
    drop_table = awaited(Database.drop_table)
    drop_all_tables = awaited(Database.drop_all_tables)
    rename_table = awaited(Database.rename_table)
    reset_limits = awaited(Database.reset_limits)

    def close(self) -> Awaitable[None]:
        """Release files, whether this is awaited or not, once the calls that run have ended.

        ``async with`` does the same without holding up the event loop meanwhile.
        """
        self.threads.close()
        self.sync.close()
        return _Done()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
