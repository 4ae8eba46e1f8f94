"""The asynchronous face of queries: built at once, their results awaited."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Any, Self

import pyarrow as pa

from embow._table.awaiting import Face, Threads, awaited, awaited_face, building
from embow._table.reading.hybrid import HybridSearch
from embow._table.reading.nearest import VectorSearch
from embow._table.reading.query import Query
from embow._table.reading.ranked import RankedQuery
from embow._table.reading.textual import TextSearch


class AsyncBatches:
    """Record batches to iterate over with ``async for``.

    Attributes:
        schema: Their schema.
    """

    def __init__(self, reader: pa.RecordBatchReader, threads: Threads) -> None:
        self.schema: pa.Schema = reader.schema
        self._batches: Iterator[pa.RecordBatch] = iter(reader)
        self.threads = threads

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> pa.RecordBatch:
        batch = await self.threads.run(lambda: next(self._batches, None))
        if batch is None:
            raise StopAsyncIteration
        return batch


class AsyncQuery(Face[Query]):
    """A :class:`~embow._table.reading.query.Query` whose terminal methods are awaited.

    It may be awaited before, as in LanceDB: ``(await table.search("q")).limit(1)``.
    """

    async def _itself(self) -> Self:
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        return self._itself().__await__()

    where = building(Query.where)
    select = building(Query.select)
    limit = building(Query.limit)
    offset = building(Query.offset)
    order_by = building(Query.order_by)
    row_ids = building(Query.row_ids)
    with_row_id = building(Query.with_row_id)

    explain_plan = awaited(Query.explain_plan)
    analyze_plan = awaited(Query.analyze_plan)
    to_arrow = awaited(Query.to_arrow)
    to_batches = awaited_face(AsyncBatches, Query.to_batches)
    to_list = awaited(Query.to_list)
    to_pandas = awaited(Query.to_pandas)
    to_polars = awaited(Query.to_polars)
    to_pydantic = awaited(Query.to_pydantic)


class AsyncRankedQuery(AsyncQuery):
    """A :class:`~embow._table.reading.ranked.RankedQuery` whose results are awaited."""

    order_by = building(RankedQuery.order_by)
    rerank = building(RankedQuery.rerank)


class AsyncVectorSearch(AsyncRankedQuery):
    """A :class:`~embow._table.reading.nearest.VectorSearch` whose results are awaited."""

    limit = building(VectorSearch.limit)
    metric = building(VectorSearch.metric)
    distance_type = metric
    distance_range = building(VectorSearch.distance_range)
    ef = building(VectorSearch.ef)
    bypass_vector_index = building(VectorSearch.bypass_vector_index)
    fast_search = building(VectorSearch.fast_search)

    to_arrow = awaited(VectorSearch.to_arrow)


class AsyncTextSearch(AsyncRankedQuery):
    """A :class:`~embow._table.reading.textual.TextSearch` whose results are awaited."""

    phrase_query = building(TextSearch.phrase_query)

    to_arrow = awaited(TextSearch.to_arrow)


class AsyncHybridSearch(AsyncVectorSearch):
    """A :class:`~embow._table.reading.hybrid.HybridSearch` whose results are awaited."""

    vector = building(HybridSearch.vector)
    text = building(HybridSearch.text)
    phrase_query = building(HybridSearch.phrase_query)
    rerank = building(HybridSearch.rerank)

    to_arrow = awaited(HybridSearch.to_arrow)


_SEARCHES: Mapping[type[Query], type[AsyncQuery]] = {
    HybridSearch: AsyncHybridSearch,
    VectorSearch: AsyncVectorSearch,
    TextSearch: AsyncTextSearch,
}


def face_of(query: Query, threads: Threads) -> AsyncQuery:
    """Return the face of a query, whichever kind it is."""
    for kind, face in _SEARCHES.items():
        if isinstance(query, kind):
            return face(query, threads)
    return AsyncQuery(query, threads)
