"""The part of a table that keeps its vectors true to their sources and functions."""

from __future__ import annotations

from typing import TypeVar, Unpack

import pyarrow as pa

from embow._table.handle import Handle
from embow._table.readable import ReadableTable
from embow._table.settings import AddOptions, CallOptions
from embow._table.truth import migration, verification
from embow._table.writing import retry
from embow.embeddings import EmbeddingFunction
from embow.expr import Condition
from embow.pipeline import AddReport, Estimate

Done = TypeVar("Done", AddReport, Estimate, AddReport | Estimate)


class TruthfulTable(ReadableTable):
    """A table whose vectors can be checked, made again, and given another function."""

    def __init__(self, handle: Handle) -> None:
        super().__init__(handle)
        self.last_report: AddReport | None = None

    # -- keeping vectors true ---------------------------------------------------------------

    def verify(self, *, remote: bool = False) -> verification.VerifyReport:
        """Find stale, missing and foreign vectors by their source hashes, without provider calls.

        Args:
            remote: Also embed a few stored sources of each column again and compare, to find out
                whether the model changed behind its name.
        """
        return verification.verify(self._handle, remote=remote)

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

    def discard_failed(self, where: Condition | None = None) -> int:
        """Throw quarantined rows away; they cannot be brought back.

        Args:
            where: Which of them, as a condition over the columns of :meth:`failed_rows`; all where
                it is ``None``.

        Returns:
            How many.
        """
        return retry.discard_failed(self._handle, where)

    def _kept(self, done: Done) -> Done:
        if isinstance(done, AddReport):
            self.last_report = done
        return done
