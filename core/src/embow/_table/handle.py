"""One open table, as the operations on it see it.

Every operation takes a `Handle` and none takes a `Table`, so that nothing below the faces knows
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from embow._table.columns import Columns
from embow._table.identity import require_writer
from embow._table.settings import TableSettings, pipeline_options
from embow.embeddings import Binding, EmbeddingFunction
from embow.embeddings._trust import OWNER_KEY, SIGNATURE_KEY, Trust, files_refused, is_own
from embow.engines.contract import Base, Change, Commit, Engine, EngineTable, Snapshot, Staged
from embow.errors import CheckedOutError
from embow.pipeline import EmbedJob, Pipeline, PipelineOptions
from embow.pipeline._cancel import stop_if_cancelled


@dataclass(slots=True)
class _Known:
    """The columns read last, so that they are parsed once for a schema and its metadata."""

    columns: Columns | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """What the tables of one database share.

    Attributes:
        engine: The database.
        pipeline: What embeds.
        trust: What settings kept in tables may decide.
    """

    engine: Engine
    pipeline: Pipeline
    trust: Trust

    def options(self, columns: Columns, given: Mapping[str, Any]) -> PipelineOptions:
        """Return the options of one call: those given, then the table's, then the defaults."""
        return pipeline_options(TableSettings.read(columns.metadata), given)

    def function(self, columns: Columns, binding: Binding) -> EmbeddingFunction:
        """Return the function of a binding, sure that it makes the vectors the column has.

        Raises:
            UntrustedError: Its settings decide what only this process may decide.
            IdentityMismatchError: A variable or another version of the provider changes the
                vectors.
            PluginError: The provider is not installed; the message says what to install.
        """
        function = binding.function(self.trust, columns.metadata.get(SIGNATURE_KEY))
        require_writer(binding, function)
        return function

    def job(self, columns: Columns, binding: Binding) -> EmbedJob:
        """Return what embeds for a binding. Raises what `function` raises."""
        function = self.function(columns, binding)
        ndims = binding.ndims or function.ndims()
        return EmbedJob(function, binding.source_column, binding.vector_column, ndims)


@dataclass(frozen=True, slots=True)
class Handle(Context):
    """What an operation needs of a table.

    Attributes:
        stored: The table.
        at: Version that is checked out; ``None`` for the latest.
    """

    stored: EngineTable
    at: int | None = None
    known: _Known = field(default_factory=_Known, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.stored.name

    # -- reading --------------------------------------------------------------------------------

    def snapshot(self, *, at_least: int = 0) -> Snapshot:
        """Return the version this handle reads, to be closed after use."""
        return self.stored.snapshot(self.at, at_least=at_least)

    def columns(self, snapshot: Snapshot) -> Columns:
        """Return the columns of a snapshot."""
        schema, metadata, known = snapshot.schema, snapshot.metadata, self.known.columns
        if (
            known is None
            or metadata != known.metadata
            or not (schema is known.stored or schema.equals(known.stored, check_metadata=True))
        ):
            known = self.known.columns = Columns.read(schema, dict(metadata))
        return known

    def look(self) -> Columns:
        """Return the columns as they are now."""
        with self.snapshot() as snapshot:
            return self.columns(snapshot)

    def seen(self) -> Columns:
        """Return the columns as this handle saw them last; by now they may be others."""
        return self.known.columns or self.look()

    def confined(self, columns: Columns) -> AbstractContextManager[None]:
        """Return a context to embed stored rows in: a stranger's may not name files to be read."""
        if self.trust.everything or is_own(columns.metadata.get(OWNER_KEY)):
            return nullcontext()
        return files_refused(
            f"it is named by a row of table {self.name!r}, which another user made, and this "
            "program did not allow to read what it names. If the table is from someone you trust, "
            "allow it: connect(uri, trust=True). To allow the files of one folder only, set "
            "EMBOW_MEDIA_ROOT to it."
        )

    # -- writing --------------------------------------------------------------------------------

    def require_latest(self) -> None:
        """Refuse to write where a version is checked out.

        Raises:
            CheckedOutError: One is; the message says how to get back.
        """
        if self.at is not None:
            raise CheckedOutError(
                f"The table cannot be modified when a specific version is checked out: "
                f"{self.name!r} is at version {self.at}. Call checkout_latest() first, or "
                "restore() to make this version the latest."
            )

    def transact(
        self, plan: Callable[[Snapshot], Change | None], *, at_least: int = 0
    ) -> Commit | None:
        """Commit what a plan makes of a snapshot, planning again where others were faster.

        Raises:
            CheckedOutError: A version is checked out.
            CancelledError: The call was cancelled; nothing was committed.
            CommitConflictError: Others were faster many times in a row.
        """
        self.require_latest()

        def unless_cancelled(snapshot: Snapshot) -> Change | None:
            change = plan(snapshot)
            stop_if_cancelled()
            return change

        return self.stored.transact(unless_cancelled, at_least=at_least)

    def overwrite(self, columns: Columns, staged: Sequence[Staged], base: Base) -> Commit:
        """Replace everything by rows of these columns, in one commit.

        Raises:
            CheckedOutError: A version is checked out.
            CancelledError: The call was cancelled; nothing was committed.
        """
        self.require_latest()
        stop_if_cancelled()
        return self.stored.overwrite(columns.stored, staged, base=base, metadata=columns.metadata)
