"""The search for words: what ``table.search("words", query_type="fts")`` returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import pyarrow as pa

from embow._table.columns import Columns
from embow._table.handle import Handle
from embow._table.reading.explain import Plan
from embow._table.reading.ranked import RankedQuery
from embow.engines.contract import SCORE, Snapshot, TextQuery
from embow.engines.text import is_text
from embow.errors import ConfigurationError
from embow.query import FullTextQuery, PhraseQuery, columns_of, parse, with_columns


class TextSearch(RankedQuery):
    """The rows whose words fit best, the best first, with ``_score``.

    Example:
        ``table.search("lovely cafe", query_type="fts").where("price < 10").limit(3).to_pandas()``
    """

    _measure = SCORE
    _reranked_by = "rerank_fts"

    def __init__(self, handle: Handle, query: Any, columns: str | Sequence[str] | None) -> None:
        super().__init__(handle)
        if not isinstance(query, (str, FullTextQuery)):
            raise ConfigurationError(
                "A full-text search takes a text or a query of embow.query, such as "
                f"MatchQuery('words'), not {query!r:.60}."
            )
        self._query = query
        self._phrase = False
        self._columns = [columns] if isinstance(columns, str) else columns

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, query={self._query!r:.60})"

    def phrase_query(self, phrase_query: bool = True) -> Self:
        """Look for the words of the text in their order; the index must keep positions."""
        if not isinstance(self._query, str):
            raise ConfigurationError(
                f"phrase_query() is for a plain text; this is a {type(self._query).__name__}. Use "
                "PhraseQuery('words in their order')."
            )
        self._phrase = phrase_query
        return self

    def to_arrow(self) -> pa.Table:
        """Search, and return an Arrow table."""
        with self._handle.snapshot() as snapshot:
            columns = self._handle.columns(snapshot)
            return self._found(snapshot, columns)

    def _found(self, snapshot: Snapshot, columns: Columns) -> pa.Table:
        projection = self._projected(columns)
        query = TextQuery(
            query=with_columns(self._asked, columns.physical),
            search_columns=[columns.names[name] for name in self._searched(snapshot, columns)],
            k=self._limit,
            offset=self._offset,
            predicate=self._predicate(columns),
            columns=self._read(columns, projection),
            row_ids=self._ids,
            with_row_id=self._reads_row_id(projection),
        )
        with self._step("search"):
            found = snapshot.search_text(query)
        return self._finished(found, self._texts()[0], columns, projection)

    def _texts(self) -> Sequence[Any]:
        return [
            self._query if isinstance(self._query, str) else getattr(self._query, "query", None)
        ]

    @property
    def _asked(self) -> FullTextQuery:
        if not isinstance(self._query, str):
            return self._query
        return PhraseQuery(self._query.strip('" ')) if self._phrase else parse(self._query)

    def _searched(self, snapshot: Snapshot, columns: Columns) -> list[str]:
        """Return the columns where what names none is looked for.

        Raises:
            ConfigurationError: A column that is searched has no index.
            UnknownColumnError: It does not exist.
        """
        indexed = indexed_texts(snapshot, columns)
        chosen = list(indexed if self._columns is None else self._columns)
        named = [name for name in columns_of(self._asked) if name is not None]
        for name in (*chosen, *named):
            columns.physical(name)
            if name not in indexed:
                raise ConfigurationError(
                    f"Column {name!r} has no full-text index. {_with_one(indexed)} {_create(name)}"
                )
        if not chosen and not named:
            texts = [f.name for f in columns.visible if pa.types.is_string(f.type)]
            raise ConfigurationError(
                f"Table {self._handle.name!r} has no full-text index, which a search for words "
                f"needs. {_create(texts[0] if texts else 'text')}"
            )
        return chosen

    def _plan(self, columns: Columns) -> Plan:
        with self._handle.snapshot() as snapshot:
            names = [*self._searched(snapshot, columns), *filter(None, columns_of(self._asked))]
        told = f"{', '.join(dict.fromkeys(names))} ({self._query!r}, BM25)"
        return replace(super()._plan(columns), words=told)


def indexed_texts(snapshot: Snapshot, columns: Columns) -> list[str]:
    """Return the columns of a version that have a full-text index, as users call them."""
    stored = {each.definition.column for each in snapshot.indexes() if is_text(each)}
    return [name for name, physical in columns.names.items() if physical in stored]


def _with_one(indexed: Sequence[str]) -> str:
    return f"Columns with one: {', '.join(indexed) or 'none'}."


def _create(column: str) -> str:
    return f"Create one: table.create_index({column!r}, config=embow.index.FTS())."
