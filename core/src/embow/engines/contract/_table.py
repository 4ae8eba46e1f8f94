"""One table of an engine, and everything that writes."""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from operator import attrgetter

import pyarrow as pa

from embow._processes import cached_property
from embow.engines.contract._history import History
from embow.engines.contract._indexed import Indexed
from embow.engines.contract._queries import ScanQuery, check_new_columns, check_schema
from embow.engines.contract._records import (
    LEASE,
    RETENTION,
    Base,
    Capability,
    Change,
    CheckReport,
    Commit,
    OptimizeReport,
    Staged,
    require,
)
from embow.engines.contract._rows import conform_values
from embow.engines.contract._snapshot import Snapshot
from embow.engines.text import TextMemory
from embow.errors import CommitConflictError, EmbowError

_ROWS = attrgetter("rows")
_TRIES = 40
_LONGEST_WAIT = 0.5


class EngineTable(History, Indexed, ABC):
    """One table. Safe to use from several threads."""

    # -- what an author writes ----------------------------------------------------------

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the table, as it was when it was opened or read last."""

    @abstractmethod
    def _snapshot(self, version: int | str | None, at_least: int) -> Snapshot:
        """Return the current version, or one by number or tag.

        Raises:
            VersionNotFoundError: There is none of that number or tag (any more).
        """

    @abstractmethod
    def write(
        self,
        batches: Iterable[pa.RecordBatch],
        *,
        base: Base,
        schema: pa.Schema | None = None,
        new: Sequence[pa.Field] = (),
        lease: timedelta = LEASE,
    ) -> Staged:
        """Write rows durably, seen by nobody.

        The iterable is pulled lazily, in bounded memory. If it raises, nothing stays behind.

        Args:
            batches: Rows. Columns may come in any order; nullable ones may be missing.
            base: Version whose schema the rows have.
            schema: The schema the rows have instead, for `overwrite`.
            new: Columns the rows have beside those of the base, which come in with the same change
                (``Change.columns``). Where schema or metadata change before it, it conflicts.
            lease: How long ``optimize`` leaves them alone.

        Raises:
            CommitConflictError: The version of ``base`` is gone, and its schema with it.
            UnknownColumnError: The rows have a column that the schema has not.
            SchemaError: A column has another type.
            DataError: A null in a column that must not have one.
        """

    @abstractmethod
    def _write_column(
        self, field: pa.Field, batches: Iterable[pa.RecordBatch], base: Base, lease: timedelta
    ) -> Staged:
        """Write the values of one more column: ``_rowid`` and the column, which fit the field."""

    @abstractmethod
    def renew(self, staged: Staged, lease: timedelta = LEASE) -> Staged:
        """Extend a lease.

        Raises:
            StagedGoneError: It ended, and the rows were removed.
        """

    @abstractmethod
    def discard(self, staged: Staged) -> None:
        """Remove what was staged and never committed. Harmless after a commit, and twice."""

    @abstractmethod
    def _commit(self, change: Change) -> Commit:
        """Make the change, which has been checked and is not empty."""

    @abstractmethod
    def _overwrite(
        self, schema: pa.Schema, staged: Sequence[Staged], base: Base, metadata: Mapping[str, str]
    ) -> Commit:
        """Replace everything; the schema has been checked."""

    @abstractmethod
    def drop_columns(self, names: Sequence[str], *, base: Base) -> Commit:
        """Remove physical columns, in one commit. Versions before it keep them.

        Raises:
            CommitConflictError: Schema or metadata changed since ``base``.
            UnknownColumnError: There is no such column.
        """

    @abstractmethod
    def optimize(
        self, *, keep: timedelta = RETENTION, delete_unverified: bool = False
    ) -> OptimizeReport:
        """Merge small pieces, and drop what no kept version needs.

        What tells whether a base still holds, and which staged rows were committed, outlives the
        versions for as long as a lease runs.

        Args:
            keep: Versions younger than this are kept, and the latest, and tagged ones.
            delete_unverified: Also remove staged rows whose lease has not ended: only where
                nobody is writing.
        """

    # -- what an author may write -------------------------------------------------------

    def check(self) -> CheckReport:
        """Read all that is stored of every version, and report what is not as it was written."""
        has_versions = Capability.VERSIONS in self.capabilities
        found = [each.version for each in self.versions()] if has_versions else [None]
        damages: dict[str, None] = {}
        for version in found:
            try:
                with self.snapshot(version) as snapshot:
                    for batch in snapshot.scan(ScanQuery()):
                        batch.validate(full=True)
            except (EmbowError, pa.ArrowException) as exc:
                damages[f"Table '{self.name}': {exc}"] = None
        return CheckReport(tuple(damages), versions=len(found))

    # -- what is the same for every engine ------------------------------------------------

    def snapshot(self, version: int | str | None = None, *, at_least: int = 0) -> Snapshot:
        """Return one version of the table, to be closed after use.

        Args:
            version: Number or tag; the current one where it is ``None``.
            at_least: A version that must be in it, such as the one of a commit just made.

        Raises:
            TableNotFoundError: The table has been dropped.
            VersionNotFoundError: There is no such version (any more).
        """
        if version is not None:
            require(self.capabilities, Capability.VERSIONS)
        found = self._snapshot(version, at_least)
        found.texts = self._texts
        return found

    @cached_property
    def _texts(self) -> TextMemory:
        return TextMemory()

    def write_column(
        self,
        field: pa.Field,
        batches: Iterable[pa.RecordBatch],
        *,
        base: Base,
        lease: timedelta = LEASE,
    ) -> Staged:
        """Write the values of one more column durably, seen by nobody.

        Args:
            field: The column; nullable, since rows of others may come in without it.
            batches: ``_rowid`` and the column, in any order. Rows not mentioned get null; rows
                removed meanwhile are ignored.
            base: Version the values were made on.
            lease: How long ``optimize`` leaves them alone.

        Raises:
            SchemaError: The column may not be null, its name is no physical one, or the values are
                of another type.
            MissingColumnError: A batch lacks one of the two columns.
        """
        check_new_columns([field])
        return self._write_column(field, conform_values(field, batches), base, lease)

    def commit(self, change: Change) -> Commit:
        """Make a change, durable when this returns, if what it was planned on still holds.

        (a) Schema and metadata are as at the base (a column coming in that is there already is a
        conflict), (b) rows removed by id are still there, (c)
        with ``alone``, nothing else has happened. Else nothing is changed.

        Where the staged rows were committed before, by a call whose answer was lost, the earlier
        commit is returned. A change of nothing makes no version.

        Raises:
            CommitConflictError: One of the three does not hold, or the table is another one.
            StagedGoneError: The lease ended, and the staged rows were removed.
        """
        if change.columns:
            check_new_columns(change.columns)
        shapes = change.shapes
        if change.remove is not None and shapes:
            raise ValueError(
                "A change of metadata or columns cannot also remove rows: make two changes."
            )
        removed = change.remove is not None and len(change.remove)
        if not shapes and not removed and not any(map(_ROWS, change.add)):
            return Commit(change.base.version)
        commit = self._commit(change)
        self._added(commit.rows_added)
        return commit

    def overwrite(
        self,
        schema: pa.Schema,
        staged: Sequence[Staged] = (),
        *,
        base: Base,
        metadata: Mapping[str, str] | None = None,
    ) -> Commit:
        """Replace schema, metadata and every row, in one commit, whatever was committed since.

        Raises:
            CommitConflictError: The table is no longer the one of ``base``.
            StagedGoneError: As in `commit`.
            SchemaError: As in ``Engine.create_table``.
        """
        check_schema(schema)
        commit = self._overwrite(schema, staged, base, metadata or {})
        self._added(commit.rows_added)
        return commit

    def transact(
        self,
        plan: Callable[[Snapshot], Change | None],
        *,
        wait: Callable[[float], None] = time.sleep,
    ) -> Commit | None:
        """Commit what ``plan`` makes of a snapshot, planning again where another writer was faster.

        Each time it waits a little longer, at random, so that of several writers all get their
        turn. A plan that is asked again returns the rows it staged before, so nothing is embedded
        or written twice.

        Returns:
            The commit, or ``None`` where the plan found nothing to do.

        Raises:
            CommitConflictError: Others were faster many times in a row.
        """
        for attempt in range(_TRIES):
            with self.snapshot() as snapshot:
                change = plan(snapshot)
            if change is None:
                return None
            try:
                return self.commit(change)
            except CommitConflictError:
                if attempt == _TRIES - 1:
                    raise
            wait(random.uniform(0, min(_LONGEST_WAIT, 0.002 * 2**attempt)))
        raise AssertionError("unreachable")  # pragma: no cover
