"""What can be asked of a table, at the latest version or at one that is checked out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC
from typing import Any, Literal, get_args, overload

import pyarrow as pa

from embow._cancel import stop_if_cancelled
from embow._table.handle import Handle
from embow._table.reading.hybrid import HybridSearch
from embow._table.reading.nearest import VectorSearch
from embow._table.reading.query import Query
from embow._table.reading.results import Results
from embow._table.reading.textual import TextSearch, indexed_texts
from embow._table.versions import Tags, version_number
from embow._table.writing.keys import get_rows
from embow.embeddings import EmbeddingFunctionConfig
from embow.errors import ConfigurationError, TableNotFoundError, near_name
from embow.expr import Condition, sql
from embow.query import FullTextQuery

QueryType = Literal["auto", "vector", "fts", "hybrid"]


class ReadableTable(Results):
    """The part of a table that reads, and that chooses what is read."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    # -- what it is -------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Name of the table."""
        return self._handle.name

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema, with the embedding functions in its metadata."""
        return self._handle.look().visible

    @property
    def version(self) -> int:
        """Version that is read: the latest, or the one that is checked out."""
        with self._handle.snapshot() as snapshot:
            return snapshot.base.version

    @property
    def embedding_functions(self) -> dict[str, EmbeddingFunctionConfig]:
        """Functions by vector column.

        Raises:
            PluginError: A provider is not installed; the message says what to install.
            UntrustedError: The table names what only this process may decide.
        """
        columns = self._handle.look()
        return {
            b.vector_column: EmbeddingFunctionConfig(
                b.vector_column, b.source_column, self._handle.function(columns, b)
            )
            for b in columns.bindings
        }

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Columns that tell rows apart; empty where none were declared."""
        return self._handle.look().key

    def __len__(self) -> int:
        return self.count_rows()

    def __reduce__(self) -> Any:
        raise TypeError(
            "A Table holds open files and cannot be sent to another process. Send the uri and the "
            "name, and call embow.connect(uri).open_table(name) there."
        )

    def __repr__(self) -> str:
        try:
            with self._handle.snapshot() as snapshot:
                version, rows = snapshot.base.version, snapshot.count_rows()
                columns = ", ".join(self._handle.columns(snapshot).names)
        except TableNotFoundError:
            return f"Table({self.name!r}, dropped)"
        return f"Table({self.name!r}, version={version}, rows={rows}, columns=[{columns}])"

    # -- reading ----------------------------------------------------------------------------

    @overload
    def search(self, query: None = None, *, query_type: Literal["auto"] = "auto") -> Query: ...

    @overload
    def search(
        self,
        query: FullTextQuery,
        *,
        query_type: Literal["auto", "fts"] = "auto",
        fts_columns: str | Sequence[str] | None = None,
    ) -> TextSearch: ...

    @overload
    def search(
        self,
        query: str,
        *,
        query_type: Literal["fts"],
        fts_columns: str | Sequence[str] | None = None,
    ) -> TextSearch: ...

    @overload
    def search(
        self,
        query: str | None = None,
        vector_column_name: str | None = None,
        *,
        query_type: Literal["hybrid"],
        fts_columns: str | Sequence[str] | None = None,
    ) -> HybridSearch: ...

    @overload
    def search(
        self,
        query: Any,
        vector_column_name: str | None = None,
        query_type: Literal["auto", "vector"] = "auto",
    ) -> VectorSearch: ...

    def search(
        self,
        query: Any = None,
        vector_column_name: str | None = None,
        query_type: QueryType = "auto",
        fts_columns: str | Sequence[str] | None = None,
    ) -> Query:
        """Search for the nearest rows or for words, or read rows where there is no query.

        Args:
            query: Text or any input of the embedding function, a vector, or a list of texts or of
                vectors (the result then has ``query_index``). For words a text, or a query of
                ``embow.query``. ``None`` reads rows without scoring.
            vector_column_name: Vector column to search. Without it the first one that fits:
                for an input the first with a function, for a vector the first of its length.
            query_type: ``"vector"`` refuses ``None``. ``"fts"`` looks for words. ``"hybrid"`` does
                both with one text, or with halves of their own:
                ``search(query_type="hybrid").vector([0.1, ...]).text("words")``. With ``"auto"`` a
                text is embedded where the table has an embedding function, and is looked for by
                its words where it has none and a full-text index.
            fts_columns: Columns in which words are looked for; all that have a full-text index
                where it is ``None``.

        Returns:
            A query to refine with ``where``, ``select``, ``limit``, ``metric`` and to run with
            ``to_list``, ``to_arrow``, ``to_pandas``, ``to_polars`` or ``to_pydantic``.

        Raises:
            BadVectorError: The query is a vector that holds NaN or infinity.
            ConfigurationError: An argument is wrong. Whether a column fits the query is found out
                when the query is run.
        """
        if query_type not in get_args(QueryType):
            raise _no_such_search(query_type)
        if query_type == "hybrid":
            return HybridSearch(self._handle, query, vector_column_name, fts_columns)
        words = query_type == "fts" or fts_columns is not None
        if words or isinstance(query, FullTextQuery):
            if query_type == "vector" or vector_column_name is not None:
                raise ConfigurationError(
                    "A search for words takes no vector column: use query_type='fts' alone."
                )
            return TextSearch(self._handle, query, fts_columns)
        if query is not None:
            plain = isinstance(query, str) and vector_column_name is None
            if plain and query_type == "auto" and self._only_words():
                return TextSearch(self._handle, query, None)
            return VectorSearch(self._handle, query, vector_column_name)
        if query_type == "vector" or vector_column_name is not None:
            raise ConfigurationError("A vector search needs a query: search('text') or a vector.")
        return Query(self._handle)

    def _only_words(self) -> bool:
        """Return whether a text can be looked for by its words and cannot be embedded."""
        if self._handle.seen().first is not None:
            return False
        with self._handle.snapshot() as snapshot:
            columns = self._handle.columns(snapshot)
            return columns.first is None and bool(indexed_texts(snapshot, columns))

    def to_arrow(self) -> pa.Table:
        """Return all rows as an Arrow table."""
        return Query(self._handle).to_arrow()

    def to_polars(self) -> Any:
        """Return all rows as a polars LazyFrame.

        Raises:
            ConfigurationError: polars is not installed.
        """
        return super().to_polars().lazy()

    def to_batches(self, batch_size: int | None = None) -> pa.RecordBatchReader:
        """Return a reader of all rows, read as it is pulled."""
        return Query(self._handle).to_batches(batch_size)

    def head(self, n: int = 5) -> pa.Table:
        """Return the first rows as an Arrow table."""
        return Query(self._handle).limit(n).to_arrow()

    def get(self, keys: Any) -> pa.Table:
        """Return the rows of some primary keys, in the order of the keys; others are left out.

        Args:
            keys: One key or a list of them: a value, or for a key of several columns a tuple of
                values or a dict.

        Raises:
            ConfigurationError: The table has no primary key.
            DataError: A key does not fit the columns.
        """
        return get_rows(self._handle, keys)

    def count_rows(self, /, filter: Condition | None = None, *values: Any, **named: Any) -> int:
        """Count the rows, all or those that satisfy a condition, bound as in ``where``."""
        condition = None if filter is None else sql(filter, *values, **named)
        with self._handle.snapshot() as snapshot:
            return snapshot.count_rows(self._handle.columns(snapshot).predicate(condition))

    # -- versions -----------------------------------------------------------------------------

    def list_versions(self) -> list[dict[str, Any]]:
        """Return the versions that can be read, the oldest first.

        Each has ``version``, ``timestamp`` (UTC, without a zone) and ``metadata`` with
        ``total_rows`` and ``operation``. Also while one is checked out, all of them come.
        """
        return [
            {
                "version": each.version,
                "timestamp": each.timestamp.astimezone(UTC).replace(tzinfo=None),
                "metadata": {"total_rows": str(each.rows), "operation": each.operation},
            }
            for each in self._handle.stored.versions()
        ]

    def checkout(self, version: int | str) -> None:
        """Read an earlier version with this object, by number or tag; writing is refused meanwhile.

        Raises:
            VersionNotFoundError: There is none of that number or tag, or no longer.
        """
        wanted = version if isinstance(version, str) else version_number(version)
        with self._handle.stored.snapshot(wanted) as snapshot:
            self._handle = replace(self._handle, at=snapshot.base.version)

    def checkout_latest(self) -> None:
        """Read and write the latest version again."""
        self._handle = replace(self._handle, at=None)

    def restore(self, version: int | str | None = None) -> None:
        """Make a new version equal to an earlier one, and read the latest version again.

        Args:
            version: Number or tag; the one that is checked out where it is ``None``.

        Raises:
            VersionNotFoundError: There is none of that number or tag, or no longer.
            ConfigurationError: No version is given, and none is checked out.
        """
        wanted = self._handle.at if version is None else version
        if wanted is None:
            raise ConfigurationError(
                "restore() makes the version that is checked out the latest: call "
                "checkout(version) first, or restore(version)."
            )
        stop_if_cancelled()
        self._handle.stored.restore(wanted if isinstance(wanted, str) else version_number(wanted))
        self._handle = replace(self._handle, at=None)

    @property
    def tags(self) -> Tags:
        """Names of versions: ``tags.create("v1", 3)``, ``update``, ``delete``, ``list``."""
        return Tags(self._handle.stored)


def _no_such_search(query_type: object) -> ConfigurationError:
    hint = near_name(str(query_type), get_args(QueryType))
    return ConfigurationError(
        f"There is no query_type {query_type!r:.60}.{hint} Use 'auto', 'vector', 'fts' or 'hybrid'."
    )
