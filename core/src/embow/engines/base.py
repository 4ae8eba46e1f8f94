"""The contract of a storage engine: Arrow data in, Arrow data and row ids out.

An engine never sees an embedding function. Columns it is given are stored as they are; columns
whose name begins with ``_embow`` belong to the table layer and are stored like any other.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from embow.engines.predicate import Predicate

Metric = Literal["l2", "cosine", "dot"]
"""``l2`` is the squared Euclidean distance, ``cosine`` is 1 - cosine similarity, ``dot`` is
1 - inner product: in each, smaller is nearer."""

ROW_ID = "_rowid"
DISTANCE = "_distance"


class Capability(enum.Flag):
    """What an engine can do, so that the rest is refused at the call."""

    SEARCH = enum.auto()
    REPLACE = enum.auto()
    SCHEMA_EVOLUTION = enum.auto()
    RENAME_TABLE = enum.auto()


@dataclass(frozen=True, slots=True)
class Commit:
    """What a write did.

    Attributes:
        version: Version of the table after the commit; versions only grow.
        rows_added: Rows that came in.
        rows_removed: Rows that went out.
    """

    version: int
    rows_added: int = 0
    rows_removed: int = 0


@dataclass(frozen=True, slots=True)
class VectorQuery:
    """One nearest-neighbour search.

    Attributes:
        column: Vector column to search.
        vectors: Queries, float32, shape ``(queries, dimensions)``.
        k: Rows wanted a query.
        metric: Distance.
        offset: Nearest rows to skip.
        predicate: Rows must satisfy it before they are scored.
        columns: Columns to return; ``None`` for all.
        distance_range: Keep ``lower <= distance < upper``.
        with_row_id: Also return ``_rowid``.
    """

    column: str
    vectors: NDArray[np.float32]
    k: int
    metric: Metric = "l2"
    offset: int = 0
    predicate: Predicate | None = None
    columns: Sequence[str] | None = None
    distance_range: tuple[float | None, float | None] = (None, None)
    with_row_id: bool = False


@dataclass(frozen=True, slots=True)
class ScanQuery:
    """A read of rows without scoring.

    Attributes:
        columns: Columns to return; ``None`` for all.
        predicate: Rows must satisfy it.
        row_ids: Only these rows, in this order.
        limit: Rows wanted; ``None`` for all.
        offset: Rows to skip.
        with_row_id: Also return ``_rowid`` (int64).
    """

    columns: Sequence[str] | None = None
    predicate: Predicate | None = None
    row_ids: Sequence[int] | None = None
    limit: int | None = None
    offset: int = 0
    with_row_id: bool = False


class EngineTable(ABC):
    """One open table. Safe to use from several threads; each read sees one version."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the table, the new one after it was renamed."""

    @abstractmethod
    def schema(self) -> pa.Schema:
        """Return the current schema, metadata included."""

    @abstractmethod
    def version(self) -> int:
        """Return the current version."""

    @abstractmethod
    def append(
        self,
        batches: Iterable[pa.RecordBatch],
        *,
        guard: Mapping[bytes, bytes | None] | None = None,
    ) -> Commit:
        """Add all batches in one commit, durable when this returns.

        The iterable is pulled lazily, in bounded memory. If it raises, nothing is added.

        Args:
            batches: Rows, in the table's schema.
            guard: Schema metadata entries that must still have these values (``None``: be
                absent) at the moment of the commit.

        Raises:
            CommitConflictError: A guarded entry has changed.
        """

    @abstractmethod
    def count_rows(self, predicate: Predicate | None = None) -> int:
        """Count rows, all or those that satisfy the predicate."""

    @abstractmethod
    def scan(self, query: ScanQuery) -> pa.RecordBatchReader:
        """Read rows in insertion order, lazily, from one version."""

    @abstractmethod
    def search(self, query: VectorQuery) -> list[pa.Table]:
        """Return for each query vector its nearest rows, nearest first, with ``_distance``.

        Rows whose vector is null are never returned. Equal distances come in row order.
        """

    @abstractmethod
    def delete(self, predicate: Predicate) -> Commit:
        """Remove the rows that satisfy the predicate, in one commit."""

    @abstractmethod
    def replace(
        self,
        row_ids: Sequence[int],
        batches: Iterable[pa.RecordBatch],
        *,
        guard: Mapping[bytes, bytes | None] | None = None,
    ) -> Commit:
        """Remove rows by id and add batches, in one commit; ``guard`` as in :meth:`append`.

        Raises:
            CommitConflictError: One of the rows is no longer there, or a guarded entry changed.
        """

    @abstractmethod
    def overwrite(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Commit:
        """Remove every row, set the schema and add batches, in one commit."""

    @abstractmethod
    def set_metadata(self, metadata: Mapping[bytes, bytes], *, expected: pa.Schema) -> Commit:
        """Replace the schema metadata.

        Raises:
            CommitConflictError: The current schema is not ``expected``.
        """

    @abstractmethod
    def add_column(self, field: pa.Field, batches: Iterable[pa.RecordBatch]) -> Commit:
        """Add one column to existing rows.

        ``batches`` hold ``_rowid`` and the column, in any order; rows not mentioned get null.
        Durable when this returns; rows added meanwhile by others get null.
        """

    @abstractmethod
    def alter_columns(
        self,
        *,
        rename: Mapping[str, str] | None = None,
        drop: Sequence[str] = (),
        metadata: Mapping[bytes, bytes] | None = None,
        nullable: Mapping[str, bool] | None = None,
        expected_version: int | None = None,
    ) -> Commit:
        """Drop and rename columns and set the metadata in one commit, without rewriting data.

        Drops come first, so that a name set free may be given to another column at once; that
        column then stands where the name stood. ``nullable`` says by new name which columns may
        hold null from now on; that a column does not hold any is for the caller to know.

        Raises:
            CommitConflictError: The table is no longer at ``expected_version``.
        """

    @abstractmethod
    def optimize(self) -> dict[str, Any]:
        """Merge small pieces, drop deleted rows and unnamed files; return what was done."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Settings handed to an engine when a database is opened."""

    storage_options: Mapping[str, Any] = field(default_factory=dict)


class Engine(ABC):
    """One open database.

    Args:
        uri: As given to ``embow.connect``.
        options: Engine settings.
    """

    capabilities: Capability = Capability(0)

    @abstractmethod
    def __init__(self, uri: str, options: EngineOptions) -> None: ...

    @abstractmethod
    def table_names(self) -> list[str]:
        """Return all table names, sorted."""

    @abstractmethod
    def create_table(
        self, name: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch], *, overwrite: bool
    ) -> EngineTable:
        """Create a table and add its first rows in one commit.

        Raises:
            TableExistsError: The name is taken and ``overwrite`` is false.
        """

    @abstractmethod
    def open_table(self, name: str) -> EngineTable:
        """Open a table.

        Raises:
            TableNotFoundError: There is none of that name.
        """

    @abstractmethod
    def drop_table(self, name: str) -> None:
        """Remove a table and its data.

        Raises:
            TableNotFoundError: There is none of that name.
        """

    @abstractmethod
    def rename_table(self, name: str, new_name: str) -> None:
        """Give a table another name."""

    def atomic(self) -> AbstractContextManager[None]:
        """Return a context in which commits of this thread, each to another table, are one.

        The default gives each commit its own effect, for engines without such transactions.
        """
        return nullcontext()

    @abstractmethod
    def side_path(self, name: str) -> str | None:
        """Return a local path beside the catalog for a file such as the cache, if there is one."""

    def close(self) -> None:  # noqa: B027 - an engine may have nothing to release
        """Release files. Tables of a closed engine must not be used."""
