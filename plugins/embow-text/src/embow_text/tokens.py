"""Texts to terms with their places: by Arrow over a block of texts at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from embow.errors import DataError
from embow_text._words import UNSPACED, fold, terms_of
from embow_text.analysis import Analysis

ELEMENT_GAP = 100
"""Positions between elements of a list, so that a phrase does not run from one into the next."""


@dataclass(frozen=True)
class Tokens:
    """Occurrences of terms, by row and position.

    Attributes:
        rows: Rows, those without a term included.
        terms: The distinct terms.
        codes: Of each occurrence its term's place in ``terms``.
        owners: Of each occurrence its row, ascending.
        positions: Of each occurrence its place in the row, ascending there.
    """

    rows: int
    terms: list[str]
    codes: NDArray[np.int64]
    owners: NDArray[np.int64]
    positions: NDArray[np.int64]


@dataclass(frozen=True)
class Token:
    """A term of a text and its place in it."""

    text: str
    position: int


def tokenize(text: str, analysis: Analysis) -> list[Token]:
    """Return the terms of a text as an index holds them."""
    found = occurrences(pa.array([text], pa.string()), analysis)
    pairs = zip(found.codes.tolist(), found.positions.tolist(), strict=True)
    return [Token(found.terms[code], position) for code, position in pairs]


def query_tokens(text: str, analysis: Analysis) -> list[tuple[Token, bool]]:
    """Return the terms to search for, each with whether longer terms that begin so count too.

    The last character of a run without spaces is part of the pair before it. Alone it stands for
    every term that begins with it, which are all places it is at.
    """
    wanted: list[tuple[Token, bool]] = []
    last = Token("", -2)
    for token in tokenize(text, analysis):
        lone = analysis.base_tokenizer == "simple" and _unspaced(token.text, 1)
        if not (lone and token.position == last.position + 1 and _unspaced(last.text, 2)):
            wanted.append((token, lone))
        last = token
    return wanted


def occurrences(column: pa.Array, analysis: Analysis) -> Tokens:
    """Return what a column of texts, or of lists of texts, holds.

    Raises:
        DataError: The column holds neither.
    """
    texts, owners = _texts(column)
    texts = _cased(texts, analysis)
    cut = _CUTTERS[analysis.base_tokenizer]
    terms, codes, elements, positions, widths = cut(texts, analysis)
    starts = _element_starts(owners, widths)
    return Tokens(len(column), terms, codes, owners[elements], positions + starts[elements])


def _unspaced(term: str, length: int) -> bool:
    return len(term) == length and UNSPACED.fullmatch(term) is not None


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds texts or lists of them."""
    if _is_list(kind):
        kind = kind.value_type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(is_one(kind) for is_one in _STRINGS)


def _texts(column: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
    """Return the texts of a column, without nulls, and the row of each."""
    if not is_text(column.type):
        raise DataError(
            f"Full text needs a column of strings or of lists of them, not of {column.type}."
        )
    owners = np.arange(len(column), dtype=np.int64)
    if _is_list(column.type):
        owners = pc.list_parent_indices(column).to_numpy(zero_copy_only=False).astype(np.int64)
        column = pc.list_flatten(column)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    texts = column.cast(pa.large_string())
    if texts.null_count:
        owners = owners[texts.is_valid().to_numpy(zero_copy_only=False)]
        texts = texts.drop_null()
    return texts, owners


def _is_list(kind: pa.DataType) -> bool:
    fits = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_one(kind) for is_one in fits)


_STRINGS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)


def _cased(texts: pa.Array, analysis: Analysis) -> pa.Array:
    if not analysis.lower_case:
        return texts
    if analysis.language == "Turkish":  # Its small I has no dot, and its large i has one.
        texts = pc.replace_substring(pc.replace_substring(texts, "İ", "i"), "I", "\u0131")
    return pc.utf8_lower(texts)


def _element_starts(owners: NDArray[np.int64], widths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return at which position of its row each text begins."""
    if not len(owners):
        return owners
    ends = np.cumsum(widths + ELEMENT_GAP)
    begins = ends - widths - ELEMENT_GAP
    first = np.flatnonzero(np.r_[True, owners[1:] != owners[:-1]])
    return begins - np.repeat(begins[first], np.diff(np.r_[first, len(owners)]))


_Cut = tuple[list[str], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""Terms; of each occurrence its code, element and position; of each element its width."""


def _simple(texts: pa.Array, analysis: Analysis) -> _Cut:
    return _whitespace(_spaced(texts), analysis)


_BETWEEN_WORDS = r"[^\p{L}\p{N}\p{M}]"
_SHORT = 2**14
_separators: dict[int, str] = {}


def _spaced(texts: pa.Array) -> pa.Array:
    """Return texts with a space for what is in no word.

    Arrow compiles this pattern for two milliseconds each time, more than a query takes. So for
    little text it is asked once about each character; what a word is stays Arrow's to say.
    """
    if texts.nbytes > _SHORT:
        return pc.replace_substring_regex(texts, _BETWEEN_WORDS + "+", " ")
    items = texts.to_pylist()
    new = [character for character in set("".join(items)) if ord(character) not in _separators]
    if new:
        apart = pc.match_substring_regex(pa.array(new), _BETWEEN_WORDS).to_pylist()
        for character, separates in zip(new, apart, strict=True):
            _separators[ord(character)] = " " if separates else character
    return pa.array([text.translate(_separators) for text in items], pa.large_string())


def _whitespace(texts: pa.Array, analysis: Analysis) -> _Cut:
    # Of white space at the end, Arrow would leave some at the last word.
    lists = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(texts))
    return _from_words(pc.list_flatten(lists), _numbers(pc.list_value_length(lists)), analysis)


def _raw(texts: pa.Array, analysis: Analysis) -> _Cut:
    return _from_words(texts, np.ones(len(texts), np.int64), analysis)


def _from_words(words: pa.Array, counts: NDArray[np.int64], analysis: Analysis) -> _Cut:
    """Return the occurrences of terms, given the words of each element one after another."""
    encoded = words.dictionary_encode()
    word = _numbers(encoded.indices)
    made = terms_of(analysis, encoded.dictionary.to_pylist())
    terms, flat, sizes = _numbered([found for found, _ in made])
    width = np.array([width for _, width in made], np.int64)
    offsets = np.cumsum(sizes) - sizes
    times = sizes[word]
    occurrence = np.repeat(np.arange(len(word)), times)
    within = np.arange(len(occurrence)) - np.repeat(np.cumsum(times) - times, times)
    codes = flat[offsets[word[occurrence]] + within]
    widths = width[word]
    ends = np.r_[0, np.cumsum(widths)]
    bounds = np.r_[0, np.cumsum(counts)]
    begins = ends[bounds[:-1]]
    element = np.repeat(np.arange(len(counts)), counts)
    owner = element[occurrence]
    positions = ends[:-1][occurrence] + within - begins[owner]
    kept = codes >= 0
    return terms, codes[kept], owner[kept], positions[kept], np.diff(ends[bounds])


def _numbered(
    found: list[tuple[str | None, ...]],
) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct terms, the number of each one found, and how many each word has."""
    numbers: dict[str | None, int] = {}
    flat = [numbers.setdefault(term, len(numbers)) for each in found for term in each]
    codes = np.array(flat, np.int64)
    if None in numbers:
        dropped = numbers[None]
        codes = np.where(codes == dropped, -1, codes - (codes > dropped))
    terms = [term for term in numbers if term is not None]
    return terms, codes, np.array([len(each) for each in found], np.int64)


def _ngrams(texts: pa.Array, analysis: Analysis) -> _Cut:
    """Return runs of characters; the position of one is the place of its first character."""
    items = texts.to_pylist()
    if analysis.ascii_folding:
        items = [fold(text) for text in items]
    lengths = np.array([len(text) for text in items], np.int64)
    joined = np.frombuffer("".join(items).encode("utf-32-le"), "<u4").astype(np.int64)
    ends = np.cumsum(lengths)
    owner = np.repeat(np.arange(len(items)), lengths)
    place = np.arange(len(joined)) - (ends - lengths)[owner]
    left = lengths[owner] - place
    terms: list[str] = []
    found: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    numbers = joined
    for length in range(1, analysis.ngram_max_length + 1):
        if length > 1:  # A run is the run without its last character, and that character.
            numbers = (numbers[:-1] << 21) | joined[length - 1 :]
            numbers = np.unique(numbers, return_inverse=True)[1].astype(np.int64)
        if length >= analysis.ngram_min_length and len(numbers):
            begins = np.arange(len(numbers))
            fits = left[: len(numbers)] >= length
            at = begins[fits & (place[: len(numbers)] == 0) if analysis.prefix_only else fits]
            _, first, codes = np.unique(numbers[at], return_index=True, return_inverse=True)
            found.append((at, codes.astype(np.int64) + len(terms)))
            runs = joined[at[first][:, None] + np.arange(length)].astype("<u4")
            terms += [run.tobytes().decode("utf-32-le") for run in runs]
    if not found:
        nothing = np.zeros(0, np.int64)
        return [], nothing, nothing, nothing, lengths
    at, codes = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.argsort(at, kind="stable")
    return terms, codes[order], owner[at[order]], place[at[order]], lengths


def _numbers(array: pa.Array) -> NDArray[np.int64]:
    return array.to_numpy(zero_copy_only=False).astype(np.int64)  # type: ignore[no-any-return]


_CUTTERS: dict[str, Callable[[Any, Analysis], _Cut]] = {
    "simple": _simple,
    "whitespace": _whitespace,
    "raw": _raw,
    "ngram": _ngrams,
}
