"""The part of a table that is about its indexes."""

from __future__ import annotations

from embow._table.truthful import TruthfulTable
from embow._table.writing import indexing
from embow.index import Config, IndexStats


class IndexedTable(TruthfulTable):
    """A table with indexes; none is needed for right answers."""

    def create_index(
        self,
        column: str,
        config: Config | None = None,
        *,
        name: str | None = None,
        replace: bool = False,
        progress: bool | None = None,
    ) -> IndexStats:
        """Build an index of a column, which makes searches of many rows faster.

        Reading and writing go on meanwhile. Rows that come in later are found too, by reading
        them, until :meth:`optimize` puts them into the index. An interruption leaves no index.

        Example:
            ``table.create_index("vector", Hnsw(metric="cosine"))``

        Args:
            column: A vector column, or for ``FTS`` a column of texts. A field of a struct is named
                by its path, such as ``"payload.text"``.
            config: ``Hnsw(...)`` or ``FTS(...)`` of ``embow.index``. Where it is ``None``, a
                column of texts gets ``FTS()`` and another ``Hnsw()``.
            name: Name of the index; the column's with ``_idx`` where it is ``None``.
            replace: Build it anew where there is one of that name.
            progress: Show a bar; ``None`` shows one in a terminal or notebook.

        Raises:
            ConfigurationError: There is an index of that name, or no such column can have one.
            PluginError: What builds it is not installed; the message says what to install.
        """
        return indexing.create_index(
            self._handle, column, config, name, replace=replace, progress=progress
        )

    def list_indices(self) -> list[IndexStats]:
        """Return the indexes of the table, by name."""
        return indexing.list_indices(self._handle)

    def index_stats(self, name: str) -> IndexStats:
        """Return what is known of one index: rows in it, rows not yet, size.

        Raises:
            ConfigurationError: There is none of that name.
        """
        return indexing.index_stats(self._handle, name)

    def drop_index(self, name: str) -> None:
        """Remove an index. Answers stay the same but for what it missed.

        Raises:
            ConfigurationError: There is none of that name.
        """
        self._handle.require_latest()
        self._handle.stored.drop_index(name)
