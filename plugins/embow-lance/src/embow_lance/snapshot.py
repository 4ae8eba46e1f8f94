"""One version of a Lance dataset, and everything that reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import lance
import numpy as np
import pyarrow as pa
from lance.fragment import LanceFragment

from embow.engines.contract import (
    DISTANCE,
    ROW_ID,
    Base,
    ScanQuery,
    Snapshot,
    VectorQuery,
    column_of,
)
from embow.engines.predicate import Predicate
from embow.errors import DataError
from embow_lance.failures import storing
from embow_lance.fields import OWN, Shape
from embow_lance.filters import compiled
from embow_lance.reading import in_order, read, read_ids
from embow_lance.search import nearest
from embow_lance.store import Store


class LanceSnapshot(Snapshot):
    """One version of a Lance dataset."""

    def __init__(self, store: Store, dataset: lance.LanceDataset) -> None:
        shape = Shape.of(dataset.lance_schema)
        super().__init__(
            Base(shape.own().get("table", ""), dataset.version),
            dataset.schema.remove_metadata(),
            {key: value for key, value in shape.metadata.items() if key != OWN},
        )
        self.capabilities = store.capabilities(dataset)
        self._store = store
        self._dataset = dataset
        store.hold(self)

    def fragments(self) -> list[str]:
        """Return the numbers of the fragments, as text."""
        return [str(fragment.fragment_id) for fragment in self._fragments]

    def close(self) -> None:
        """Let `optimize` remove this version when it is old enough."""
        self._store.release(self)

    @cached_property
    def _fragments(self) -> list[LanceFragment]:
        with storing(f"read table '{self._store.name}'"):
            return in_order(self._dataset)

    def understands(self, predicate: Predicate) -> bool:
        """Return whether Lance evaluates this filter by itself, and as embow does."""
        return compiled(predicate, self.schema) is not None

    def _count_rows(self) -> int:
        with storing(f"count the rows of table '{self._store.name}'"):
            return int(self._dataset.count_rows())

    def _scan(self, query: ScanQuery) -> pa.RecordBatchReader:
        names = self.schema.names if query.columns is None else list(query.columns)
        schema = pa.schema([self.schema.field(name) for name in names])
        if query.with_row_id:
            schema = schema.append(pa.field(ROW_ID, pa.int64()))
        batches = _window(self._batches(query, names), query.offset, query.limit)
        return pa.RecordBatchReader.from_batches(schema, (_as(each, schema) for each in batches))

    def _batches(
        self, query: ScanQuery | VectorQuery, names: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        """Yield rows in order, ``_rowid`` last."""
        fragments = self._fragments
        if isinstance(query, ScanQuery) and query.fragment is not None:
            fragments = [self._fragment(query.fragment)]
        predicate = query.predicate
        condition = None if predicate is None else compiled(predicate, self.schema)
        if query.row_ids is None:
            batches = read(self._dataset, fragments, names, condition)
        else:
            row_ids = np.asarray(query.row_ids, np.int64)
            if isinstance(query, VectorQuery):
                row_ids = np.unique(row_ids)
            batches = read_ids(self._dataset, fragments, names, row_ids, condition)
        with storing(f"read table '{self._store.name}'"):
            yield from batches

    def _fragment(self, name: str) -> LanceFragment:
        for fragment in self._fragments:
            if str(fragment.fragment_id) == name:
                return fragment
        raise DataError(f"Version {self.base.version} has no fragment '{name}'.")

    def _search(self, query: VectorQuery) -> list[pa.Table]:
        found = nearest(self._batches(query, [column_of(query.column)]), query)
        every = np.unique(np.concatenate([np.empty(0, np.int64), *(e.row_ids for e in found)]))
        rows = self._scan(
            ScanQuery(columns=query.columns, row_ids=every, with_row_id=True)
        ).read_all()
        results = []
        for each in found:
            own = rows.take(pa.array(np.searchsorted(every, each.row_ids)))
            distances = pa.array(each.distances, pa.float32())
            own = own.add_column(own.num_columns - 1, DISTANCE, distances)
            results.append(own if query.with_row_id else own.drop_columns([ROW_ID]))
        return results


def _as(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return the columns of a schema; row ids as signed numbers."""
    arrays = [
        batch.column(field.name).cast(field.type) if field.name == ROW_ID else batch.column(at)
        for at, field in enumerate(schema)
    ]
    if not arrays:
        return batch.select([])
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _window(
    batches: Iterator[pa.RecordBatch], offset: int, limit: int | None
) -> Iterator[pa.RecordBatch]:
    """Yield some rows, and read no further."""
    for batch in batches:
        if limit is not None and limit <= 0:
            return
        piece = batch.slice(offset, limit)
        offset = max(0, offset - batch.num_rows)
        if piece.num_rows:
            limit = None if limit is None else limit - piece.num_rows
            yield piece
