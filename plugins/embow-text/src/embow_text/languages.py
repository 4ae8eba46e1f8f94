"""Languages that words can be stemmed in, and the words that say too little to be searched for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import snowballstemmer

LANGUAGES = (
    "Arabic",
    "Danish",
    "Dutch",
    "English",
    "Finnish",
    "French",
    "German",
    "Greek",
    "Hungarian",
    "Italian",
    "Norwegian",
    "Portuguese",
    "Romanian",
    "Russian",
    "Spanish",
    "Swedish",
    "Tamil",
    "Turkish",
)
"""Names of the languages, each with stems and stop words."""


@cache
def stop_words(language: str) -> frozenset[str]:
    """Return the stop words of one of `LANGUAGES`, in lower case."""
    path = files("embow_text") / "stopwords" / f"{language.lower()}.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if line[0] != "#" for word in line.split())


def stems(language: str, words: Sequence[str]) -> list[str]:
    """Return the stem of each word; both of Snowball's libraries give the same ones."""
    # Not kept: a stemmer holds the word it works on, and threads may stem at the same time.
    found: list[str] = snowballstemmer.stemmer(language.lower()).stemWords(words)
    return found
