"""A table: rows in, rows out, vectors made on the way.

A facade: every capability has its own module, and reads and writes go through one engine table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.embeddings import EmbeddingFunction, EmbeddingFunctionConfig
from embow.engines.base import EngineTable
from embow.engines.predicate import Predicate, parse_predicate
from embow.errors import ConfigurationError
from embow.pipeline import AddReport, Estimate, PipelineOptions
from embow.table import changes, migration, verification
from embow.table.bindings import TableSchema, job_of
from embow.table.changes import UpdateResult
from embow.table.merge import MergeInsert
from embow.table.quarantine import Quarantine
from embow.table.query import Query
from embow.table.results import Results
from embow.table.searching import plan_search
from embow.table.settings import TableSettings, change_metadata, pipeline_options
from embow.table.twins import AsyncTwins
from embow.table.vectors import BadVectorPolicy, OnBadVectors

if TYPE_CHECKING:
    from embow.table.database import Database


class Table(Results, AsyncTwins):
    """Rows of one schema, with vectors that embed themselves.

    Made by ``Database.create_table`` and ``Database.open_table``. Safe to use from several threads;
    several processes may read and write one table.

    Attributes:
        last_report: What the latest call that embedded did, in this object.
    """

    def __init__(self, database: Database, engine_table: EngineTable) -> None:
        self._database = database
        self._engine_table = engine_table
        self._schema_read: tuple[pa.Schema, TableSchema] | None = None
        self.last_report: AddReport | None = None

    # -- what it is -------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Name of the table."""
        return self._engine_table.name

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema, with the embedding functions in its metadata."""
        return self._columns().visible

    @property
    def version(self) -> int:
        """Version, larger after every commit."""
        return self._engine_table.version()

    @property
    def embedding_functions(self) -> dict[str, EmbeddingFunctionConfig]:
        """Functions by vector column.

        Raises:
            PluginError: A provider is not installed; the message says what to install.
        """
        return {
            b.vector_column: EmbeddingFunctionConfig(
                b.vector_column, b.source_column, job_of(b).function
            )
            for b in self._columns().bindings
        }

    def __len__(self) -> int:
        return self.count_rows()

    def __reduce__(self) -> Any:
        raise TypeError(
            "A Table holds open files and cannot be sent to another process. Send the uri and the "
            "name, and call embow.connect(uri).open_table(name) there."
        )

    def __repr__(self) -> str:
        return f"Table({self.name!r}, version={self.version}, rows={self.count_rows()})"

    # -- writing ----------------------------------------------------------------------------

    def add(
        self,
        data: Any,
        mode: Literal["append", "overwrite"] = "append",
        on_bad_vectors: OnBadVectors = "error",
        fill_value: float = 0.0,
        **options: Any,
    ) -> AddReport:
        """Add rows, embedding what has no vector yet, in one commit.

        A row whose source is null or empty text gets no vector. A vector column given by the user
        is kept where it is not null.

        Args:
            data: A list or generator of dicts or model objects, a dict of columns, a pandas or
                polars frame, an Arrow table, batch or reader. Streams are read in bounded memory.
            mode: ``"overwrite"`` replaces all rows; columns and functions stay.
            on_bad_vectors: For vectors in the data of wrong length or with NaN or infinity:
                ``"error"``, ``"drop"`` the row, ``"fill"`` with ``fill_value``, or ``"null"``.
            fill_value: See ``on_bad_vectors``.
            **options: ``on_error`` (``"raise"``, ``"skip"``, ``"null"``, ``"quarantine"``),
                ``on_long`` (``"truncate"``, ``"error"``, ``"split"``), ``concurrency``,
                ``deadline`` in seconds, ``cache``, ``budget`` in tokens, ``progress``.

        Returns:
            What was done: rows, calls, tokens, failed rows.

        Raises:
            DataError: A row does not fit the table; nothing was stored.
            EmbeddingError: A row could not be embedded and ``on_error`` is ``"raise"``; nothing was
                stored, and vectors already paid for are in the cache.
            StorageError: The disk is full or not writable; nothing was stored.
        """
        if mode not in ("append", "overwrite"):
            raise ConfigurationError(f"mode={mode!r}: mode must be 'append' or 'overwrite'.")
        policy = BadVectorPolicy(on_bad_vectors, fill_value)
        return changes.add(self, data, mode, policy, self._options(options))

    def update(
        self,
        where: str | None = None,
        values: Mapping[str, Any] | None = None,
        *,
        values_sql: Mapping[str, str] | None = None,
        **options: Any,
    ) -> UpdateResult:
        """Change columns of the rows that satisfy a condition, and re-embed what changed.

        Args:
            where: SQL condition; all rows where it is ``None``.
            values: New values by column.
            values_sql: New values as SQL expressions over the row, by column.
            **options: As in :meth:`add`. A row is never left out: where ``on_error`` is not
                ``"raise"`` a row that cannot be embedded is kept without its vector.

        Raises:
            DataError: A value does not fit its column; nothing was changed.
            EmbeddingError: A new source could not be embedded; nothing was changed.
        """
        return changes.update(self, where, values, values_sql, self._options(options))

    def merge_insert(self, on: str | Sequence[str]) -> MergeInsert:
        """Begin a merge of rows into the table by key columns; end it with ``.execute(data)``.

        Example:
            ``table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()``
        """
        return MergeInsert(self, [on] if isinstance(on, str) else list(on))

    def delete(self, where: str) -> changes.DeleteResult:
        """Remove the rows that satisfy a condition.

        Raises:
            PredicateError: The condition cannot be read.
        """
        return changes.delete(self, where)

    # -- reading ----------------------------------------------------------------------------

    def search(
        self,
        query: Any = None,
        vector_column_name: str | None = None,
        query_type: Literal["auto", "vector"] = "auto",
    ) -> Any:
        """Search for the nearest rows, or read rows where there is no query.

        Args:
            query: Text or any input of the embedding function, a vector, or a list of vectors
                (the result then has ``query_index``). ``None`` reads rows without scoring.
            vector_column_name: Vector column to search. Without it the first one that fits:
                for an input the first with a function, for a vector the first of its length.
            query_type: ``"vector"`` refuses ``None``.

        Returns:
            A query to refine with ``where``, ``select``, ``limit``, ``metric`` and to run with
            ``to_list``, ``to_arrow``, ``to_pandas``, ``to_polars`` or ``to_pydantic``.

        Raises:
            DataError: No vector column fits the query.
        """
        return plan_search(self, query, vector_column_name, query_type)

    def to_arrow(self) -> pa.Table:
        """Return all rows as an Arrow table."""
        return Query(self).to_arrow()

    def to_batches(self, batch_size: int | None = None) -> pa.RecordBatchReader:
        """Return a reader of all rows, read as it is pulled."""
        return Query(self).to_batches(batch_size)

    def head(self, n: int = 5) -> pa.Table:
        """Return the first rows as an Arrow table."""
        return Query(self).limit(n).to_arrow()

    def count_rows(self, filter: str | None = None) -> int:
        """Count the rows, all or those that satisfy a condition."""
        return self._engine_table.count_rows(self._predicate(filter))

    # -- keeping vectors true ---------------------------------------------------------------

    def verify(self, *, remote: bool = False) -> verification.VerifyReport:
        """Find stale, missing and foreign vectors by their source hashes, without provider calls.

        Args:
            remote: Also embed the fixed text of each column again and compare, to find out whether
                the model changed behind its name. One call a column.
        """
        return verification.verify(self, remote=remote)

    def repair(self, **options: Any) -> AddReport:
        """Re-embed the rows whose vector is stale or missing, in one commit."""
        return verification.repair(self, self._options(options))

    def add_embedding(
        self, vector: str, source: str, function: EmbeddingFunction, **options: Any
    ) -> AddReport | Estimate:
        """Add a vector column and fill it for all rows.

        Can be called again after an interruption: what was embedded is not paid for twice.
        ``dry_run=True`` returns the estimate instead and changes nothing.
        """
        return migration.add_embedding(self, vector, source, function, **options)

    def migrate(
        self, vector: str, function: EmbeddingFunction, **options: Any
    ) -> AddReport | Estimate:
        """Re-embed a vector column with another function, and switch in one commit.

        The new vectors are written beside the old ones; counts and a sample are checked before the
        switch. The old column is kept for :meth:`rollback` unless ``keep_old=False``.
        ``dry_run=True`` returns the estimate instead and changes nothing.
        """
        return migration.migrate(self, vector, function, **options)

    def rollback(self, vector: str) -> None:
        """Switch a migrated vector column back to the function and vectors it had before."""
        migration.rollback(self, vector)

    def rebind(self, vector: str, function: EmbeddingFunction, **options: Any) -> float:
        """Give a vector column another function that makes the same vectors, re-embedding nothing.

        A sample of rows is embedded and compared first. Returns the smallest cosine similarity.
        """
        return migration.rebind(self, vector, function, **options)

    # -- rows that could not be embedded ----------------------------------------------------

    def failed_rows(self) -> pa.Table:
        """Return the quarantined rows, with ``failed_column``, ``error_kind`` and ``error``."""
        return self._quarantine().rows()

    def retry_failed(self, **options: Any) -> AddReport:
        """Try the quarantined rows again; those that fail again stay."""
        return changes.retry_failed(self, self._options({**options, "on_error": "quarantine"}))

    def configure(self, *, on_error: str | None = None, on_long: str | None = None) -> None:
        """Set defaults of :meth:`add` for this table, kept with it; ``None`` clears one."""
        settings = TableSettings(on_error=on_error, on_long=on_long)
        change_metadata(
            self._engine_table, lambda schema: dict(settings.into(schema).metadata or {})
        )

    def optimize(self) -> dict[str, Any]:
        """Merge small pieces, drop deleted rows and unused files; return what was done."""
        return self._engine_table.optimize()

    # -- used by the modules of this package --------------------------------------------------

    def _columns(self) -> TableSchema:
        """Return the current columns and bindings, read anew when the schema has changed."""
        physical = self._engine_table.schema()
        if self._schema_read is None or self._schema_read[0] is not physical:
            self._schema_read = (physical, TableSchema.read(physical))
        return self._schema_read[1]

    def _options(self, given: Mapping[str, Any]) -> PipelineOptions:
        return pipeline_options(TableSettings.read(self._engine_table.schema()), **given)

    def _predicate(self, where: str | None) -> Predicate | None:
        return None if where is None else parse_predicate(where, self.schema)

    def _quarantine(self) -> Quarantine:
        return Quarantine(self._database._engine, self.name, self.schema)

    def _embed_query(self, column: str, query: Any) -> NDArray[np.float32]:
        """Return the vectors of one input, shape ``(1, dimensions)``."""
        binding = self._columns().binding(column)
        assert binding is not None
        job = job_of(binding)
        return self._database._pipeline.embed_queries(job.function, [query], self._options({}))
