"""What every search has in common: rows that were found, the best first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import pyarrow as pa

from embow._table.columns import Columns
from embow._table.handle import Handle
from embow._table.reading.explain import Plan
from embow._table.reading.projection import Projection, Selection
from embow._table.reading.query import Query
from embow._table.reading.reranking import Reranking, reranking, shown_ranking
from embow._table.reading.results import rows_that_satisfy, shown_rows
from embow.engines.contract import RELEVANCE, ROW_ID
from embow.engines.predicate import Predicate
from embow.errors import ConfigurationError
from embow.expr import Condition, all_of
from embow.rerankers import Reranker

DEFAULT_LIMIT = 10


class RankedQuery(Query):
    """Rows that a search found, the best first, with what tells how good they are."""

    _measure: ClassVar[str]
    """The column that says how well a row fits."""

    _reranked_by: ClassVar[str]
    """The method of a reranker that is asked."""

    def __init__(self, handle: Handle) -> None:
        super().__init__(handle)
        self._reranking: Reranking | None = None
        self._limit = DEFAULT_LIMIT

    def order_by(
        self, column: Condition, *, ascending: bool = True, nulls_first: bool = False
    ) -> Self:
        """Refuse: the best come first. Sort what ``to_arrow`` returns."""
        raise ConfigurationError(
            "A search returns the nearest rows first. Sort its result, to_arrow().sort_by('name'), "
            "or read rows in order with search().order_by('name')."
        )

    def rerank(self, reranker: Reranker, query_string: str | None = None) -> Self:
        """Put the rows that are found into another order, by ``_relevance_score``, the best first.

        The reranker sees as many rows as ``limit`` says, and the columns that are selected.

        Example:
            ``table.search("fox").limit(50).rerank(CrossEncoderReranker()).to_list()[:5]``

        Args:
            reranker: One of ``embow.rerankers``, of a plugin, or your own.
            query_string: What was searched for, where the query is no text.
        """
        self._reranking = reranking(reranker, query_string, self._handle.pipeline.scoring)
        for query in self._texts():
            self._reranking.text(query)
        return self

    def _scanned(self, batch_size: int | None) -> Iterator[Any]:
        found = self.to_arrow()
        yield found.schema
        yield from found.to_batches(max_chunksize=batch_size)

    def _texts(self) -> Sequence[Any]:
        """Return each query, ``None`` for those that are no text."""
        raise NotImplementedError

    def _read(self, columns: Columns, projection: Projection) -> Sequence[str]:
        """Return the stored columns to read of what was found."""
        if self._late:  # It may need other columns than those returned.
            return list(columns.names.values())
        if self._reranking is not None:
            return self._reranking.physical(self._reranked_by, columns, projection.physical)
        return projection.physical

    def _reads_row_id(self, projection: Projection) -> bool:
        wanted = self._wants_row_id() or ROW_ID in projection.uses
        return wanted or self._reranking is not None

    def _finished(
        self, result: pa.Table, query: Any, columns: Columns, projection: Projection
    ) -> pa.Table:
        shown = shown_rows(result, columns)
        if self._late:
            shown = rows_that_satisfy(shown, all_of(self._late))
        if (rerank := self._reranking) is not None:
            with self._step("rerank"):
                ranked = rerank.ordered(self._reranked_by, rerank.text(query), shown)
            return shown_ranking(ranked, columns, projection, self._wants_row_id())
        if self._selection == Selection():
            return shown
        added = [self._measure, ROW_ID] if self._wants_row_id() else [self._measure]
        batches = [projection.shown(batch, added) for batch in shown.to_batches()]
        schema = projection.shown_schema(shown.schema, added)
        return pa.Table.from_batches(batches, schema=schema)

    @property
    def computed(self) -> Mapping[str, pa.DataType]:
        """Columns that may be selected beside the table's, and their types."""
        added = {ROW_ID: pa.int64(), self._measure: pa.float32()}
        return added if self._reranking is None else {**added, RELEVANCE: pa.float32()}

    def _plan(self, columns: Columns) -> Plan:
        late = all_of(self._late) if self._late else None
        rerank = None if self._reranking is None else str(self._reranking)
        return replace(super()._plan(columns), late=late, rerank=rerank)

    def _predicate(self, columns: Columns) -> Predicate | None:
        return columns.predicate(all_of(self._where)) if self._where else None
