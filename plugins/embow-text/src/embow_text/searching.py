"""Queries answered: which rows, and how well each fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embow.errors import DataError, UnknownColumnError, near_name
from embow.query import (
    BooleanQuery,
    BoostQuery,
    FullTextQuery,
    MatchQuery,
    MultiMatchQuery,
    Occur,
    Operator,
    PhraseQuery,
    PrefixQuery,
    parse,
)
from embow_text import _phrases
from embow_text.index import Part, TextIndex, Word, added, beginning, exact, fuzzy, looked_up
from embow_text.tokens import Token, query_tokens


@dataclass(frozen=True, eq=False)
class Hits:
    """Rows that were found.

    Attributes:
        ids: Row ids.
        scores: Of each its score.
    """

    ids: NDArray[np.int64]
    scores: NDArray[np.floating[Any]]


def search(
    indexes: Mapping[str, TextIndex],
    query: FullTextQuery | str,
    limit: int | None = 10,
    *,
    columns: Sequence[str] | None = None,
) -> Hits:
    """Return the rows that fit best, the best first; of equal scores the lower id first.

    Args:
        indexes: The index of each column.
        query: A query, or any text: its words, or a phrase where all of it is quoted.
        limit: How many at most; ``None`` for all.
        columns: Where what names no column is looked for; ``None`` for every one that has an index.

    Raises:
        UnknownColumnError: The query names a column that has no index.
        DataError: It asks for a phrase of an index without positions.
    """
    asked = parse(query) if isinstance(query, str) else query
    found = _answer(_Asked(indexes, list(indexes) if columns is None else columns), asked)
    return _best(found.ids, found.scores.astype(np.float32), limit)


def _best(ids: NDArray[np.int64], scores: NDArray[np.float32], limit: int | None) -> Hits:
    if limit is not None and len(ids) > limit:
        if limit < 1:
            return Hits(ids[:0], scores[:0])
        least = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        above = np.flatnonzero(scores > least)
        level = np.flatnonzero(scores == least)[: limit - len(above)]  # Ids ascend.
        taken = np.concatenate([above, level])
        ids, scores = ids[taken], scores[taken]
    order = np.lexsort((ids, -scores))
    return Hits(ids[order], scores[order])


@dataclass(frozen=True)
class _Asked:
    """Where a query is answered."""

    indexes: Mapping[str, TextIndex]
    columns: Sequence[str]


def _answer(where: _Asked, query: FullTextQuery) -> Hits:
    """Return all rows a query finds, ids ascending."""
    if isinstance(query, (MatchQuery, PrefixQuery, PhraseQuery)):
        columns = where.columns if query.column is None else [query.column]
        leaf = _LEAVES[type(query)]
        return _highest([leaf(_index(where.indexes, column), query) for column in columns])
    if isinstance(query, MultiMatchQuery):
        return _highest([_answer(where, each) for each in query.queries])
    if isinstance(query, BoostQuery):
        return _less(
            _answer(where, query.positive), _answer(where, query.negative), query.negative_boost
        )
    if isinstance(query, BooleanQuery):
        return _boolean([(occur, _answer(where, each)) for occur, each in query.queries])
    raise DataError(f"{type(query).__name__} is no query of full text.")


def _index(indexes: Mapping[str, TextIndex], column: str) -> TextIndex:
    if column not in indexes:
        listing = ", ".join(indexes) or "none"
        raise UnknownColumnError(
            f"Column '{column}' has no index of full text.{near_name(column, indexes)} Columns "
            f"with one: {listing}."
        )
    return indexes[column]


def _match(index: TextIndex, query: MatchQuery) -> Hits:
    def found(token: str, begins: bool) -> Word:
        return _looked_up(index, query, token, begins)

    words = _each_once(found, query_tokens(query.query, index.analysis))
    return _scored(index, words, query.operator is Operator.AND, query.boost)


def _looked_up(index: TextIndex, query: MatchQuery, term: str, begins: bool) -> Word:
    most = query.fuzziness
    if most is None:
        most = sum(len(term) > length for length in (2, 5))
    if begins or not most:
        return _plain(index, term, begins)
    return fuzzy(index, term, most, query.prefix_length, query.max_expansions)


def _plain(index: TextIndex, term: str, begins: bool) -> Word:
    return beginning(index, term) if begins else exact(index, term)


def _prefix(index: TextIndex, query: PrefixQuery) -> Hits:
    *whole, last = query.query.split() or [""]
    tokens = query_tokens(" ".join(whole), index.analysis)
    # What is typed so far may be no word yet: nothing is cut off it, and it is no stop word.
    typed = query_tokens(last, index.analysis.unstemmed)
    tokens += [*typed[:-1], *((token, True) for token, _ in typed[-1:])]
    words = _each_once(partial(_plain, index), tokens)
    return _scored(index, words, True, query.boost)


def _phrase(index: TextIndex, query: PhraseQuery) -> Hits:
    if not index.analysis.with_position:
        raise DataError(
            "A phrase needs to know where words are, which this index does not. Create it again "
            "with with_position=True, or search for the words."
        )
    tokens = query_tokens(query.query, index.analysis)
    words = _each_once(partial(_plain, index), tokens)
    places = [token.position for token, _ in tokens]

    def ordered(at: int, rows: NDArray[Any]) -> NDArray[np.bool_]:
        terms = [word.terms[at] for word in words]
        phrase = list(zip(terms, places, strict=True))
        return _phrases.in_order(index.parts[at].segment, phrase, rows, query.slop)

    return _scored(index, words, True, 1.0, ordered if len(words) > 1 else None)


_LEAVES: Mapping[type[FullTextQuery], Callable[[TextIndex, Any], Hits]] = {
    MatchQuery: _match,
    PrefixQuery: _prefix,
    PhraseQuery: _phrase,
}


def _each_once(
    find: Callable[[str, bool], Word], tokens: Sequence[tuple[Token, bool]]
) -> list[Word]:
    """Return the words of a query. One that is there twice is looked up once and scores twice."""
    found = cache(find)
    return [found(token.text, begins) for token, begins in tokens]


def _scored(
    index: TextIndex,
    words: list[Word],
    every: bool,
    boost: float,
    further: Callable[[int, NDArray[Any]], NDArray[np.bool_]] | None = None,
) -> Hits:
    """Return rows with one of the words, or every one, by the sum of what the words score.

    Args:
        index: Where.
        words: What is looked for; without one nothing is found.
        every: Whether rows need all of them.
        boost: What scores are multiplied by.
        further: Tells which rows of a part stay of those that have every word.
    """
    if not words or not index.documents:
        return _NOTHING
    weights = [index.scoring.weight(word.df, index.documents) for word in words]
    found = [
        (_every if every and len(words) > 1 else _any)(index, at, part, words, weights, further)
        for at, part in enumerate(index.parts)
    ]
    named = zip(index.parts, found, strict=True)
    ids = np.concatenate([part.named(rows) for part, (rows, _) in named])
    scores = np.concatenate([scores for _, scores in found]) * boost
    if len(found) > 1 and np.any(ids[1:] < ids[:-1]):
        order = np.argsort(ids)
        ids, scores = ids[order], scores[order]
    return Hits(ids, scores)


_NOTHING = Hits(np.zeros(0, np.int64), np.zeros(0))
_Found = tuple[NDArray[Any], NDArray[np.float64]]
_Further = Callable[[int, NDArray[Any]], NDArray[np.bool_]] | None


def _any(
    index: TextIndex, at: int, part: Part, words: list[Word], weights: list[float], _: _Further
) -> _Found:
    rows, scores = [], []
    for word, weight in zip(words, weights, strict=True):
        found, counts = word.rows[at], word.counts[at]
        if part.passing is not None:
            stays = part.passing[found]
            found, counts = found[stays], counts[stays]
        rows.append(found)
        lengths = part.segment.lengths[found]
        scores.append(index.scoring.scores(weight, counts, lengths, index.average))
    if len(words) == 1:
        return rows[0], scores[0]
    return added(np.concatenate(rows), np.concatenate(scores), len(part.segment))


def _every(
    index: TextIndex,
    at: int,
    part: Part,
    words: list[Word],
    weights: list[float],
    further: _Further,
) -> _Found:
    rows = min((word.rows[at] for word in words), key=len)
    if part.passing is not None:
        rows = rows[part.passing[rows]]
    for word in sorted(words, key=lambda word: len(word.rows[at]))[1:]:
        rows = rows[looked_up(rows, word.rows[at])[1]]
    if further is not None:
        rows = rows[further(at, rows)]
    lengths = part.segment.lengths[rows]
    total = np.zeros(len(rows))
    for word, weight in zip(words, weights, strict=True):
        counts = word.counts[at][looked_up(rows, word.rows[at])[0]]
        total += index.scoring.scores(weight, counts, lengths, index.average)
    return rows, total


def _highest(found: list[Hits]) -> Hits:
    """Return the rows of any of them, each with its highest score."""
    if len(found) == 1:
        return found[0]
    ids, begins, scores = _by_id(found)
    return Hits(ids, np.maximum.reduceat(scores, begins) if len(ids) else scores)


def _sum(found: list[Hits]) -> Hits:
    """Return the rows of any of them, each with the sum of its scores."""
    ids, begins, scores = _by_id(found)
    return Hits(ids, np.add.reduceat(scores, begins) if len(ids) else scores)


def _by_id(
    found: list[Hits],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.floating[Any]]]:
    """Return ids once, where the scores of each begin, and the scores."""
    ids = np.concatenate([hits.ids for hits in found] or [_NOTHING.ids])
    scores = np.concatenate([hits.scores for hits in found] or [_NOTHING.scores])
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    begins = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]][: len(ids)])
    return ids[begins], begins, scores[order]


def _less(positive: Hits, negative: Hits, factor: float) -> Hits:
    at, there = looked_up(positive.ids, negative.ids)
    scores = positive.scores.copy()
    scores[there] -= factor * negative.scores[at[there]]
    return Hits(positive.ids, scores)


def _boolean(clauses: list[tuple[Occur, Hits]]) -> Hits:
    musts = [hits for occur, hits in clauses if occur is Occur.MUST]
    shoulds = [hits for occur, hits in clauses if occur is Occur.SHOULD]
    found = _sum([*musts, *shoulds])
    stays = np.ones(len(found.ids), bool)
    for must in musts:
        stays &= looked_up(found.ids, must.ids)[1]
    for occur, hits in clauses:
        if occur is Occur.MUST_NOT:
            stays &= ~looked_up(found.ids, hits.ids)[1]
    return Hits(found.ids[stays], found.scores[stays])
