"""The search for words: what ``table.search("words", query_type="fts")`` returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import pyarrow as pa

from embow._table.columns import Columns
from embow._table.handle import Handle
from embow._table.paths import path_of, paths
from embow._table.reading.explain import Plan
from embow._table.reading.ranked import RankedQuery
from embow.engines.contract import SCORE, RowIds, Snapshot, TextQuery
from embow.engines.predicate import Predicate
from embow.engines.text import is_text
from embow.errors import ConfigurationError
from embow.query import FullTextQuery, PhraseQuery, columns_of, parse, with_columns


@dataclass(frozen=True, slots=True)
class Words:
    """What is looked for by its words, and where.

    Attributes:
        query: Text or query.
        columns: Where what names no column is looked for; ``None``: wherever there is an index.
        phrase: Whether a text's words are looked for in their order.
    """

    query: str | FullTextQuery
    columns: tuple[str, ...] | None = None
    phrase: bool = False

    @classmethod
    def of(cls, query: Any, columns: str | Sequence[str] | None) -> Words:
        """Return what the user asked for.

        Raises:
            ConfigurationError: It is neither a text nor a query.
        """
        if not isinstance(query, (str, FullTextQuery)):
            raise ConfigurationError(
                "A full-text search takes a text or a query of embow.query, such as "
                f"MatchQuery('words'), not {query!r:.60}."
            )
        named = (columns,) if isinstance(columns, str) else columns
        return cls(query, None if named is None else tuple(named))

    def as_phrase(self, phrase: bool) -> Words:
        """Return the same, to be looked for in order or not.

        Raises:
            ConfigurationError: It is no plain text.
        """
        if not isinstance(self.query, str):
            raise ConfigurationError(
                f"phrase_query() is for a plain text; this is a {type(self.query).__name__}. Use "
                "PhraseQuery('words in their order')."
            )
        return replace(self, phrase=phrase)

    @property
    def text(self) -> Any:
        """What was searched for as text, ``None`` where a query has none."""
        return self.query if isinstance(self.query, str) else getattr(self.query, "query", None)

    @property
    def asked(self) -> FullTextQuery:
        """The query."""
        if not isinstance(self.query, str):
            return self.query
        return PhraseQuery(self.query.strip('" ')) if self.phrase else parse(self.query)

    def on(
        self,
        snapshot: Snapshot,
        columns: Columns,
        table: str,
        *,
        k: int | None,
        read: Sequence[str],
        offset: int = 0,
        predicate: Predicate | None = None,
        row_ids: Sequence[int] | RowIds | None = None,
        with_row_id: bool = False,
    ) -> TextQuery:
        """Return what a version is asked. Raises what `searched` raises."""
        return TextQuery(
            query=with_columns(self.asked, lambda name: path_of(columns, name).physical),
            search_columns=[
                path_of(columns, name).physical for name in self.searched(snapshot, columns, table)
            ],
            k=k,
            offset=offset,
            predicate=predicate,
            row_ids=row_ids,
            columns=read,
            with_row_id=with_row_id,
        )

    def searched(self, snapshot: Snapshot, columns: Columns, table: str) -> list[str]:
        """Return the columns where what names none is looked for.

        Raises:
            ConfigurationError: A column that is searched has no index.
            UnknownColumnError: It does not exist.
        """
        indexed = indexed_texts(snapshot, columns)
        chosen = list(indexed if self.columns is None else self.columns)
        named = [name for name in columns_of(self.asked) if name is not None]
        for name in (*chosen, *named):
            path_of(columns, name)
            if name not in indexed:
                raise ConfigurationError(
                    f"Column {name!r} has no full-text index. {_with_one(indexed)} {_create(name)}"
                )
        if not chosen and not named:
            texts = [each.name for each in paths(columns).values() if pa.types.is_string(each.type)]
            raise ConfigurationError(
                f"Table {table!r} has no full-text index, which a search for words "
                f"needs. {_create(texts[0] if texts else 'text')}"
            )
        return chosen

    def told(self, snapshot: Snapshot, columns: Columns, table: str) -> str:
        """Return what will be done, for a plan."""
        names = [*self.searched(snapshot, columns, table), *filter(None, columns_of(self.asked))]
        known = {c.definition.column: c for c in snapshot.indexes() if is_text(c)}
        coverings = [known[path_of(columns, name).physical] for name in dict.fromkeys(names)]
        indexed = "; ".join(
            f"index {each.definition.name!r} has {each.rows:,} rows, "
            f"{len(each.rest):,} analysed in memory"
            for each in coverings
        )
        return f"{', '.join(dict.fromkeys(names))} ({self.query!r}, BM25); {indexed}"


class TextSearch(RankedQuery):
    """The rows whose words fit best, the best first, with ``_score``.

    Example:
        ``table.search("lovely cafe", query_type="fts").where("price < 10").limit(3).to_pandas()``
    """

    _measure = SCORE
    _reranked_by = "rerank_fts"

    def __init__(self, handle: Handle, query: Any, columns: str | Sequence[str] | None) -> None:
        super().__init__(handle)
        self._words = Words.of(query, columns)

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, query={self._words.query!r:.60})"

    def phrase_query(self, phrase_query: bool = True) -> Self:
        """Look for the words of the text in their order; the index must keep positions."""
        self._words = self._words.as_phrase(phrase_query)
        return self

    def to_arrow(self) -> pa.Table:
        """Search, and return an Arrow table."""
        with self._handle.snapshot() as snapshot:
            columns = self._handle.columns(snapshot)
            return self._found(snapshot, columns)

    def _found(self, snapshot: Snapshot, columns: Columns) -> pa.Table:
        projection = self._projected(columns)
        query = self._words.on(
            snapshot,
            columns,
            self._handle.name,
            k=self._limit,
            offset=self._offset,
            predicate=self._predicate(columns),
            read=self._read(columns, projection),
            row_ids=self._ids,
            with_row_id=self._reads_row_id(projection),
        )
        with self._step("search"):
            found = snapshot.search_text(query)
        return self._finished(found, self._words.text, columns, projection)

    def _texts(self) -> Sequence[Any]:
        return [self._words.text]

    def _plan(self, columns: Columns) -> Plan:
        with self._handle.snapshot() as snapshot:
            told = self._words.told(snapshot, columns, self._handle.name)
        return replace(super()._plan(columns), words=told)


def indexed_texts(snapshot: Snapshot, columns: Columns) -> list[str]:
    """Return what has a full-text index in a version, columns and fields, as users call it."""
    stored = {each.definition.column for each in snapshot.indexes() if is_text(each)}
    return [each.name for each in paths(columns).values() if each.physical in stored]


def _with_one(indexed: Sequence[str]) -> str:
    return f"Columns with one: {', '.join(indexed) or 'none'}."


def _create(column: str) -> str:
    return f"Create one: table.create_index({column!r}, config=embow.index.FTS())."
