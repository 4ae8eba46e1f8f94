"""What can be asked of full text, as data. Names, defaults and meaning are LanceDB's.

Example:
    ``table.search(MatchQuery("lovely cafe", "text", operator=Operator.AND)).to_list()``
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from embow.errors import DataError


class Operator(StrEnum):
    """Whether a row needs one of the words or all of them."""

    AND = "AND"
    OR = "OR"


class Occur(StrEnum):
    """What a clause of a `BooleanQuery` says about the rows it finds."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MUST_NOT = "MUST_NOT"


class FullTextQuery:
    """Base of every query; ``a & b`` needs both, ``a | b`` one of them."""

    def __and__(self, other: FullTextQuery) -> BooleanQuery:
        return BooleanQuery([(Occur.MUST, self), (Occur.MUST, other)])

    def __or__(self, other: FullTextQuery) -> BooleanQuery:
        return BooleanQuery([(Occur.SHOULD, self), (Occur.SHOULD, other)])


@dataclass(frozen=True)
class MatchQuery(FullTextQuery):
    """Rows with the words of a text.

    Args:
        query: Any text; nothing in it is syntax.
        column: Where to look; ``None`` for every column, of which the best counts.
        boost: What the score is multiplied by.
        fuzziness: Letters that may be inserted, left out or exchanged in a word; ``None`` for none
            in words of two letters, one up to five, two in longer ones.
        max_expansions: How many of the nearest words count for one, the commonest first.
        operator: Whether one word or all must be there.
        prefix_length: Letters at the beginning of a word that must be right.
    """

    query: str
    column: str | None = None
    boost: float = field(default=1.0, kw_only=True)
    fuzziness: int | None = field(default=0, kw_only=True)
    max_expansions: int = field(default=50, kw_only=True)
    operator: Operator = field(default=Operator.OR, kw_only=True)
    prefix_length: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        _check_text(self.query)
        _check("boost", self.boost, 0)
        _check("fuzziness", self.fuzziness or 0, 0)
        _check("max_expansions", self.max_expansions, 1)
        _check("prefix_length", self.prefix_length, 0)
        object.__setattr__(self, "operator", _operator(self.operator))


@dataclass(frozen=True)
class PrefixQuery(FullTextQuery):
    """Rows with words that begin with the last word of a text, and with its other words.

    Args:
        query: Any text. Its last word is not stemmed.
        column: Where to look; ``None`` for every column, of which the best counts.
        boost: What the score is multiplied by.
    """

    query: str
    column: str | None = None
    boost: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        _check_text(self.query)
        _check("boost", self.boost, 0)


@dataclass(frozen=True)
class PhraseQuery(FullTextQuery):
    """Rows with the words of a text in their order.

    Args:
        query: Any text. A stop word in it stands for any word.
        column: Where to look; ``None`` for every column, of which the best counts.
        slop: How many other words may stand between them, all together.
    """

    query: str
    column: str | None = None
    slop: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        _check_text(self.query)
        _check("slop", self.slop, 0)


@dataclass(frozen=True)
class BoostQuery(FullTextQuery):
    """Rows of one query, those further down that another finds too.

    Args:
        positive: Finds the rows.
        negative: Its score is taken off.
        negative_boost: How much of it.
    """

    positive: FullTextQuery
    negative: FullTextQuery
    negative_boost: float = field(default=0.5, kw_only=True)

    def __post_init__(self) -> None:
        _check("negative_boost", self.negative_boost, 0)


@dataclass(frozen=True)
class MultiMatchQuery(FullTextQuery):
    """Rows with the words of a text in any of several columns, of which the best counts.

    Args:
        query: Any text.
        columns: Where to look.
        boosts: What the scores of each are multiplied by.
        operator: Whether one word or all must be in a column.
    """

    query: str
    columns: Sequence[str]
    boosts: Sequence[float] | None = field(default=None, kw_only=True)
    operator: Operator = field(default=Operator.OR, kw_only=True)

    def __post_init__(self) -> None:
        _check_text(self.query)
        if not self.columns or isinstance(self.columns, str):
            raise DataError(f"columns is {self.columns!r}. Give the names of one or more columns.")
        if self.boosts is not None and len(self.boosts) != len(self.columns):
            raise DataError(
                f"{len(self.columns)} columns have {len(self.boosts)} boosts. Give one for each."
            )
        object.__setattr__(self, "operator", _operator(self.operator))

    @property
    def queries(self) -> list[MatchQuery]:
        """Return the query of each column."""
        boosts = self.boosts or [1.0] * len(self.columns)
        return [
            MatchQuery(self.query, column, boost=boost, operator=self.operator)
            for column, boost in zip(self.columns, boosts, strict=True)
        ]


@dataclass(frozen=True)
class BooleanQuery(FullTextQuery):
    """Rows that all ``MUST`` find and no ``MUST_NOT``, or without a ``MUST`` any ``SHOULD``.

    Scores of ``MUST`` and ``SHOULD`` are added.

    Args:
        queries: Clauses: what each says, and the query.
    """

    queries: Sequence[tuple[Occur, FullTextQuery]]

    def __post_init__(self) -> None:
        try:
            clauses = tuple((Occur(occur), query) for occur, query in self.queries)
        except ValueError as error:
            raise DataError(f"{error}. Give pairs of Occur and a query.") from error
        if all(occur is Occur.MUST_NOT for occur, _ in clauses):
            raise DataError(
                "A BooleanQuery needs a MUST or a SHOULD: MUST_NOT only leaves rows out."
            )
        object.__setattr__(self, "queries", clauses)


def parse(text: str) -> FullTextQuery:
    """Return the query a plain text stands for: a phrase if all of it is quoted, else its words."""
    stripped = text.strip()
    inner = stripped[1:-1]
    if len(stripped) > 2 and stripped[0] == stripped[-1] == '"' and '"' not in inner:
        return PhraseQuery(inner)
    return MatchQuery(text)


def columns_of(query: FullTextQuery) -> Iterator[str | None]:
    """Yield the column of each part of a query, ``None`` where it names none."""
    match query:
        case MultiMatchQuery():
            yield from query.columns
        case BoostQuery():
            yield from columns_of(query.positive)
            yield from columns_of(query.negative)
        case BooleanQuery():
            for _, clause in query.queries:
                yield from columns_of(clause)
        case MatchQuery() | PrefixQuery() | PhraseQuery():
            yield query.column


def with_columns(query: FullTextQuery, called: Callable[[str], str]) -> FullTextQuery:
    """Return a query with other names of its columns."""
    match query:
        case MultiMatchQuery():
            return replace(query, columns=tuple(map(called, query.columns)))
        case BoostQuery():
            positive, negative = query.positive, query.negative
            return replace(
                query,
                positive=with_columns(positive, called),
                negative=with_columns(negative, called),
            )
        case BooleanQuery():
            clauses = tuple((occur, with_columns(each, called)) for occur, each in query.queries)
            return replace(query, queries=clauses)
        case MatchQuery() | PrefixQuery() | PhraseQuery() if query.column is not None:
            return replace(query, column=called(query.column))
    return query


def _check_text(query: object) -> None:
    if not isinstance(query, str):
        raise DataError(f"The words to look for are {query!r:.60}. Give a text.")


def _check(name: str, value: float, least: float) -> None:
    if not (math.isfinite(value) and value >= least):
        raise DataError(f"{name} is {value}. Give a number of at least {least}.")


def _operator(value: str) -> Operator:
    try:
        return Operator(str(value).upper())
    except ValueError as error:
        raise DataError(f"operator is {value!r}. It is Operator.AND or Operator.OR.") from error
