"""Answers against a scorer written from the formula, over random documents."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from embow.errors import DataError, UnknownColumnError
from embow.query import (
    BooleanQuery,
    BoostQuery,
    MatchQuery,
    MultiMatchQuery,
    Occur,
    Operator,
    PhraseQuery,
    PrefixQuery,
)
from embow_text import (
    Analysis,
    Bm25,
    Hits,
    Part,
    TextIndex,
    build,
    search,
)

PLAIN = Analysis(stem=False, remove_stop_words=False, with_position=True)
WORDS = ["aa", "ab", "abc", "b", "bb", "cab", "ccc"]

document = st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)
phrase = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)


@dataclass(frozen=True)
class Corpus:
    """Documents, where they are cut into parts, and which may be found."""

    documents: list[str]
    cuts: list[int]
    passing: list[bool]

    def index(self, scoring: Bm25 = Bm25()) -> TextIndex:  # noqa: B008 (immutable)
        """Return them as an index, row ids ten apart from part to part."""
        bounds = [0, *self.cuts, len(self.documents)]
        parts = [
            Part(
                build(pa.array(self.documents[begin:end], pa.string()), PLAIN),
                begin,
                np.array(self.passing[begin:end], bool),
            )
            for begin, end in pairwise(bounds)
        ]
        return TextIndex(parts[::-1], PLAIN, scoring)


@st.composite
def corpora(draw: st.DrawFn) -> Corpus:
    documents = draw(st.lists(document, max_size=12))
    size = len(documents)
    cuts = draw(st.lists(st.integers(0, size), max_size=3).map(sorted))
    passing = draw(st.lists(st.booleans() | st.just(True), min_size=size, max_size=size))
    return Corpus(documents, cuts, passing)


def bm25(corpus: Corpus, groups: Sequence[set[str]], row: int) -> float:
    """Return the sum of what each group of words scores in a row, from the formula."""
    split = [text.split() for text in corpus.documents]
    filled = [words for words in split if words]
    average = sum(map(len, filled)) / len(filled)
    total = 0.0
    for group in groups:
        tf = sum(word in group for word in split[row])
        if tf:
            df = sum(any(word in group for word in words) for words in split)
            idf = math.log(1 + (len(filled) - df + 0.5) / (df + 0.5))
            norm = 1.2 * (1 - 0.75 + 0.75 * len(split[row]) / average)
            total += idf * (tf * (1.2 + 1)) / (tf + norm)
    return total


def single(value: float) -> float:
    """Return a number as single precision keeps it."""
    found: float = struct.unpack("f", struct.pack("f", value))[0]
    return found


def ranked(scores: dict[int, float], limit: int | None = None) -> list[tuple[int, float]]:
    """Return rows and scores as a search gives them."""
    rows = [(row, single(score)) for row, score in scores.items()]
    return sorted(rows, key=lambda pair: (-pair[1], pair[0]))[:limit]


def pairs(hits: Hits) -> list[tuple[int, float]]:
    """Return rows and scores of an answer."""
    return list(zip(hits.ids.tolist(), hits.scores.tolist(), strict=True))


def matching(
    corpus: Corpus, groups: Sequence[set[str]], need: int, boost: float = 1.0
) -> dict[int, float]:
    """Return the score of each row that has words of so many groups and may be found."""
    return {
        row: boost * bm25(corpus, groups, row)
        for row, text in enumerate(corpus.documents)
        if corpus.passing[row]
        and groups
        and sum(bool(group & {*text.split()}) for group in groups) >= need
    }


def distance(left: str, right: str) -> int:
    """Return Levenshtein's distance by its definition."""
    if not left or not right:
        return len(left) + len(right)
    return min(
        distance(left[1:], right) + 1,
        distance(left, right[1:]) + 1,
        distance(left[1:], right[1:]) + (left[0] != right[0]),
    )


@given(corpora(), phrase, st.sampled_from(Operator), st.sampled_from([None, 1, 3]))
def test_matches_score_as_the_formula_says(
    corpus: Corpus, query: str, operator: Operator, limit: int | None
) -> None:
    """Rows and scores are equal to the last bit, whatever the parts, and ties are by row id."""
    groups = [{word} for word in query.split()]
    need = len(groups) if operator is Operator.AND else 1
    asked = MatchQuery(query, boost=1.5, operator=operator)
    found = search({"text": corpus.index()}, asked, limit)
    assert pairs(found) == ranked(matching(corpus, groups, need, 1.5), limit)


@given(corpora(), phrase, st.integers(0, 3))
def test_phrases_are_what_trying_every_place_finds(corpus: Corpus, query: str, slop: int) -> None:
    """Words in their order, at most ``slop`` others between them; scored as the words are."""
    words = query.split()
    scores = matching(corpus, [{word} for word in words], len(words))
    for row in list(scores):
        text = corpus.documents[row].split()
        places = [[at for at, other in enumerate(text) if other == word] for word in words]
        if not any(
            all(left < right for left, right in pairwise(each))
            and each[-1] - each[0] - (len(words) - 1) <= slop
            for each in product(*places)
        ):
            del scores[row]
    found = search({"text": corpus.index()}, PhraseQuery(query, slop=slop), None)
    assert pairs(found) == ranked(scores)


@example(Corpus(["abc", "abc cab", "ab ab b"], [], [True] * 3), "aaa", 2, 0, 3)
@given(
    corpora(),
    st.text("abc", min_size=1, max_size=4),
    st.integers(1, 2),
    st.integers(0, 3),
    st.integers(1, 4),
)
def test_near_words_are_those_of_the_definition(
    corpus: Corpus, word: str, fuzziness: int, prefix: int, expansions: int
) -> None:
    """The nearest and commonest words within the distance count as one."""
    common = {
        other: sum(other in text.split() for text in corpus.documents)
        for other in WORDS
        if distance(word, other) <= fuzziness and other.startswith(word[:prefix])
    }
    near = sorted(
        (other for other in common if common[other]),
        key=lambda other: (distance(word, other), -common[other], other),
    )
    asked = MatchQuery(word, fuzziness=fuzziness, prefix_length=prefix, max_expansions=expansions)
    found = search({"text": corpus.index()}, asked, None)
    assert pairs(found) == ranked(matching(corpus, [{*near[:expansions]}], 1))


@given(corpora(), phrase, st.text("abc", min_size=1, max_size=3))
def test_a_prefix_stands_for_every_word_that_begins_so(
    corpus: Corpus, whole: str, prefix: str
) -> None:
    """The last word of a prefix query is a beginning, the others are words."""
    groups = [{word} for word in whole.split()]
    groups.append({word for word in WORDS if word.startswith(prefix)})
    found = search({"text": corpus.index()}, PrefixQuery(f"{whole} {prefix}"), None)
    assert pairs(found) == ranked(matching(corpus, groups, len(groups)))


@given(corpora(), st.lists(st.sampled_from(WORDS), min_size=3, max_size=3))
def test_queries_combine(corpus: Corpus, words: list[str]) -> None:
    """MUST, SHOULD, MUST_NOT and a negative query do what their names say."""
    one, two, three = (matching(corpus, [{word}], 1) for word in words)
    asked = [MatchQuery(word) for word in words]
    clauses = list(zip((Occur.MUST, Occur.SHOULD, Occur.MUST_NOT), asked, strict=True))
    expected = {row: score + two.get(row, 0.0) for row, score in one.items() if row not in three}
    index = {"text": corpus.index()}
    assert pairs(search(index, BooleanQuery(clauses), None)) == ranked(expected)
    either = {row: one.get(row, 0.0) + two.get(row, 0.0) for row in one | two}
    assert pairs(search(index, asked[0] | asked[1], None)) == ranked(either)
    both = {row: score + two[row] for row, score in one.items() if row in two}
    assert pairs(search(index, asked[0] & asked[1], None)) == ranked(both)
    lowered = {row: score - 0.5 * three.get(row, 0.0) for row, score in one.items()}
    assert pairs(search(index, BoostQuery(asked[0], asked[2]), None)) == ranked(lowered)


@given(corpora(), corpora(), phrase)
def test_the_best_column_counts(first: Corpus, second: Corpus, query: str) -> None:
    """Over several columns a row has its highest score; boosts are applied before."""
    groups = [{word} for word in query.split()]
    left, right = matching(first, groups, 1), matching(second, groups, 1, 3.0)
    best = {row: max(left.get(row, 0.0), right.get(row, 0.0)) for row in left | right}
    indexes = {"a": first.index(), "b": second.index()}
    asked = MultiMatchQuery(query, ["a", "b"], boosts=[1.0, 3.0])
    assert pairs(search(indexes, asked, None)) == ranked(best)


@given(corpora(), phrase)
def test_rows_that_do_not_count_leave_no_trace(corpus: Corpus, query: str) -> None:
    """Scores with deleted rows left out of the count are those of an index without them."""
    live = np.array(corpus.passing, bool)
    segment = build(pa.array(corpus.documents, pa.string()), PLAIN)
    ids = np.flatnonzero(live)
    left = build(pa.array([corpus.documents[row] for row in ids], pa.string()), PLAIN)
    asked = MatchQuery(query) | PrefixQuery(query) | PhraseQuery(query)
    marked = TextIndex([Part(segment, 0, live, live)], PLAIN)
    alone = TextIndex([Part(left, ids)], PLAIN)
    assert pairs(search({"text": marked}, asked)) == pairs(search({"text": alone}, asked))


def test_a_plain_text_looks_in_every_column() -> None:
    """Without a column each index is asked."""
    rows = {"a": ["aa", "bb"], "b": ["cab", "cab"]}
    indexes = {
        name: TextIndex([Part(build(pa.array(texts), PLAIN))], PLAIN)
        for name, texts in rows.items()
    }
    assert search(indexes, "bb").ids.tolist() == [1]
    assert search(indexes, "cab").ids.tolist() == [0, 1]


def lucene_length(length: int) -> int:
    """Return what Lucene's SmallFloat makes of a length: its own steps, number by number."""

    def shorten(number: int) -> int:
        bits = number.bit_length()
        if bits < 4:
            return number
        return (number >> (bits - 4) & 7) | (bits - 3) << 3

    def restore(code: int) -> int:
        shift = (code >> 3) - 1
        return code & 7 if shift < 0 else (code & 7 | 8) << shift

    return length if length < 24 else 24 + restore(shorten(length - 24))


@given(st.lists(st.integers(0, 2**31 - 1) | st.integers(0, 300), min_size=1))
def test_rounded_lengths_are_lucenes(lengths: list[int]) -> None:
    """Lengths become those that Lucene reads back from its byte."""
    from embow_text.scoring import rounded

    assert rounded(np.array(lengths, np.uint32)).tolist() == [*map(lucene_length, lengths)]


def test_lucenes_own_scores() -> None:
    """Without the factor, and with rounded lengths, scores are those of Lucene 8 and later."""
    documents = ["aa " + "b " * 99, "aa", "bb"]
    index = TextIndex(
        [Part(build(pa.array(documents), PLAIN))], PLAIN, Bm25(rounded_lengths=True, scaled=False)
    )
    idf = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    average = 102 / 3
    expected = [idf / (1 + 1.2 * (0.25 + 0.75 * dl / average)) for dl in (1, 96)]
    found = search({"text": index}, "aa")
    assert found.ids.tolist() == [1, 0]
    assert found.scores.tolist() == [single(score) for score in expected]


@settings(max_examples=300)
@given(st.text() | st.text('a"()ANDOR*~^:\\ -+', max_size=12))
def test_no_text_is_refused(text: str) -> None:
    """A query string has no syntax to get wrong."""
    index = TextIndex([Part(build(pa.array(["aa bb", "any text"]), PLAIN))], PLAIN)
    for asked in (text, MatchQuery(text, fuzziness=None), PrefixQuery(text), PhraseQuery(text)):
        assert len(search({"text": index}, asked).ids) <= 2


def test_quotes_around_a_text_make_a_phrase() -> None:
    """Only a text that is quoted as a whole is a phrase."""
    index = {"text": TextIndex([Part(build(pa.array(["aa bb", "bb aa"]), PLAIN))], PLAIN)}
    assert search(index, '"bb aa"').ids.tolist() == [1]
    assert search(index, 'say "bb aa').ids.tolist() == [0, 1]


def test_row_ids_may_have_gaps() -> None:
    """A part names its rows by an array of ids where they do not follow one another."""
    part = Part(build(pa.array(["aa", "bb", "aa"]), PLAIN), np.array([7, 9, 40]))
    found = search({"text": TextIndex([part], PLAIN)}, "aa", 1)
    assert found.ids.tolist() == [7]


def test_a_stop_word_in_a_phrase_stands_for_any_word() -> None:
    """The place of a word that is left out stays open."""
    analysis = Analysis(with_position=True)
    texts = pa.array(["state of art", "state art", "state fine art"])
    index = {"text": TextIndex([Part(build(texts, analysis))], analysis)}
    assert search(index, PhraseQuery("state of the art")).ids.tolist() == []
    assert search(index, PhraseQuery("state of art")).ids.tolist() == [0, 2]


def test_what_cannot_be_asked_is_named() -> None:
    """Each refusal says what to do."""
    analysis = Analysis()
    index = {"text": TextIndex([Part(build(pa.array(["aa"]), analysis))], analysis)}
    with pytest.raises(DataError, match="with_position=True"):
        search(index, PhraseQuery("aa bb"))
    with pytest.raises(UnknownColumnError, match="Did you mean 'text'"):
        search(index, MatchQuery("aa", "txt"))
    with pytest.raises(DataError, match="needs a MUST or a SHOULD"):
        BooleanQuery([(Occur.MUST_NOT, MatchQuery("aa"))])
    with pytest.raises(DataError, match="slop is -1"):
        PhraseQuery("aa", slop=-1)
    with pytest.raises(DataError, match="2 columns have 1 boosts"):
        MultiMatchQuery("aa", ["a", "b"], boosts=[1.0])
