"""Tables, synchronous and asynchronous."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Never, Protocol, Self

import pyarrow as pa

import embow
from embow import Tags
from embow.errors import ConfigurationError
from embow.expr import Condition
from embow_lancedb._arguments import deprecated, no_namespace, update_values
from embow_lancedb._indexing import AsyncIndexing, Indexing
from embow_lancedb._kinds import source_of, told_by_search
from embow_lancedb._listing import IndexConfig, IndexStatistics
from embow_lancedb._shared import SharedTable, merged_metadata
from embow_lancedb._told import Query
from embow_lancedb.merge import AsyncMergeInsertBuilder, LanceMergeInsertBuilder
from embow_lancedb.query import (
    ASYNC_BUILDERS,
    BUILDERS,
    AsyncQuery,
    AsyncQueryBase,
    AsyncTakeQuery,
    AsyncVectorQuery,
    LanceQueryBuilder,
    LanceTakeQueryBuilder,
    rows_at,
)

__all__ = ["AsyncTable", "IndexConfig", "IndexStatistics", "LanceTable", "Table", "Tags"]


class Connection(Protocol):
    """What a table needs of its database."""

    core: embow.Database

    @property
    def uri(self) -> str:
        """Where it is."""

    def create_table(self, name: str, *args: Any, **settings: Any) -> LanceTable:
        """Create a table."""


class Table(Indexing, SharedTable):
    """Rows of one schema. What ``isinstance`` checks and annotations name."""


class LanceTable(Table):
    """A table of a database.

    Attributes:
        core: embow's table, for what LanceDB has no call for: ``verify``, ``migrate``, ``upsert``.
    """

    def __init__(
        self, connection: Connection, name: str, *, core: Any = None, **settings: Any
    ) -> None:
        no_namespace(settings.get("namespace_path"))
        self.connection = connection
        self.core = connection.core.open_table(name) if core is None else core

    @classmethod
    def create(cls, db: Connection, name: str, *args: Any, **settings: Any) -> LanceTable:
        """Create a table: ``db.create_table``."""
        return db.create_table(name, *args, **settings)

    @classmethod
    def open(cls, db: Connection, name: str, **settings: Any) -> Self:
        """Open a table: ``db.open_table``."""
        return cls(db, name, **settings)

    def __len__(self) -> int:
        return int(self.core.count_rows())

    def __repr__(self) -> str:
        return f"LanceTable(name={self.name!r}, {self.connection!r})"

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema, with the embedding functions in its metadata."""
        return self.core.schema

    @property
    def version(self) -> int:
        """Version that is read."""
        return int(self.core.version)

    @property
    def embedding_functions(self) -> dict[str, Any]:
        """Functions by vector column."""
        return dict(self.core.embedding_functions)

    @property
    def uri(self) -> str:
        """The database's address and the name of the table."""
        return os.path.join(self.connection.uri, self.name)

    @property
    def id(self) -> str:
        """Name of the table."""
        return self.name

    @property
    def namespace(self) -> list[str]:
        """The root, which is all there is."""
        return []

    def update_field_metadata(self, *updates: Mapping[str, Any]) -> Any:
        """Change the metadata of columns; see the base class."""
        return self.core.alter_columns(*merged_metadata(self.core.schema, updates))

    def to_polars(self, batch_size: int | None = None) -> Any:
        """Return all rows as a polars LazyFrame."""
        return self.core.to_polars()

    def search(
        self,
        query: Any = None,
        vector_column_name: str | None = None,
        query_type: str = "auto",
        ordering_field_name: str | None = None,
        fts_columns: str | Sequence[str] | None = None,
    ) -> Any:
        """Begin a search.

        Args:
            query: Vector or vectors, what an embedding function of the table takes, words, or
                ``None`` to read rows.
            vector_column_name: Vector column; the first that fits where it is ``None``.
            query_type: ``"auto"``, ``"vector"``, ``"fts"`` or ``"hybrid"``.
            ordering_field_name: Deprecated in LanceDB, and without meaning there too.
            fts_columns: Columns to find words in.
        """
        if ordering_field_name is not None:
            deprecated("ordering_field_name", "use order_by()")
        told = told_by_search(self.core.schema, query, vector_column_name, query_type, fts_columns)
        builder: type[LanceQueryBuilder] = BUILDERS[told.kind]
        return builder(self.core, told)

    def take_row_ids(self, row_ids: Iterable[int]) -> LanceTakeQueryBuilder:
        """Begin a query for the rows of these ids, in their order."""
        return LanceTakeQueryBuilder(self.core, Query("scan", row_ids=list(row_ids)))

    def take_offsets(self, offsets: Iterable[int]) -> LanceTakeQueryBuilder:
        """Begin a query for the rows at these places of the table, in its order."""
        return self.take_row_ids(rows_at(self.core.search().select(["_rowid"]).to_arrow(), offsets))

    def add(
        self,
        data: Any,
        mode: str = "append",
        on_bad_vectors: str = "error",
        fill_value: float = 0.0,
        progress: Any = None,
        write_parallelism: int | None = None,
        allow_external_blob_outside_bases: bool = False,
    ) -> Any:
        """Add rows, embedding what has no vector; return what was done, with the ``version``."""
        given = {} if progress is None else {"progress": progress}
        return self.core.add(data, mode, on_bad_vectors, fill_value, **given)

    def update(
        self,
        where: Condition | None = None,
        values: Mapping[str, Any] | None = None,
        *,
        values_sql: Mapping[str, Condition] | None = None,
    ) -> Any:
        """Change columns of the rows that satisfy a condition."""
        return self.core.update(where, **update_values(values, values_sql))

    def merge_insert(self, on: str | Iterable[str] | None = None) -> LanceMergeInsertBuilder:
        """Begin a merge by key columns, those of the primary key where none are named."""
        return LanceMergeInsertBuilder(self.core.merge_insert(_keys(on, self.core.primary_key)))

    def compact_files(self, *args: Any, **kwargs: Any) -> Any:
        """Return ``optimize()``. Deprecated in LanceDB."""
        deprecated("compact_files", "use optimize()")
        return self.optimize()

    def cleanup_old_versions(
        self, older_than: timedelta | None = None, *, delete_unverified: bool = False
    ) -> Any:
        """Drop versions that are older. Deprecated in LanceDB."""
        deprecated("cleanup_old_versions", "use optimize(cleanup_older_than=...)")
        return self.optimize(cleanup_older_than=older_than, delete_unverified=delete_unverified)


class _Closed:
    """In the place of embow's table, once ours is closed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, name: str) -> Never:
        raise ConfigurationError(f"Table {self.name} is closed: open it again.")


class AsyncTable(AsyncIndexing, SharedTable):
    """A table whose calls are awaited.

    Attributes:
        core: embow's asynchronous table.
    """

    def __init__(self, table: Any) -> None:
        self.core = table

    def __repr__(self) -> str:
        return f"{'AsyncTable' if self.is_open() else 'ClosedTable'}({self.name})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def is_open(self) -> bool:
        """Whether ``close`` was not called."""
        return not isinstance(self.core, _Closed)

    def close(self) -> None:
        """Refuse every further call of this object."""
        self.core = _Closed(self.name)

    async def schema(self) -> pa.Schema:
        """Return the Arrow schema."""
        return await self.core.schema()

    async def version(self) -> int:
        """Return the version that is read."""
        return int(await self.core.version())

    async def uri(self) -> str:
        """Return the name of the table, which is its address in the database."""
        return self.name

    async def update_field_metadata(self, *updates: Mapping[str, Any]) -> Any:
        """Change the metadata of columns; see the base class."""
        schema = await self.core.schema()
        return await self.core.alter_columns(*merged_metadata(schema, updates))

    async def embedding_functions(self) -> dict[str, Any]:
        """Return the functions by vector column."""
        return dict(await self.core.embedding_functions())

    def query(self) -> AsyncQuery:
        """Begin a query: ``.where(...)``, ``.nearest_to(vector)``, ``.nearest_to_text(words)``."""
        return AsyncQuery(self.core, Query("scan"))

    def vector_search(self, query_vector: Any) -> AsyncVectorQuery:
        """Begin a search for what is near to a vector or several."""
        return self.query().nearest_to(query_vector)

    def search(
        self,
        query: Any = None,
        vector_column_name: str | None = None,
        query_type: str = "auto",
        ordering_field_name: str | None = None,
        fts_columns: str | Sequence[str] | None = None,
    ) -> Any:
        """Begin a search, to be awaited; see :meth:`LanceTable.search`.

        A text that the table embeds is searched for by words too, where its column has an index of
        them. Of everything else the query is there without waiting.
        """
        given = (query, vector_column_name, query_type, fts_columns)
        if query_type == "auto" and isinstance(query, str):
            return self._searched(*given)
        return self._builder(told_by_search(pa.schema([]), *given))

    async def _searched(self, *given: Any) -> AsyncQueryBase:
        schema = await self.core.schema()
        told = told_by_search(schema, *given)
        source = source_of(schema, told)
        if source is not None and source in await self._indexed_texts():
            told = told_by_search(schema, given[0], given[1], "hybrid", given[3])
        return self._builder(told)

    async def _indexed_texts(self) -> set[str]:
        return {each.column for each in await self.core.list_indices() if each.kind == "fts"}

    def _builder(self, told: Query) -> AsyncQueryBase:
        return ASYNC_BUILDERS[told.kind](self.core, told)

    def take_row_ids(self, row_ids: Iterable[int]) -> AsyncTakeQuery:
        """Begin a query for the rows of these ids, in their order."""
        return AsyncTakeQuery(self.core, Query("scan", row_ids=list(row_ids)))

    def take_offsets(self, offsets: Iterable[int]) -> AsyncTakeQuery:
        """Begin a query for the rows at these places of the table, in its order."""
        return AsyncTakeQuery(self.core, Query("scan"), list(offsets))

    async def add(
        self,
        data: Any,
        *,
        mode: str = "append",
        on_bad_vectors: str | None = None,
        fill_value: float | None = None,
        progress: Any = None,
        write_parallelism: int | None = None,
        allow_external_blob_outside_bases: bool = False,
    ) -> Any:
        """Add rows, embedding what has no vector; return what was done, with the ``version``."""
        given = {} if progress is None else {"progress": progress}
        return await self.core.add(
            data, mode, on_bad_vectors or "error", fill_value or 0.0, **given
        )

    async def update(
        self,
        updates: Mapping[str, Any] | None = None,
        *,
        where: Condition | None = None,
        updates_sql: Mapping[str, Condition] | None = None,
    ) -> Any:
        """Change columns of the rows that satisfy a condition."""
        return await self.core.update(where=where, **update_values(updates, updates_sql))

    def merge_insert(self, on: str | Iterable[str]) -> AsyncMergeInsertBuilder:
        """Begin a merge by key columns."""
        return AsyncMergeInsertBuilder(self.core.merge_insert(_keys(on, ())))


def _keys(on: str | Iterable[str] | None, primary: Sequence[str]) -> str | list[str]:
    if isinstance(on, str):
        return on
    return list(primary if on is None else on)
