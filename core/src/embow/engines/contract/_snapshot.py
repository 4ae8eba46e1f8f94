"""One version of a table, and everything that reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines._paths import column_of, values_at
from embow.engines.contract._columns import check_columns
from embow.engines.contract._keys import Keys
from embow.engines.contract._queries import (
    RowQuery,
    ScanQuery,
    TextQuery,
    VectorQuery,
    check_text_query,
    check_vector_query,
    searched_columns,
)
from embow.engines.contract._records import ROW_ID, SCORE, Base, Capability, require
from embow.engines.contract._routes import Route, by_index, routed
from embow.engines.contract._rows import row_ids_of
from embow.engines.indexes import Covering, RowIds
from embow.engines.predicate import Predicate, evaluate
from embow.engines.text import TextMemory, is_text

Query = TypeVar("Query", bound=RowQuery)


class Snapshot(ABC):
    """One version of a table. It stays readable, whatever writers do, until it is closed.

    A store of files that other processes remove keeps that promise within one process; there a
    version younger than ``optimize(keep=)`` stays readable for all.

    Args:
        base: Table and version this is.
        schema: Physical columns, without schema metadata; fields keep theirs.
        metadata: Metadata of the table.

    Attributes:
        texts: Rows without a piece of a text index, analysed: of all snapshots of the table.
    """

    capabilities: frozenset[Capability] = frozenset()
    texts: TextMemory

    def __init__(self, base: Base, schema: pa.Schema, metadata: Mapping[str, str]) -> None:
        self.base = base
        self.schema = schema
        self.metadata = metadata

    # -- what an author writes ----------------------------------------------------------

    @abstractmethod
    def _scan(self, query: ScanQuery) -> pa.RecordBatchReader:
        """Read rows lazily. Columns exist; the predicate is one that `understands` took."""

    @abstractmethod
    def _search(self, query: VectorQuery) -> list[pa.Table]:
        """Return for each query vector its nearest rows, nearest first, with ``_distance``.

        Columns come first, then ``_distance``, then ``_rowid``. The query has been checked; its
        predicate is one that `understands` took.
        """

    # -- what an author may write -------------------------------------------------------

    def understands(self, predicate: Predicate) -> bool:
        """Return whether the store evaluates this filter by itself, NULL rules included.

        Where it does not, the filter's columns are read and the store is handed row ids.
        """
        return False

    def _count_rows(self) -> int:
        return sum(batch.num_rows for batch in self._scan(ScanQuery(columns=[], with_row_id=True)))

    def indexes(self) -> Sequence[Covering[Any]]:
        """Return the indexes of the version's columns, as this version has them."""
        return ()

    def fragments(self) -> list[str]:
        """Return the names of the pieces that can be scanned one by one."""
        require(self.capabilities, Capability.FRAGMENTS)
        raise NotImplementedError

    def close(self) -> None:  # noqa: B027 - an engine may have nothing to release
        """Let go of what is held. The snapshot must not be used afterwards."""

    # -- what is the same for every engine ------------------------------------------------

    def scan(self, query: ScanQuery) -> pa.RecordBatchReader:
        """Read rows lazily.

        Raises:
            UnknownColumnError: A column does not exist.
            DataError: There is no such fragment.
        """
        check_columns(self.schema, query.columns or ())
        if query.fragment is not None:
            require(self.capabilities, Capability.FRAGMENTS)
        if query.limit is not None and query.limit <= 0:
            query = replace(query, predicate=None, row_ids=(), limit=0, offset=0)
        return self._scan(self._filtered(query))

    def search(self, query: VectorQuery) -> list[pa.Table]:
        """Return for each query vector its nearest rows, nearest first, with ``_distance``.

        Raises:
            DataError: The column is no vector column, or cannot be compared by the metric.
            BadVectorError: A query has another length, holds NaN or infinity, or is not packed
                bits where these are compared.
            UnknownColumnError: A column does not exist.
            UnsupportedOperationError: The column has several vectors a row, and the store cannot
                search them.
        """
        if check_vector_query(self.schema, query).multi:
            require(self.capabilities, Capability.MULTIVECTOR)
        filtered = query if query.predicate is None else self._filtered(query)
        if query.with_row_id or query.columns is None or query.columns:
            return self._routed(filtered)
        # A table of no columns has no number of rows: the ids keep it until there are distances.
        found = self._routed(replace(filtered, with_row_id=True))
        return [each.drop_columns(ROW_ID) for each in found]

    def route(self, query: VectorQuery) -> Route:
        """Return how a search goes: by reading, or by an index. The query has been checked."""
        return self._route(query, self.indexes())

    def _route(self, query: VectorQuery, indexes: Sequence[Covering[Any]]) -> Route:
        return routed(query, indexes, lambda: self._passing(query), self._count_rows)

    def _routed(self, query: VectorQuery) -> list[pa.Table]:
        indexes = self.indexes()
        if not indexes:
            return self._search(query)
        route = self._route(query, indexes)
        if route.index is not None:
            return list(by_index(query, route, self._search))
        if route.passing is not None:
            query = replace(query, predicate=None, row_ids=route.passing)
        return self._search(query)

    def _passing(self, query: VectorQuery) -> RowIds | None:
        """Return the ids of the rows a search is among, ascending; ``None`` for all."""
        if query.row_ids is not None:
            asked = np.unique(np.asarray(query.row_ids, np.int64))
            if query.predicate is None:
                return asked
            return asked[np.isin(asked, self.row_ids(query.predicate))]
        return None if query.predicate is None else self.row_ids(query.predicate)

    def search_text(self, query: TextQuery) -> pa.Table:
        """Return the rows that fit the words best, best first, with ``_score``.

        Columns come first, then ``_score``, then ``_rowid``.

        Raises:
            UnknownColumnError: A column does not exist.
            DataError: A column has no full-text index.
        """
        require(self.capabilities, Capability.TEXT_INDEX)
        indexed = {each.definition.column: each for each in self.indexes() if is_text(each)}
        check_text_query(self.schema, list(indexed), query)
        ids, scores = self._best(indexed, query)
        if query.with_row_id and query.columns is not None and not query.columns:
            return pa.table([pa.array(scores, pa.float32()), pa.array(ids)], [SCORE, ROW_ID])
        rows = self._scan(ScanQuery(columns=query.columns, row_ids=ids, with_row_id=True))
        found = rows.read_all()
        at = found.num_columns - 1
        found = found.add_column(at, SCORE, pa.array(scores, pa.float32()))
        return found if query.with_row_id else found.remove_column(at + 1)

    def _best(
        self, indexed: Mapping[str, Covering[Any]], query: TextQuery
    ) -> tuple[RowIds, NDArray[np.float32]]:
        opened = {}
        for column in searched_columns(query):
            texts = partial(self._texts, column)
            library, opened[column] = self.texts.open(indexed[column], self.base.version, texts)
        last = None if query.k is None else query.offset + query.k
        wanted = self._wanted(query)
        ids, scores = library.search(opened, query.search_columns, query.query, last, wanted)
        return ids[query.offset :], scores[query.offset :]

    def _texts(self, column: str, row_ids: RowIds) -> Iterator[pa.Array]:
        for batch in self._scan(ScanQuery(columns=[column_of(column)], row_ids=row_ids)):
            yield values_at(batch.column(0), column)

    def _wanted(self, query: RowQuery) -> RowIds | None:
        """Return the ids of the rows that may be found, ascending; ``None`` for all."""
        if query.predicate is None and query.row_ids is None:
            return None
        ids = None if query.predicate is None else self.row_ids(query.predicate)
        if ids is not None and (ids[1:] < ids[:-1]).any():
            ids = np.sort(ids)
        if query.row_ids is None:
            return ids
        asked = np.unique(np.asarray(query.row_ids, np.int64))
        return asked if ids is None else asked[np.isin(asked, ids)]

    def count_rows(self, predicate: Predicate | None = None) -> int:
        """Count rows, all or those that satisfy the predicate."""
        if predicate is None:
            return self._count_rows()
        return len(self.row_ids(predicate))

    def row_ids(self, predicate: Predicate | None = None) -> RowIds:
        """Return the ids of the rows that satisfy a predicate, in the order of a scan."""
        if predicate is not None:
            check_columns(self.schema, predicate.columns)
            if not self.understands(predicate):
                return _concatenated(self._matching(predicate))
        query = ScanQuery(columns=[], predicate=predicate, with_row_id=True)
        return _concatenated(row_ids_of(batch) for batch in self._scan(query))

    def locate(self, keys: pa.RecordBatch) -> tuple[NDArray[np.int64], RowIds]:
        """Find the rows whose key is one of those given.

        Args:
            keys: Key columns, under their physical names. No key twice; one that holds a null is
                found nowhere.

        Returns:
            Positions in ``keys`` and row ids, two arrays of one length, by row id ascending.
        """
        names = keys.schema.names
        check_columns(self.schema, names)
        return Keys(keys).among(self._scan(ScanQuery(columns=names, with_row_id=True)))

    def _filtered(self, query: Query) -> Query:
        """Return the query with a filter the store does not compile turned into row ids."""
        predicate = query.predicate
        if predicate is None:
            return query
        check_columns(self.schema, predicate.columns)
        if self.understands(predicate):
            return query
        ids = _concatenated(self._matching(predicate))
        if query.row_ids is not None:
            asked = np.asarray(query.row_ids, np.int64)
            ids = asked[np.isin(asked, ids)]
        return replace(query, predicate=None, row_ids=ids)

    def _matching(self, predicate: Predicate) -> Iterator[RowIds]:
        names = list(predicate.columns)
        for batch in self._scan(ScanQuery(columns=names, with_row_id=True)):
            yield row_ids_of(batch)[evaluate(predicate, batch)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _concatenated(pieces: Iterable[RowIds]) -> RowIds:
    return np.concatenate([np.empty(0, np.int64), *pieces])
