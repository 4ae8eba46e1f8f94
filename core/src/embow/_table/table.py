"""A table: rows in, rows out, vectors made on the way.

A facade: every capability has its own module, which takes the handle and not the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, Unpack, overload

import pyarrow as pa

from embow._table.incoming.vectors import BadVectorPolicy, OnBadVectors
from embow._table.indexed import IndexedTable
from embow._table.settings import AddOptions, TableSettings
from embow._table.writing import adding, changes, reshaping
from embow._table.writing.altering import ColumnChange
from embow._table.writing.changes import DeleteResult, UpdateResult
from embow._table.writing.computing import Computing
from embow._table.writing.keys import require_key
from embow._table.writing.merge import MergeInsert, MergeResult
from embow._table.writing.quarantine import Quarantine
from embow._table.writing.reshaping import SchemaChange
from embow._table.writing.staging import drop_stored
from embow.engines.contract import RETENTION, Change, CheckReport, OptimizeReport
from embow.errors import ConfigurationError
from embow.expr import Condition, sql
from embow.pipeline import AddReport, Estimate

AddMode = Literal["append", "overwrite"]


class Table(IndexedTable):
    """Rows of one schema, with vectors that embed themselves.

    Made by ``Database.create_table`` and ``Database.open_table``. Safe to use from several threads;
    several processes may read and write one table.

    Attributes:
        last_report: What the latest call that embedded did, in this object.
    """

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
        new_columns: bool = False,
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
        new_columns: bool = False,
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
        new_columns: bool = False,
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
            new_columns: Also take columns the table does not have, which the first rows show. They
                come in with the rows, in one commit, and are null in the rows that are there.
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
        return self._kept(
            adding.add(
                self._handle,
                data,
                mode,
                policy,
                options,
                dry_run=dry_run,
                new_columns=new_columns,
            )
        )

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

    def upsert(self, data: Any, **options: Unpack[AddOptions]) -> MergeResult:
        """Add rows whose primary key is new, and change those whose key is there, in one commit.

        Columns that the rows leave out stay as they are in the rows that are there.

        Args:
            data: Rows as in :meth:`add`, held in memory.
            **options: As in :meth:`add`.

        Raises:
            ConfigurationError: The table has no primary key.
            DataError: A key comes twice in the data, or a row does not fit.
        """
        key = require_key(self._handle, self._handle.look(), "upsert")
        merge = self.merge_insert(key).when_matched_update_all().when_not_matched_insert_all()
        return merge.execute(data, **options)

    def delete(
        self, /, where: Condition | None = None, *values: Any, keys: Any = None, **named: Any
    ) -> DeleteResult:
        """Remove the rows that satisfy a condition, or those of some primary keys.

        Args:
            where: Condition, bound as in ``where`` of a search.
            *values: Values of its ``?``.
            keys: Keys as in :meth:`get`; those that are not there are no error.
            **named: Values of its ``:name``.

        Raises:
            PredicateError: The condition cannot be read.
        """
        condition = None if where is None else sql(where, *values, **named)
        return changes.delete(self._handle, condition, keys)

    # -- columns ------------------------------------------------------------------------------

    def add_columns(
        self,
        columns: Mapping[str, str | Computing] | pa.Field | Iterable[pa.Field] | pa.Schema,
    ) -> SchemaChange:
        """Add columns, in one commit.

        The values are made once, from the rows that are there: later rows bring their own or have
        null.

        Args:
            columns: ``{"name": "SQL expression over the row"}``; ``{"name": function}``, which
                takes a ``pyarrow.RecordBatch`` of all columns and returns an array or list of as
                many values; or fields or a schema, whose columns are null in every row.

        Raises:
            SchemaError: A name is taken, or the type cannot be told.
            PredicateError: An expression cannot be read, or fails on a row.
        """
        return reshaping.add_columns(self._handle, columns)

    def alter_columns(self, *alterations: ColumnChange) -> SchemaChange:
        """Change the name, type, nullability or metadata of columns, in one commit.

        Args:
            *alterations: Dicts with the column as ``path``, and any of ``rename``, ``nullable``,
                ``data_type`` (a pyarrow type that every value fits) and ``metadata`` (texts by
                name, in the place of those there are).

        Raises:
            SchemaError: A name is taken, or a function or the primary key rests on what changes.
            DataError: A value does not fit, or is null and may not be; the row is named.
        """
        return reshaping.alter_columns(self._handle, alterations)

    def drop_columns(self, columns: Sequence[str]) -> SchemaChange:
        """Take columns away, in one commit. A vector column takes its function with it.

        Earlier versions keep them; ``optimize`` frees what no version needs.

        Raises:
            SchemaError: A function reads the column, or it is in the primary key.
        """
        return reshaping.drop_columns(self._handle, columns)

    # -- settings and files ------------------------------------------------------------------

    def set_primary_key(self, columns: str | Sequence[str] | None) -> SchemaChange:
        """Declare the column or columns that tell rows apart, or with ``None`` that none do.

        Raises:
            DuplicateKeyError: Two rows have the same key.
            DataError: A key is null.
            SchemaError: A column is of a type that cannot be a key.
        """
        return reshaping.set_primary_key(self._handle, columns)

    def check(self) -> CheckReport:
        """Read all that is stored, of every version, and report what is not as it was written."""
        return self._handle.stored.check()

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
        drop_stored(handle, reshaping.dropped_columns)
        return handle.stored.optimize(keep=keep, delete_unverified=delete_unverified)
