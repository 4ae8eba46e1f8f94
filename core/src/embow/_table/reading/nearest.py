"""The search for what is nearest: what ``table.search(query)`` returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Self, cast, get_args

import numpy as np
import pyarrow as pa

from embow._table.columns import Columns
from embow._table.handle import Handle
from embow._table.reading.asked import Queries, asked, queries_of
from embow._table.reading.explain import Plan
from embow._table.reading.plan import (
    Place,
    binding_for_input,
    embedded,
    inputs_of,
    place_for,
    places,
)
from embow._table.reading.projection import Projection, Selection
from embow._table.reading.query import Query, whole_number
from embow._table.reading.reranking import Reranking, reranking, shown_ranking
from embow._table.reading.results import rows_that_satisfy
from embow.engines.contract import DISTANCE, RELEVANCE, ROW_ID, Metric, Snapshot, VectorQuery
from embow.engines.predicate import Predicate
from embow.errors import ConfigurationError, EmbowError
from embow.expr import Condition, all_of
from embow.rerankers import Reranker

DEFAULT_LIMIT = 10


class VectorSearch(Query):
    """The rows nearest to one query or several, nearest first, with ``_distance``.

    Example:
        ``table.search("greetings").metric("cosine").limit(3).to_pandas()``
    """

    _measure = DISTANCE
    """The column that says how well a row fits."""

    def __init__(self, handle: Handle, query: Any, column: str | None) -> None:
        super().__init__(handle)
        self._query = query
        self._asked = None if isinstance(query, str) else asked(query)
        self._inputs, self._listed = inputs_of(query) if self._asked is None else ([], False)
        self._column = column
        self._metric: Metric | None = None
        self._range: tuple[float | None, float | None] = (None, None)
        self._reranking: Reranking | None = None
        self._limit = DEFAULT_LIMIT

    def __repr__(self) -> str:
        shown = f"{self._query!r:.60}" if self._asked is None else str(self._asked)
        metric = "" if self._metric is None else f", metric={self._metric!r}"
        return f"{super().__repr__()[:-1]}, query={shown}{metric})"

    def limit(self, limit: int | None) -> Self:
        """Return at most so many rows a query; 10 where this is not called."""
        if limit is None:
            raise ConfigurationError("A vector search needs a limit of at least 1.")
        self._limit = whole_number("limit", limit, least=1)
        return self

    def order_by(
        self, column: Condition, *, ascending: bool = True, nulls_first: bool = False
    ) -> Self:
        """Refuse: the nearest come first. Sort what ``to_arrow`` returns."""
        raise ConfigurationError(
            "A search returns the nearest rows first. Sort its result, to_arrow().sort_by('name'), "
            "or read rows in order with search().order_by('name')."
        )

    def metric(self, metric: Metric) -> Self:
        """Choose the distance: ``"l2"`` (squared), ``"cosine"``, ``"dot"`` or ``"hamming"``.

        Where none is chosen, numbers are compared by ``l2`` and packed bits by ``hamming``.
        """
        name = str(metric).lower()
        if name not in get_args(Metric):
            raise ConfigurationError(
                f"Metric {metric!r} is not known; use {', '.join(get_args(Metric))}."
            )
        self._metric = cast("Metric", name)
        return self

    distance_type = metric

    def distance_range(
        self, lower_bound: float | None = None, upper_bound: float | None = None
    ) -> Self:
        """Keep rows with ``lower_bound <= _distance < upper_bound``."""
        for name, bound in (("lower_bound", lower_bound), ("upper_bound", upper_bound)):
            if bound is not None and not _is_real(bound):
                raise ConfigurationError(f"{name} must be a number or None, not {bound!r:.60}.")
        self._range = (lower_bound, upper_bound)
        return self

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
        for query in self._inputs or [None]:
            self._reranking.text(query)
        return self

    def to_arrow(self) -> pa.Table:
        """Embed the query where that is needed, search, and return an Arrow table."""
        if self._asked is not None:
            with self._handle.snapshot() as snapshot:
                columns = self._handle.columns(snapshot)
                place = place_for(columns, self._column, self._asked)
                return self._found(snapshot, columns, place, self._asked.on(place.kind))
        columns = self._handle.seen()
        while True:
            used = columns
            try:
                with self._step("embed"):
                    binding, vectors = embedded(self._handle, used, self._inputs, self._column)
            except EmbowError:
                columns = self._handle.look()
                if columns is used:
                    raise
                continue  # They were seen some time ago; by those of now it may be embedded.
            with self._handle.snapshot() as snapshot:
                columns = self._handle.columns(snapshot)
                same = columns is used
                if same or binding_for_input(columns, self._column, self._handle) == binding:
                    place = places(columns)[binding.vector_column]
                    queries = queries_of(vectors, several=self._listed)
                    return self._found(snapshot, columns, place, queries)

    def _scanned(self, batch_size: int | None) -> Iterator[Any]:
        found = self.to_arrow()
        yield found.schema
        yield from found.to_batches(max_chunksize=batch_size)

    def _found(
        self, snapshot: Snapshot, columns: Columns, place: Place, queries: Queries
    ) -> pa.Table:
        projection = self._projected(columns)
        rerank = self._reranking
        read = projection.physical
        if self._late:  # It may need other columns than those returned.
            read = list(columns.names.values())
        elif rerank is not None:
            read = rerank.physical("rerank_vector", columns, read)
        query = VectorQuery(
            column=place.physical,
            vectors=queries.vectors,
            sizes=queries.sizes,
            k=cast("int", self._limit),
            metric=self._metric or place.kind.metrics[0],
            offset=self._offset,
            predicate=self._predicate(columns),
            columns=read,
            distance_range=self._range,
            with_row_id=self._wants_row_id() or ROW_ID in projection.uses or rerank is not None,
        )
        with self._step("search"):
            found = snapshot.search(query)
        texts = self._inputs or [None] * len(found)
        results = [
            self._finished(each, text, columns, projection)
            for each, text in zip(found, texts, strict=True)
        ]
        if not queries.several:
            return results[0]
        return pa.concat_tables(
            result.append_column("query_index", _repeated(number, result.num_rows))
            for number, result in enumerate(results)
        )

    def _finished(
        self, result: pa.Table, query: Any, columns: Columns, projection: Projection
    ) -> pa.Table:
        shown = pa.Table.from_arrays(result.columns, schema=columns.visible_schema(result.schema))
        if self._late:
            shown = rows_that_satisfy(shown, all_of(self._late))
        if (rerank := self._reranking) is not None:
            with self._step("rerank"):
                ranked = rerank.ordered("rerank_vector", rerank.text(query), shown)
            return shown_ranking(ranked, columns, projection, self._wants_row_id())
        if self._selection == Selection():
            return shown
        added = [DISTANCE, ROW_ID] if self._wants_row_id() else [DISTANCE]
        batches = [projection.shown(batch, added) for batch in shown.to_batches()]
        schema = projection.shown_schema(shown.schema, added)
        return pa.Table.from_batches(batches, schema=schema)

    @property
    def computed(self) -> Mapping[str, pa.DataType]:
        """Columns that may be selected beside the table's, and their types."""
        added = {ROW_ID: pa.int64(), self._measure: pa.float32()}
        return added if self._reranking is None else {**added, RELEVANCE: pa.float32()}

    def _predicate(self, columns: Columns) -> Predicate | None:
        return columns.predicate(all_of(self._where)) if self._where else None

    def _plan(self, columns: Columns) -> Plan:
        plan, embed = super()._plan(columns), None
        if self._asked is None:
            binding = binding_for_input(columns, self._column, self._handle)
            place, count = places(columns)[binding.vector_column], len(self._inputs)
            embed = f"{count} {'inputs' if count > 1 else 'input'} with {binding.name!r}"
        else:
            place = place_for(columns, self._column, self._asked)
            count = len(self._asked.on(place.kind))
        return replace(
            plan,
            late=all_of(self._late) if self._late else None,
            embed=embed,
            search=place.name,
            kind=place.kind,
            metric=self._metric or place.kind.metrics[0],
            queries=count,
            rerank=None if self._reranking is None else str(self._reranking),
        )


def _is_real(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not np.isnan(value)


def _repeated(value: int, count: int) -> pa.Array:
    return pa.Array.from_buffers(
        pa.int32(), count, [None, pa.py_buffer(np.full(count, value, dtype=np.int32))]
    )
