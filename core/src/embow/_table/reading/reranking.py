"""Handing what a search found to a reranker, and showing what comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from embow._table.columns import Columns
from embow._table.reading.projection import Projection
from embow.engines.contract import RESERVED, ROW_ID
from embow.errors import ConfigurationError, UnknownColumnError, near_name
from embow.rerankers import Reranker
from embow.rerankers._base import checked_result, columns_read


@dataclass(frozen=True, slots=True)
class Reranking:
    """A reranker, and what it is told that the user searched for.

    Attributes:
        reranker: Orders the rows.
        query_string: Given in the place of the search's own text.
        scoring: Returns the context that models are asked in.
    """

    reranker: Reranker
    query_string: str | None
    scoring: Callable[[], AbstractContextManager[None]]

    def __str__(self) -> str:
        return type(self.reranker).__name__

    def text(self, query: Any) -> str:
        """Return what the reranker is told.

        Raises:
            ConfigurationError: The search was for something other than a text.
        """
        told = query if self.query_string is None else self.query_string
        if not isinstance(told, str):
            raise ConfigurationError(
                "A reranker is told what was searched for in words, and this search was for "
                f"{'a vector' if query is None else type(query).__name__}. Say it: "
                "rerank(reranker, query_string='...')."
            )
        return told

    def says_what_it_reads(self, method: str) -> bool:
        """Return whether the reranker's result is that of the rows it was given, in an order."""
        return columns_read(self.reranker, method) is not None

    def reads_nothing(self, method: str) -> bool:
        """Return whether the reranker goes by ids and numbers alone."""
        return columns_read(self.reranker, method) == ()

    def handed(self, method: str, columns: Columns, selected: Sequence[str]) -> list[str]:
        """Return the stored columns to hand over where rows are read whole afterwards."""
        narrow = self.says_what_it_reads(method)
        return self.physical(method, columns, () if narrow else selected)

    def physical(self, method: str, columns: Columns, selected: Sequence[str]) -> list[str]:
        """Return the stored columns to read: those selected, and those the reranker reads."""
        read = columns_read(self.reranker, method) or ()
        for name in read:
            if name not in columns.names:
                raise UnknownColumnError(
                    f"{self} reads column {name!r}, which the table does not have."
                    f"{near_name(name, columns.names)} Say which one holds the text: column='...'. "
                    f"Columns: {', '.join(columns.names)}."
                )
        return list(dict.fromkeys([*selected, *map(columns.physical, read)]))

    def ordered(self, method: str, query: str, *results: pa.Table) -> pa.Table:
        """Return what a method of the reranker makes of results."""
        with self.scoring():
            ranked = getattr(self.reranker, method)(query, *results)
        return checked_result(ranked, self.reranker, method)


def reranking(
    reranker: Any,
    query_string: str | None,
    scoring: Callable[[], AbstractContextManager[None]],
) -> Reranking:
    """Return how to rerank, sure that the arguments are good.

    Raises:
        ConfigurationError: They are not.
    """
    if not isinstance(reranker, Reranker):
        made = isinstance(reranker, type) and issubclass(reranker, Reranker)
        hint = " Make one of it: call the class." if made else ""
        raise ConfigurationError(
            f"rerank takes a reranker, such as RRFReranker(), not {reranker!r:.60}.{hint}"
        )
    if query_string is not None and not isinstance(query_string, str):
        raise ConfigurationError(f"query_string is the query as text, not {query_string!r:.60}.")
    return Reranking(reranker, query_string, scoring)


def shown_ranking(
    ranked: pa.Table, columns: Columns, projection: Projection, row_id: bool
) -> pa.Table:
    """Return the columns of a ranking that are shown.

    Args:
        ranked: Selected columns, those a reranker read or added, and scores.
        columns: The table's.
        projection: What is selected.
        row_id: Whether ``_rowid`` is wanted.
    """
    named = projection.names or ()
    for name in (*named, *projection.uses):
        if name not in ranked.schema.names:
            how = " Make it with return_score='all'." if name in RESERVED else ""
            raise ConfigurationError(f"'{name}' is selected, and the reranker left it out.{how}")
    hidden = () if row_id else (ROW_ID,)
    if projection.everything:
        return ranked.drop_columns([name for name in hidden if name in ranked.schema.names])
    new = [name for name in ranked.schema.names if name not in columns.names]
    added = [name for name in new if name not in hidden and name not in named]
    rows = ranked.combine_chunks()
    batches = [projection.shown(batch, added) for batch in rows.to_batches()]
    return pa.Table.from_batches(batches, schema=projection.shown_schema(rows.schema, added))
