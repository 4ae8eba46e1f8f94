"""The asynchronous face of a database: the same tables, with calls to await.

Every method is the synchronous one, run on threads of the database's own, so that limits, cache and
engine are shared and the event loop is never blocked. A cancelled call sends nothing more and
commits nothing.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast

import pyarrow as pa

from embow._table.connect import connect
from embow._table.database import Database, Observer
from embow._table.reading.query import Query, VectorSearch
from embow._table.table import Table
from embow._table.versions import Tags
from embow._table.writing.merge import MergeInsert
from embow.pipeline import AddReport
from embow.pipeline._cancel import cancellable

P = ParamSpec("P")
F = TypeVar("F")
S = TypeVar("S")
T = TypeVar("T")
A = TypeVar("A", bound="_Face[Any]")
_THREADS = 32


async def connect_async(
    uri: str | os.PathLike[str],
    *,
    trust: bool | Collection[str] = False,
    storage_options: dict[str, Any] | None = None,
    observers: Sequence[Observer] = (),
) -> AsyncDatabase:
    """Open a database without blocking the event loop. See :func:`embow.connect`."""
    database = await asyncio.to_thread(
        connect, uri, trust=trust, storage_options=storage_options, observers=observers
    )
    return AsyncDatabase(database)


class _Threads:
    """The threads the calls of one database run on."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="embow")

    async def run(self, call: Callable[[], T]) -> T:
        """Await a blocking call; where that is cancelled, the call ends without committing."""
        given_up = threading.Event()
        context = copy_context()

        def work() -> T:
            with cancellable(given_up):
                return call()

        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, context.run, work)
        except asyncio.CancelledError:
            given_up.set()
            raise

    def close(self) -> None:
        """Wait for the calls that run."""
        self._pool.shutdown(wait=True)


class _Face(Generic[S]):
    """An object whose calls are awaited.

    Attributes:
        sync: The object itself.
    """

    def __init__(self, sync: S, threads: _Threads) -> None:
        self.sync = sync
        self._threads = threads

    def __repr__(self) -> str:
        return f"Async{self.sync!r}"


def _awaited(
    method: Callable[Concatenate[Any, P], T],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """Return the method as one to await."""
    return _awaited_face(lambda made, _: made, method)


def _awaited_face(
    face: Callable[[Any, _Threads], F], method: Callable[Concatenate[Any, P], Any]
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, F]]:
    """Return the method as one to await, whose result has calls to await itself."""

    @functools.wraps(method)
    async def call(self: _Face[Any], /, *args: P.args, **kwargs: P.kwargs) -> F:
        made = await self._threads.run(functools.partial(method, self.sync, *args, **kwargs))
        return face(made, self._threads)

    return call


def _building(method: Callable[Concatenate[Any, P], Any]) -> Callable[Concatenate[A, P], A]:
    """Return a method that asks for nothing yet, so that calls chain without being awaited."""

    @functools.wraps(method)
    def call(self: A, /, *args: P.args, **kwargs: P.kwargs) -> A:
        method(self.sync, *args, **kwargs)
        return self

    return call


def _read(value: Any) -> Callable[[Any], Any]:
    """Return what reads a property."""
    return cast("Callable[[Any], Any]", value.fget)


class AsyncBatches:
    """Record batches to iterate over with ``async for``.

    Attributes:
        schema: Their schema.
    """

    def __init__(self, reader: pa.RecordBatchReader, threads: _Threads) -> None:
        self.schema: pa.Schema = reader.schema
        self._batches: Iterator[pa.RecordBatch] = iter(reader)
        self._threads = threads

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> pa.RecordBatch:
        batch = await self._threads.run(lambda: next(self._batches, None))
        if batch is None:
            raise StopAsyncIteration
        return batch


class AsyncQuery(_Face[Query]):
    """A :class:`~embow._table.reading.query.Query` whose terminal methods are awaited."""

    where = _building(Query.where)
    select = _building(Query.select)
    limit = _building(Query.limit)
    offset = _building(Query.offset)
    with_row_id = _building(Query.with_row_id)

    to_arrow = _awaited(Query.to_arrow)
    to_batches = _awaited_face(AsyncBatches, Query.to_batches)
    to_list = _awaited(Query.to_list)
    to_pandas = _awaited(Query.to_pandas)
    to_polars = _awaited(Query.to_polars)
    to_pydantic = _awaited(Query.to_pydantic)


class AsyncVectorSearch(AsyncQuery):
    """A :class:`~embow._table.reading.query.VectorSearch` whose terminal methods are awaited."""

    limit = _building(VectorSearch.limit)
    metric = _building(VectorSearch.metric)
    distance_type = metric
    distance_range = _building(VectorSearch.distance_range)

    to_arrow = _awaited(VectorSearch.to_arrow)
    to_batches = _awaited_face(AsyncBatches, VectorSearch.to_batches)


class AsyncMerge(_Face[MergeInsert]):
    """A :class:`~embow._table.writing.merge.MergeInsert` that is awaited."""

    when_matched_update_all = _building(MergeInsert.when_matched_update_all)
    when_not_matched_insert_all = _building(MergeInsert.when_not_matched_insert_all)
    when_not_matched_by_source_delete = _building(MergeInsert.when_not_matched_by_source_delete)
    execute = _awaited(MergeInsert.execute)


class AsyncTags(_Face[Tags]):
    """The :class:`~embow._table.versions.Tags` of a table, awaited."""

    list = _awaited(Tags.list)
    get_version = _awaited(Tags.get_version)
    create = _awaited(Tags.create)
    update = _awaited(Tags.update)
    delete = _awaited(Tags.delete)


class AsyncTable(_Face[Table]):
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
        return AsyncTags(self.sync.tags, self._threads)

    schema = _awaited(_read(Table.schema))
    version = _awaited(_read(Table.version))
    embedding_functions = _awaited(_read(Table.embedding_functions))

    add = _awaited(Table.add)
    update = _awaited(Table.update)
    delete = _awaited(Table.delete)

    @functools.wraps(Table.merge_insert)
    def merge_insert(self, on: str | Sequence[str]) -> AsyncMerge:
        """Begin a merge."""
        return AsyncMerge(self.sync.merge_insert(on), self._threads)

    @functools.wraps(Table.search)
    def search(self, *args: Any, **options: Any) -> Any:
        """Return a query."""
        query = self.sync.search(*args, **options)
        face = AsyncVectorSearch if isinstance(query, VectorSearch) else AsyncQuery
        return face(query, self._threads)

    count_rows = _awaited(Table.count_rows)
    head = _awaited(Table.head)
    to_arrow = _awaited(Table.to_arrow)
    to_batches = _awaited_face(AsyncBatches, Table.to_batches)
    to_list = _awaited(Table.to_list)
    to_pandas = _awaited(Table.to_pandas)
    to_polars = _awaited(Table.to_polars)
    to_pydantic = _awaited(Table.to_pydantic)

    list_versions = _awaited(Table.list_versions)
    checkout = _awaited(Table.checkout)
    checkout_latest = _awaited(Table.checkout_latest)
    restore = _awaited(Table.restore)

    verify = _awaited(Table.verify)
    repair = _awaited(Table.repair)
    add_embedding = _awaited(Table.add_embedding)
    migrate = _awaited(Table.migrate)
    rollback = _awaited(Table.rollback)
    rebind = _awaited(Table.rebind)
    failed_rows = _awaited(Table.failed_rows)
    retry_failed = _awaited(Table.retry_failed)
    configure = _awaited(Table.configure)
    optimize = _awaited(Table.optimize)


class AsyncDatabase(_Face[Database]):
    """A :class:`~embow._table.database.Database` whose calls are awaited.

    Attributes:
        sync: The database itself.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database, _Threads())

    @property
    def uri(self) -> str:
        """Where the database is."""
        return self.sync.uri

    table_names = _awaited(Database.table_names)
    create_table = _awaited_face(AsyncTable, Database.create_table)
    open_table = _awaited_face(AsyncTable, Database.open_table)
    drop_table = _awaited(Database.drop_table)
    drop_all_tables = _awaited(Database.drop_all_tables)
    rename_table = _awaited(Database.rename_table)
    reset_limits = _awaited(Database.reset_limits)

    async def close(self) -> None:
        """Release files. Tables of a closed database must not be used."""
        await asyncio.to_thread(self._threads.close)
        await asyncio.to_thread(self.sync.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
