"""Texts to terms, against readings that are slow and plain."""

from __future__ import annotations

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embow.errors import ConfigurationError, DataError
from embow.query import PhraseQuery
from embow_text import (
    LANGUAGES,
    Analysis,
    Part,
    TextIndex,
    build,
    fingerprint,
    search,
    tokenize,
)
from embow_text.tokens import occurrences, query_tokens

BARE = Analysis(stem=False, remove_stop_words=False, ascii_folding=False, max_token_length=None)

FORMS = {
    "Arabic": ("الكتاب", "كتاب", "في"),
    "Danish": ("bøgerne", "bøger", "ikke"),
    "Dutch": ("lopende", "lopend", "het"),
    "English": ("running", "runs", "the"),
    "Finnish": ("taloissa", "talossa", "mutta"),
    "French": ("routes", "route", "la"),
    "German": ("Häuser", "Hauses", "und"),
    "Greek": ("δρόμους", "δρόμος", "και"),
    "Hungarian": ("könyvek", "könyvet", "hogy"),
    "Italian": ("libri", "libro", "della"),
    "Norwegian": ("husene", "huset", "ikke"),
    "Portuguese": ("livros", "livro", "não"),
    "Romanian": ("cărților", "cărțile", "și"),
    "Russian": ("книгами", "книга", "не"),
    "Spanish": ("gatos", "gato", "los"),
    "Swedish": ("husen", "huset", "inte"),
    "Tamil": ("வீடுகளை", "வீடு", "மற்றும்"),
    "Turkish": ("KİTAPLAR", "kitap", "için"),
}
"""Of each language two forms of a word, and a word that says too little."""


def texts(text: str, analysis: Analysis) -> list[str]:
    """Return the terms of a text."""
    return [token.text for token in tokenize(text, analysis)]


def found(documents: list[object], query: str, analysis: Analysis) -> list[int]:
    """Return the rows in which a query finds something, by row."""
    index = TextIndex([Part(build(pa.array(documents), analysis))], analysis)
    return sorted(search({"text": index}, query, None).ids.tolist())


@pytest.mark.parametrize("language", LANGUAGES)
def test_forms_of_a_word_are_one_term(language: str) -> None:
    """In each language an inflected form finds another, and stop words are left out."""
    one, other, stop = FORMS[language]
    analysis = Analysis(language=language)
    assert texts(one, analysis) == texts(other, analysis) != []
    assert texts(stop, analysis) == []
    assert texts(one, Analysis(language=language, stem=False)) != texts(other, analysis)


def test_every_language_has_a_check() -> None:
    """A new language comes with its forms."""
    assert set(FORMS) == set(LANGUAGES)


@given(st.text("aBé1_ -'\u0301\n.ßΩк②\u00a0\u00b4\u2003", max_size=20))
def test_words_are_letters_digits_and_marks(text: str) -> None:
    """The simple tokenizer cuts at everything else, white space at the ends too."""
    inside = "".join(c if unicodedata.category(c)[0] in "LNM" else " " for c in text.lower())
    words = [unicodedata.normalize("NFC", word) for word in inside.split()]
    assert texts(text, BARE) == words


def test_what_ends_a_text_is_in_no_word() -> None:
    """Of some lengths of text Arrow takes white space at its end into the last word."""
    for size in range(1, 200):
        assert texts("a" * size + ".", BARE) == ["a" * size]


@given(st.text())
def test_little_text_is_cut_as_much_is(text: str) -> None:
    """Whether a text comes alone or with many others, its terms are the same."""
    made = occurrences(pa.array([text, "x " * 9000]), BARE)
    long = [made.terms[code] for code in made.codes[made.owners == 0]]
    assert texts(text, BARE) == long


@given(
    st.lists(st.text("aBé ", max_size=7), max_size=5),
    st.integers(1, 3),
    st.integers(0, 2),
    st.booleans(),
)
def test_runs_of_characters_are_all_of_them(
    documents: list[str], shortest: int, more: int, prefix_only: bool
) -> None:
    """Each run of the lengths asked for is a term at the place of its first character."""
    analysis = Analysis(
        base_tokenizer="ngram",
        ngram_min_length=shortest,
        ngram_max_length=shortest + more,
        prefix_only=prefix_only,
    )
    for text in documents:
        plain = text.lower().replace("é", "e")
        expected = {
            (plain[at : at + length], at)
            for length in range(shortest, shortest + more + 1)
            for at in range(len(plain) - length + 1)
            if not (prefix_only and at)
        }
        made = tokenize(text, analysis)
        assert {(token.text, token.position) for token in made} == expected
        assert len(made) == len(expected)
    whole = occurrences(pa.array(documents, pa.string()), analysis)
    single = [len(tokenize(text, analysis)) for text in documents]
    assert [int((whole.owners == row).sum()) for row in range(len(documents))] == single


@given(st.text("全文数据库猫", min_size=1, max_size=8), st.data())
def test_what_stands_in_a_script_without_spaces_is_found(text: str, data: st.DataObject) -> None:
    """Every part of a text, a single character too, finds it as a phrase."""
    begin = data.draw(st.integers(0, len(text) - 1))
    part = text[begin : data.draw(st.integers(begin + 1, len(text)))]
    analysis = Analysis(with_position=True)
    documents = [f"python{text}, x", "全", "猫 x", text[::-1]]
    expected = [row for row, other in enumerate(documents) if part in other]
    index = TextIndex([Part(build(pa.array(documents), analysis))], analysis)
    rows = search({"text": index}, PhraseQuery(part), None).ids.tolist()
    assert sorted(rows) == expected


def test_a_query_has_the_pairs_of_a_run() -> None:
    """The last character of a run is not asked for again; one that is alone is a beginning."""
    asked = query_tokens("数据库 猫 a", Analysis(remove_stop_words=False))
    words = [(token.text, begins) for token, begins in asked]
    assert words == [("数据", False), ("据库", False), ("猫", True), ("a", False)]


def test_other_scripts_without_spaces() -> None:
    """Thai, Japanese and Korean words are found inside a run too."""
    runs = {"ฐานข้อมูล": "ข้อมูล", "検索エンジン": "エンジン", "데이터베이스를": "베이스"}
    for text, part in runs.items():
        assert found([text, "x"], part, Analysis()) == [0]


def test_positions_keep_the_places_of_words_left_out() -> None:
    """Stop words and words that are too long take up a position."""
    tokens = tokenize(f"Running in cafés {'x' * 40} here {'y' * 39}", Analysis())
    places = [(token.text, token.position) for token in tokens]
    assert places == [("run", 0), ("cafe", 2), ("y" * 39, 5)]


def test_folding_and_case_can_be_left_as_they_are() -> None:
    """Letters are folded to ASCII where they have such a form; both can be switched off."""
    text = "Straße Ærø İstanbul \uff26\uff55\uff4c\uff4c e\u0301t\u0301 Ω"
    assert texts(text, Analysis(stem=False)) == ["strasse", "aero", "istanbul", "full", "et", "ω"]
    kept = Analysis(stem=False, ascii_folding=False, lower_case=False)
    assert texts("Straße É É", kept) == ["Straße", "É", "É"]


def test_stop_words_of_ones_own() -> None:
    """They replace the language's, and a form of one is left out as well."""
    analysis = Analysis(custom_stop_words=["Dog"])  # type: ignore[arg-type]
    assert texts("the dogs bark", analysis) == ["the", "bark"]
    assert hash(analysis) == hash(Analysis(custom_stop_words=("Dog",)))


def test_whole_texts_and_white_space() -> None:
    """The other tokenizers cut as their names say."""
    raw = Analysis(base_tokenizer="raw")
    assert texts("The running dogs: " + "x" * 60, raw) == ["the running dogs: " + "x" * 60]
    spaces = Analysis(base_tokenizer="whitespace", stem=False)
    assert texts("a-b  c++ the\n数据库", spaces) == ["a-b", "c++", "数据库"]


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
    ],
    ids=str,
)
def test_every_kind_of_text_column(kind: pa.DataType) -> None:
    """However Arrow holds the texts, the terms are the same, and nulls have none."""
    column = pa.array(["big dog", None, "", "dog"]).cast(kind)
    segment = build(pa.chunked_array([column, column.slice(1)]), Analysis())
    assert segment.lengths.tolist() == [2, 0, 0, 1, 0, 0, 1]
    assert segment.terms.to_pylist() == [b"big", b"dog"]


@pytest.mark.parametrize("kind", [pa.list_, pa.large_list], ids=["list", "large_list"])
def test_columns_of_lists(kind: object) -> None:
    """A row has the terms of all its texts, and no phrase runs from one into the next."""
    rows = [["red car", "blue bus"], None, [], ["x", None, "car blue"]]
    analysis = Analysis(with_position=True)
    column = pa.array(rows, kind(pa.string()))  # type: ignore[operator]
    index = {"text": TextIndex([Part(build(column, analysis))], analysis)}
    assert search(index, "car").ids.tolist() == [3, 0]
    assert search(index, PhraseQuery("car blue")).ids.tolist() == [3]


def test_other_columns_are_refused() -> None:
    """Numbers have no words."""
    with pytest.raises(DataError, match="not of int64"):
        build(pa.array([1]), Analysis())


def test_settings_that_are_none_are_named() -> None:
    """A misspelt setting is answered with the right one."""
    with pytest.raises(ConfigurationError, match="Did you mean 'French'"):
        Analysis(language="french ")
    with pytest.raises(ConfigurationError, match="base_tokenizer is 'icu'"):
        Analysis(base_tokenizer="icu")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="ngram_min_length is 4"):
        Analysis(ngram_min_length=4)
    with pytest.raises(ConfigurationError, match="max_token_length is 0"):
        Analysis(max_token_length=0)


def test_a_fingerprint_tells_analyses_apart() -> None:
    """Every setting is part of it, and it is the same in every process."""
    changes = ({}, {"stem": False}, {"language": "Dutch"}, {"lower_case": False})
    made = [Analysis(**change) for change in changes]  # type: ignore[arg-type]
    assert len({fingerprint(each) for each in made}) == len(made)
    assert fingerprint(Analysis()) == fingerprint(Analysis(language="English"))
