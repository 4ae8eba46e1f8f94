"""Merging rows into a table by key."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Self

from embow.expr import Condition
from embow_lancedb._limits import MERGE, limited, within


class _Merge:
    """A merge being described.

    Attributes:
        core: embow's merge.
    """

    def __init__(self, core: Any) -> None:
        self.core = core

    def when_matched_update_all(self, *, where: Condition | None = None) -> Self:
        """Replace the columns given in the data, in rows whose key is in both."""
        self.core = self.core.when_matched_update_all(where)
        return self

    def when_not_matched_insert_all(self) -> Self:
        """Insert rows whose key is not in the table."""
        self.core = self.core.when_not_matched_insert_all()
        return self

    def when_not_matched_by_source_delete(self, condition: Condition | None = None) -> Self:
        """Delete rows of the table whose key is not in the data, all or by condition."""
        self.core = self.core.when_not_matched_by_source_delete(condition)
        return self

    def use_index(self, use_index: bool) -> Self:
        """Change nothing: keys are found without an index."""
        return self

    def use_lsm(self, enable: bool) -> Self:
        """Change nothing: there is one way to write."""
        return self

    def validate_single_shard(self, validate_single_shard: bool) -> Self:
        """Change nothing: a table has one part."""
        return self


class LanceMergeInsertBuilder(_Merge):
    """A merge being described; ``execute`` runs it."""

    def execute(
        self,
        new_data: Any,
        on_bad_vectors: str = "error",
        fill_value: float = 0.0,
        timeout: timedelta | None = None,
    ) -> Any:
        """Run the merge in one commit, and return the numbers of rows and the version."""
        with limited(timeout, MERGE):
            return self.core.execute(new_data, on_bad_vectors, fill_value)


class AsyncMergeInsertBuilder(_Merge):
    """A merge being described; ``await execute(...)`` runs it."""

    async def execute(
        self,
        new_data: Any,
        on_bad_vectors: str = "error",
        fill_value: float = 0.0,
        timeout: timedelta | None = None,
    ) -> Any:
        """Run the merge in one commit, and return the numbers of rows and the version."""
        return await within(timeout, self.core.execute(new_data, on_bad_vectors, fill_value), MERGE)
