"""A table: rows in, rows out, vectors made on the way.

A facade: every capability has its own module, which takes the handle and not the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, TypeVar, Unpack, overload

import pyarrow as pa

from embow._table.handle import Handle
from embow._table.incoming.vectors import BadVectorPolicy, OnBadVectors
from embow._table.readable import ReadableTable
from embow._table.settings import AddOptions, CallOptions, TableSettings
from embow._table.truth import migration, verification
from embow._table.writing import changes, retry
from embow._table.writing.changes import DeleteResult, UpdateResult
from embow._table.writing.merge import MergeInsert
from embow._table.writing.quarantine import Quarantine
from embow.embeddings import EmbeddingFunction
from embow.engines.contract import RETENTION, Change, CheckReport, OptimizeReport
from embow.errors import ConfigurationError
from embow.expr import Condition, sql
from embow.pipeline import AddReport, Estimate

AddMode = Literal["append", "overwrite"]
Done = TypeVar("Done", AddReport, Estimate, AddReport | Estimate)


class Table(ReadableTable):
    """Rows of one schema, with vectors that embed themselves.

    Made by ``Database.create_table`` and ``Database.open_table``. Safe to use from several threads;
    several processes may read and write one table.

    Attributes:
        last_report: What the latest call that embedded did, in this object.
    """

    def __init__(self, handle: Handle) -> None:
        super().__init__(handle)
        self.last_report: AddReport | None = None

    # -- writing ----------------------------------------------------------------------------

    @overload
    def add(
        self,
        data: Any,
        mode: AddMode = "append",
        on_bad_vectors: OnBadVectors = "error",
        fill_value: float = 0.0,
        *,
        dry_run: Literal[False] = False,
        **options: Unpack[AddOptions],
    ) -> AddReport: ...

    @overload
    def add(
        self,
        data: Any,
        mode: AddMode = "append",
        on_bad_vectors: OnBadVectors = "error",
        fill_value: float = 0.0,
        *,
        dry_run: Literal[True],
        **options: Unpack[AddOptions],
    ) -> Estimate: ...

    def add(
        self,
        data: Any,
        mode: AddMode = "append",
        on_bad_vectors: OnBadVectors = "error",
        fill_value: float = 0.0,
        *,
        dry_run: bool = False,
        **options: Unpack[AddOptions],
    ) -> AddReport | Estimate:
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
            dry_run: Return the estimate of inputs, tokens and requests, and store nothing. No
                provider is called; a generator is used up.
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
        return self._kept(changes.add(self._handle, data, mode, policy, options, dry_run=dry_run))

    def update(
        self,
        where: Condition | None = None,
        values: Mapping[str, Any] | None = None,
        *,
        values_sql: Mapping[str, Condition] | None = None,
        **options: Unpack[AddOptions],
    ) -> UpdateResult:
        """Change columns of the rows that satisfy a condition, and re-embed what changed.

        Args:
            where: Condition; all rows where it is ``None``. Values are bound by
                ``embow.expr.sql("user = ?", name)``.
            values: New values by column.
            values_sql: New values as SQL expressions over the row, by column.
            **options: As in :meth:`add`. A row is never left out: where ``on_error`` is not
                ``"raise"`` a row that cannot be embedded is kept without its vector.

        Raises:
            DataError: A value does not fit its column; nothing was changed.
            EmbeddingError: A new source could not be embedded; nothing was changed.
        """
        result = changes.update(self._handle, where, values, values_sql, options)
        self._kept(result.report)
        return result

    def merge_insert(self, on: str | Sequence[str]) -> MergeInsert:
        """Begin a merge of rows into the table by key columns; end it with ``.execute(data)``.

        Example:
            ``table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()``
        """
        return MergeInsert(self._handle, on, self._kept)

    def delete(self, /, where: Condition, *values: Any, **named: Any) -> DeleteResult:
        """Remove the rows that satisfy a condition, bound as in ``where`` of a search.

        Raises:
            PredicateError: The condition cannot be read.
        """
        if where is None:
            raise ConfigurationError('delete needs a condition; delete("true") removes every row.')
        return changes.delete(self._handle, sql(where, *values, **named))

    # -- keeping vectors true ---------------------------------------------------------------

    def verify(self, *, remote: bool = False) -> verification.VerifyReport:
        """Find stale, missing and foreign vectors by their source hashes, without provider calls.

        Args:
            remote: Also embed a few stored sources of each column again and compare, to find out
                whether the model changed behind its name.
        """
        return verification.verify(self._handle, remote=remote)

    def check(self) -> CheckReport:
        """Read all that is stored, of every version, and report what is not as it was written."""
        return self._handle.stored.check()

    def repair(self, **options: Unpack[AddOptions]) -> AddReport:
        """Re-embed the rows whose vector is stale or missing, in one commit."""
        return self._kept(verification.repair(self._handle, options))

    def add_embedding(
        self,
        vector: str,
        source: str,
        function: EmbeddingFunction,
        *,
        dry_run: bool = False,
        **options: Unpack[AddOptions],
    ) -> AddReport | Estimate:
        """Add a vector column and fill it for all rows.

        Can be called again after an interruption: what was embedded is not paid for twice.
        ``dry_run=True`` returns the estimate instead and changes nothing.
        """
        return self._kept(
            migration.add_embedding(
                self._handle, vector, source, function, dry_run=dry_run, **options
            )
        )

    def migrate(
        self,
        vector: str,
        function: EmbeddingFunction,
        *,
        dry_run: bool = False,
        keep_old: bool = True,
        **options: Unpack[AddOptions],
    ) -> AddReport | Estimate:
        """Re-embed a vector column with another function, and switch in one commit.

        The new vectors are written beside the old ones; counts and a sample are checked before the
        switch. The old column is kept for :meth:`rollback` unless ``keep_old=False``.
        ``dry_run=True`` returns the estimate instead and changes nothing.
        """
        return self._kept(
            migration.migrate(
                self._handle, vector, function, dry_run=dry_run, keep_old=keep_old, **options
            )
        )

    def rollback(self, vector: str) -> None:
        """Switch a migrated vector column back to the function and vectors it had before."""
        migration.rollback(self._handle, vector)

    def rebind(self, vector: str, function: EmbeddingFunction, *, sample: int = 32) -> float:
        """Give a vector column another function that makes the same vectors, re-embedding nothing.

        A sample of rows is embedded and compared first. Returns the smallest cosine similarity.
        """
        return migration.rebind(self._handle, vector, function, sample=sample)

    # -- rows that could not be embedded ----------------------------------------------------

    def failed_rows(self) -> pa.Table:
        """Return the quarantined rows, with ``failed_column``, ``error_kind`` and ``error``."""
        return retry.failed_rows(self._handle)

    def retry_failed(self, **options: Unpack[CallOptions]) -> AddReport:
        """Try the quarantined rows again; those that fail again stay."""
        return self._kept(retry.retry_failed(self._handle, options))

    def configure(self, *, on_error: str | None = None, on_long: str | None = None) -> None:
        """Set defaults of :meth:`add` for this table, kept with it; ``None`` clears one."""
        entries = TableSettings(on_error=on_error, on_long=on_long).entries()
        self._handle.transact(lambda snapshot: Change(snapshot.base, metadata=entries))

    def optimize(
        self, cleanup_older_than: timedelta | None = None, delete_unverified: bool = False
    ) -> OptimizeReport:
        """Merge small pieces, and drop what no kept version needs; return what was done.

        Args:
            cleanup_older_than: Keep versions younger than this, seven days where it is ``None``.
                The latest version and tagged ones are kept always. ``timedelta(0)`` also erases
                what was deleted.
            delete_unverified: Also remove what others are just writing: only where nobody is.
        """
        keep = RETENTION if cleanup_older_than is None else cleanup_older_than
        if not isinstance(keep, timedelta):
            raise ConfigurationError(
                f"cleanup_older_than is a timedelta, such as timedelta(days=7), not {keep!r:.60}."
            )
        self._handle.require_latest()
        handle = self._handle
        quarantine = Quarantine.of(handle.engine, handle.look(), handle.stored)
        quarantine.sweep()
        failed = quarantine.open()
        if failed is not None:
            failed.optimize(keep=keep, delete_unverified=delete_unverified)
        return handle.stored.optimize(keep=keep, delete_unverified=delete_unverified)

    def _kept(self, done: Done) -> Done:
        if isinstance(done, AddReport):
            self.last_report = done
        return done
