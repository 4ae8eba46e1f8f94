"""One open table, as the operations on it see it.

Every operation takes a `Handle` and none takes a `Table`, so that nothing below the faces knows
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from embow._cancel import stop_if_cancelled
from embow._table.columns import Columns
from embow._table.identity import require_writer
from embow._table.settings import pipeline_options
from embow.embeddings import Binding, EmbeddingFunction
from embow.embeddings._trust import OWNER_KEY, SIGNATURE_KEY, Trust, files_refused, is_own
from embow.engines.contract import Change, Commit, Engine, EngineTable, Snapshot
from embow.errors import CheckedOutError
from embow.pipeline import EmbedJob, Pipeline, PipelineOptions


@dataclass(frozen=True, slots=True)
class Context:
    """What the tables of one database share."""

    engine: Engine
    pipeline: Pipeline
    trust: Trust

    def options(
        self, columns: Columns, given: Mapping[str, Any], on_error: str | None = None
    ) -> PipelineOptions:
        """Return the options of one call: those given, then the table's, then the defaults."""
        if not given and on_error is None:
            return columns.options
        return pipeline_options(columns.settings, given, on_error)

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
        mark = binding.fingerprint  # a function that is handed out for it has the same
        return EmbedJob(function, binding.source_column, binding.vector_column, ndims, None, mark)

    def handle(self, stored: EngineTable) -> Handle:
        """Return the handle on a table."""
        return Handle(self.engine, self.pipeline, self.trust, stored)


@dataclass(frozen=True, slots=True)
class Handle(Context):
    """What an operation needs of a table.

    Attributes:
        stored: The table.
        at: Version that is checked out; ``None`` for the latest.
        known: The columns read last, so that they are parsed once for a schema and its metadata.
    """

    stored: EngineTable
    at: int | None = None
    known: list[Columns] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.stored.name

    # -- reading --------------------------------------------------------------------------------

    def snapshot(self, *, at_least: int = 0) -> Snapshot:
        """Return the version this handle reads, to be closed after use."""
        stop_if_cancelled()
        return self.stored.snapshot(self.at, at_least=at_least)

    def columns(self, snapshot: Snapshot) -> Columns:
        """Return the columns of a snapshot."""
        schema, metadata = snapshot.schema, snapshot.metadata
        for known in self.known:
            same = schema is known.stored or schema.equals(known.stored, check_metadata=True)
            if same and metadata == known.metadata:
                return known
        self.known[:] = [Columns.read(schema, dict(metadata))]
        return self.known[0]

    def look(self) -> Columns:
        """Return the columns as they are now."""
        with self.snapshot() as snapshot:
            return self.columns(snapshot)

    def seen(self) -> Columns:
        """Return the columns as this handle saw them last; by now they may be others."""
        return self.known[0] if self.known else self.look()

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

    def transact(self, plan: Callable[[Snapshot], Change | None]) -> Commit:
        """Commit what a plan makes of a snapshot, planning again where others were faster.

        Returns:
            The commit; where the plan found nothing to do, the version it saw.

        Raises:
            CheckedOutError: A version is checked out.
            CancelledError: The call was cancelled; nothing was committed.
            CommitConflictError: Others were faster many times in a row.
        """
        self.require_latest()
        seen = 0

        def unless_cancelled(snapshot: Snapshot) -> Change | None:
            nonlocal seen
            seen = snapshot.base.version
            change = plan(snapshot)
            stop_if_cancelled()
            return change

        return self.stored.transact(unless_cancelled) or Commit(seen)
