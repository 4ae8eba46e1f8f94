"""Searches by meaning and by words at once: ``table.search("words", query_type="hybrid")``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Self, cast, get_args

import numpy as np
import pyarrow as pa

from embow._table.columns import Columns
from embow._table.handle import Handle
from embow._table.reading.asked import Queries
from embow._table.reading.explain import Plan
from embow._table.reading.nearest import VectorSearch
from embow._table.reading.plan import Place
from embow._table.reading.projection import Projection
from embow._table.reading.reranking import Reranking, reranking, shown_ranking
from embow._table.reading.results import rows_that_satisfy, shown_rows
from embow._table.reading.textual import Words
from embow.engines.contract import (
    DISTANCE,
    RELEVANCE,
    ROW_ID,
    SCORE,
    ScanQuery,
    Snapshot,
    VectorQuery,
)
from embow.errors import ConfigurationError
from embow.expr import all_of
from embow.rerankers import Reranker, RRFReranker
from embow.rerankers._rows import Numbers, min_max, numbers, with_numbers

Normalize = Literal["score", "rank"]

LEAST_POOL = 50
"""Rows that each half finds at least, so that one far down in both can still come first."""

_METHOD = "rerank_hybrid"


class HybridSearch(VectorSearch):
    """Rows found by meaning or by words, or by both, with ``_relevance_score``, the best first.

    Both halves read one version of the table. Each finds at least 50 rows, and all that ``limit``
    and ``offset`` need; a reranker makes one order of them.

    Example:
        ``table.search("lovely cafe", query_type="hybrid").where("price < 10").to_pandas()``
    """

    _reranked_by = _METHOD

    def __init__(
        self,
        handle: Handle,
        query: str | None,
        column: str | None,
        fts_columns: str | Sequence[str] | None,
    ) -> None:
        if query is not None and not isinstance(query, str):
            raise ConfigurationError(
                "A hybrid search takes one text for both halves, or each half its own: "
                f"search(query_type='hybrid').vector([0.1, ...]).text('words'), not {query!r:.60}."
            )
        super().__init__(handle, "" if query is None else query, column)
        self._whole = query is not None
        self._near = self._whole
        self._fts_columns = fts_columns
        self._words = None if query is None else Words.of(query, fts_columns)
        self._normalize: Normalize = "score"

    def __repr__(self) -> str:
        words = "" if self._words is None else f", words={self._words.query!r:.60}"
        return f"{super().__repr__()[:-1]}{words})"

    # -- building -----------------------------------------------------------------------

    def vector(self, query: Any) -> Self:
        """Say what the vector half looks for: a vector, or what the embedding function takes."""
        self._require_halves("vector")
        self._search_for(query)
        if self._listed:
            raise ConfigurationError("A hybrid search is for one query. Search for each by itself.")
        self._near = True
        return self

    def text(self, query: Any) -> Self:
        """Say what the text half looks for: a text, or a query of ``embow.query``."""
        self._require_halves("text")
        self._words = Words.of(query, self._fts_columns)
        return self

    def phrase_query(self, phrase_query: bool = True) -> Self:
        """Look for the words in their order; the index must keep positions."""
        if self._words is None:
            raise ConfigurationError("Say what to look for first: text('words in their order').")
        self._words = self._words.as_phrase(phrase_query)
        return self

    def rerank(
        self,
        reranker: Reranker | None = None,
        query_string: str | None = None,
        *,
        normalize: Normalize = "score",
    ) -> Self:
        """Choose how one order is made of both halves.

        Example:
            ``query.rerank(LinearCombinationReranker(weight=0.7))``

        Args:
            reranker: ``RRFReranker()`` where it is ``None``, as without this call.
            query_string: What a model is told was searched for, where the words are no text.
            normalize: What the reranker is handed: ``"score"`` for distances and scores scaled to
                lie between 0 and 1, ``"rank"`` for ranks scaled so.
        """
        if normalize not in get_args(Normalize):
            raise ConfigurationError(f"normalize must be 'score' or 'rank', not {normalize!r:.60}.")
        self._normalize = normalize
        chosen = RRFReranker() if reranker is None else reranker
        self._reranking = reranking(chosen, query_string, self._handle.pipeline.scoring)
        return self

    def _require_halves(self, method: str) -> None:
        if self._whole:
            raise ConfigurationError(
                "search('...', query_type='hybrid') looks for that text in both halves. For halves "
                f"of their own leave it out: search(query_type='hybrid').{method}(...)."
            )

    # -- running ------------------------------------------------------------------------

    def to_arrow(self) -> pa.Table:
        """Embed the query where that is needed, search both halves, and return an Arrow table."""
        self._searched_words()
        return super().to_arrow()

    @property
    def computed(self) -> Mapping[str, pa.DataType]:
        """Columns that may be selected beside the table's, and their types."""
        return {ROW_ID: pa.int64(), **dict.fromkeys((DISTANCE, SCORE, RELEVANCE), pa.float32())}

    def _searched_words(self) -> Words:
        if self._words is None or not self._near:
            missing = "text" if self._words is None else "vector"
            raise ConfigurationError(
                f"A hybrid search needs both halves, and nothing was said about {missing}: "
                "search(query_type='hybrid').vector([0.1, ...]).text('words')."
            )
        return self._words

    @property
    def _ranking(self) -> Reranking:
        if self._reranking is None:
            self.rerank()
        return cast("Reranking", self._reranking)

    @property
    def _pool(self) -> int:
        return max(LEAST_POOL, cast("int", self._limit) + self._offset)

    def _found(
        self, snapshot: Snapshot, columns: Columns, place: Place, queries: Queries
    ) -> pa.Table:
        if queries.several:
            raise ConfigurationError("A hybrid search is for one query. Search for each by itself.")
        projection, rerank = self._projected(columns), self._ranking
        near, fit = self._halves(
            snapshot, columns, self._asking(columns, place, queries, projection)
        )
        with self._step("rerank"):
            ranked = self._one_order(near, fit)
        ranked = ranked.slice(self._offset, self._limit)
        if rerank.says_what_it_reads(_METHOD):
            with self._step("read"):
                ranked = _fetched(snapshot, columns, projection, ranked)
        return shown_ranking(ranked, columns, projection, self._wants_row_id())

    def _asking(
        self, columns: Columns, place: Place, queries: Queries, projection: Projection
    ) -> VectorQuery:
        read = self._ranking.handed(_METHOD, columns, projection.physical)
        return replace(
            super()._asking(columns, place, queries, projection),
            k=self._pool,
            offset=0,
            columns=list(columns.names.values()) if self._late else read,
            with_row_id=True,
        )

    def _halves(
        self, snapshot: Snapshot, columns: Columns, asking: VectorQuery
    ) -> tuple[pa.Table, pa.Table]:
        """Return what each half found, as users see it, with ``_rowid``."""
        words = self._searched_words().on(
            snapshot,
            columns,
            self._handle.name,
            k=asking.k,
            read=asking.columns or (),
            predicate=asking.predicate,
            row_ids=asking.row_ids,
            with_row_id=True,
        )
        with self._step("search"):
            (near,) = snapshot.search(asking)
        with self._step("words"):
            fit = snapshot.search_text(words)
        halves = [shown_rows(each, columns) for each in (near, fit)]
        if self._late:
            halves = [rows_that_satisfy(each, all_of(self._late)) for each in halves]
        return halves[0], halves[1]

    def _one_order(self, near: pa.Table, fit: pa.Table) -> pa.Table:
        """Return what the reranker makes of both halves, with the numbers that they had."""
        rerank = self._ranking
        scaled = min_max if self._normalize == "score" else _by_rank
        ranked = rerank.ordered(
            _METHOD,
            self._told(),
            # Where all are alike, a single row for one, they are the best there are.
            with_numbers(near, DISTANCE, scaled(numbers(near, DISTANCE), 0.0)),
            with_numbers(fit, SCORE, scaled(numbers(fit, SCORE), 1.0)),
        )
        for half, name in ((near, DISTANCE), (fit, SCORE)):
            if name in ranked.schema.names and ROW_ID in ranked.schema.names:
                ids = half.column(ROW_ID).to_pylist()
                had = dict(zip(ids, half.column(name).to_pylist(), strict=True))
                own = [had.get(row_id, np.nan) for row_id in ranked.column(ROW_ID).to_pylist()]
                ranked = with_numbers(ranked, name, np.array(own, np.float64))
        return ranked

    def _told(self) -> str:
        """Return what the reranker is told was searched for; one that reads no row needs none."""
        rerank, text = self._ranking, self._searched_words().text
        if text is None and isinstance(self._query, str):
            text = self._query
        return rerank.text(text if text is not None or not rerank.reads_nothing(_METHOD) else "")

    def _plan(self, columns: Columns) -> Plan:
        words = self._searched_words()
        with self._handle.snapshot() as snapshot:
            told = words.told(snapshot, columns, self._handle.name)
        rerank = f"{self._ranking} of at most {self._pool} rows of each half"
        return replace(super()._plan(columns), words=told, rerank=rerank)


def _by_rank(values: Numbers, alike: float) -> Numbers:
    """Return ranks scaled to lie between 0 and 1, the smallest number having the first rank."""
    ranks = np.empty(len(values))
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    return min_max(ranks, alike)


def _fetched(
    snapshot: Snapshot, columns: Columns, projection: Projection, ranked: pa.Table
) -> pa.Table:
    """Return the rows of a ranking whole, and its scores."""
    ids = ranked.column(ROW_ID).to_numpy()
    query = ScanQuery(columns=projection.physical, row_ids=ids, with_row_id=True)
    shown = shown_rows(snapshot.scan(query).read_all(), columns)
    for name in (DISTANCE, SCORE, RELEVANCE):
        if name in ranked.schema.names:
            shown = shown.append_column(name, ranked.column(name))
    return shown
