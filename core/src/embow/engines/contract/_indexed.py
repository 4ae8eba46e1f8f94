"""Indexes of a table: defined, listed, removed; refused where there are none."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from embow._cancel import CancelledError
from embow.engines._indexing import say_once, untold
from embow.engines.contract._records import Capability, IndexInfo, require
from embow.engines.indexes import Definition, Step
from embow.engines.text import KIND
from embow.errors import ConfigurationError, EmbowError, near_name

_MANY = 4096
"""Rows added in this process after which indexes of words are extended."""


def check_index(table: str, name: str, names: Collection[str], *, new: bool) -> None:
    """Refuse an index that is there and must be new, or is not there and must be.

    Raises:
        ConfigurationError: The sentence names the indexes there are, or what to give.
    """
    if new and name in names:
        raise ConfigurationError(
            f"Table '{table}' has an index '{name}' already. Give replace=True to build it anew, "
            "or another name."
        )
    if not new and name not in names:
        raise ConfigurationError(
            f"Table '{table}' has no index '{name}'.{near_name(name, names)} "
            f"Indexes: {', '.join(names) or 'none'}."
        )


class Indexed:
    """What a table says of its indexes."""

    capabilities: frozenset[Capability] = frozenset()
    _unindexed = 0

    # -- what the author of an engine with indexes writes -----------------------------------

    def _create_index(self, wanted: Definition, anew: bool, step: Step) -> None:
        raise NotImplementedError

    def _drop_index(self, name: str) -> None:
        raise NotImplementedError

    def _move_index(self, name: str, column: str) -> None:
        raise NotImplementedError

    def _extend_indexes(self, step: Step, kind: str | None = None) -> int:
        raise NotImplementedError

    def indexes(self) -> list[IndexInfo]:
        """Return the indexes there are, by name."""
        return []

    # -- what is the same for every engine ------------------------------------------------

    def create_index(
        self,
        column: str,
        config: Any,
        *,
        name: str,
        replace: bool = False,
        step: Step = untold,
    ) -> None:
        """Define an index and build it to the current version.

        Readers and writers go on meanwhile. Who is interrupted leaves nothing; who is killed may
        leave the definition, and `optimize` builds what is missing.

        Args:
            column: Physical column, or the path of a field within: ``image.small``.
            config: What to build: its ``kind``, its ``settings()``, and as ``capability`` what that
                takes; see ``embow.index``.
            name: Name of the index.
            replace: Build it anew where there is one of that name.
            step: Called with a number of rows after so many were indexed.

        Raises:
            ConfigurationError: There is an index of that name, and ``replace`` is false; or the
                column cannot have such an index.
            UnknownColumnError: There is no such column.
            PluginError: The library is not installed.
        """
        require(self.capabilities, config.capability)
        self._create_index(Definition(name, config.kind, column, config.settings()), replace, step)

    def extend_indexes(self, step: Step = untold) -> int:
        """Build pieces over rows that have none where that is worth it; return how many pieces.

        ``optimize`` does it too.
        """
        return self._extend_indexes(step) if self._has_indexes() else 0

    def drop_index(self, name: str) -> None:
        """Remove an index, whose pieces go.

        Raises:
            ConfigurationError: There is none of that name.
        """
        self._require_indexes()
        self._drop_index(name)

    def move_index(self, name: str, column: str) -> None:
        """Let an index be of another physical column; ``optimize`` builds it for that one."""
        self._require_indexes()
        self._move_index(name, column)

    def _added(self, rows: int) -> None:
        """Extend text indexes after commits that left many rows for every reader to analyse.

        The commit stands whatever comes of it, and what is not built now is built by `optimize`.
        """
        self._unindexed += rows
        if self._unindexed < _MANY or Capability.TEXT_INDEX not in self.capabilities:
            return
        self._unindexed = 0
        try:
            self._extend_indexes(untold, KIND)
        except CancelledError:
            return
        except EmbowError as exc:
            say_once(f"The rows were added, but an index of words was not extended: {exc}")

    def _has_indexes(self) -> bool:
        return bool({Capability.VECTOR_INDEX, Capability.TEXT_INDEX} & self.capabilities)

    def _require_indexes(self) -> None:
        if not self._has_indexes():
            require(self.capabilities, Capability.VECTOR_INDEX)
