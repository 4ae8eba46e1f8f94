"""The search for what is nearest: what ``table.search(query)`` returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, Self, cast, get_args

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
from embow._table.reading.projection import Projection
from embow._table.reading.query import whole_number
from embow._table.reading.ranked import RankedQuery
from embow.engines.contract import DISTANCE, Metric, Snapshot, VectorQuery
from embow.errors import ConfigurationError, EmbowError


class VectorSearch(RankedQuery):
    """The rows nearest to one query or several, nearest first, with ``_distance``.

    Example:
        ``table.search("greetings").metric("cosine").limit(3).to_pandas()``
    """

    _measure = DISTANCE
    _reranked_by = "rerank_vector"

    def __init__(self, handle: Handle, query: Any, column: str | None) -> None:
        super().__init__(handle)
        self._column = column
        self._search_for(query)
        self._metric: Metric | None = None
        self._range: tuple[float | None, float | None] = (None, None)
        self._ef: int | None = None
        self._index: Literal["auto", "never", "only"] = "auto"

    def _search_for(self, query: Any) -> None:
        self._query = query
        self._asked = None if isinstance(query, str) else asked(query)
        self._inputs, self._listed = inputs_of(query) if self._asked is None else ([], False)

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

    def ef(self, ef: int | None) -> Self:
        """Set how many rows an index considers: more find more, and take longer.

        At least as many as are wanted are considered; where this is not called, or ``None``, the
        engine chooses.
        """
        self._ef = whole_number("ef", ef, least=1) if ef is not None else None
        return self

    def bypass_vector_index(self) -> Self:
        """Read every row, whatever index there is: the answer is exact."""
        self._index = "never"
        return self

    def fast_search(self) -> Self:
        """Leave out rows that came in since the index was built or extended."""
        self._index = "only"
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

    def _found(
        self, snapshot: Snapshot, columns: Columns, place: Place, queries: Queries
    ) -> pa.Table:
        projection = self._projected(columns)
        with self._step("search"):
            found = snapshot.search(self._asking(columns, place, queries, projection))
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

    def _asking(
        self, columns: Columns, place: Place, queries: Queries, projection: Projection
    ) -> VectorQuery:
        return VectorQuery(
            column=place.physical,
            vectors=queries.vectors,
            sizes=queries.sizes,
            k=cast("int", self._limit),
            metric=self._metric or place.kind.metrics[0],
            offset=self._offset,
            predicate=self._predicate(columns),
            columns=self._read(columns, projection),
            distance_range=self._range,
            ef=self._ef,
            index=self._index,
            row_ids=self._ids,
            with_row_id=self._reads_row_id(projection),
        )

    def _texts(self) -> Sequence[Any]:
        """Return each query that is embedded, ``None`` for those given as vectors."""
        return self._inputs or [None]

    def _plan(self, columns: Columns) -> Plan:
        plan, embed = super()._plan(columns), None
        if self._asked is None:
            binding = binding_for_input(columns, self._column, self._handle)
            place, count = places(columns)[binding.vector_column], len(self._inputs)
            embed = f"{count} {'inputs' if count > 1 else 'input'} with {binding.name!r}"
        else:
            place = place_for(columns, self._column, self._asked)
            count = len(self._asked.on(place.kind))
        zeros = queries_of(np.zeros((count, place.kind.ndims), np.float32), several=True)
        return replace(
            plan,
            embed=embed,
            search=place.name,
            kind=place.kind,
            metric=self._metric or place.kind.metrics[0],
            queries=count,
            asked=self._asking(columns, place, zeros, self._projected(columns)),
        )


def _is_real(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not np.isnan(value)


def _repeated(value: int, count: int) -> pa.Array:
    return pa.Array.from_buffers(
        pa.int32(), count, [None, pa.py_buffer(np.full(count, value, dtype=np.int32))]
    )
