"""How text becomes terms: the settings of an index."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Literal, get_args

import xxhash

from embow.errors import ConfigurationError, near_name
from embow_text.languages import LANGUAGES, stems, stop_words

Tokenizer = Literal["simple", "whitespace", "raw", "ngram"]

RULES = 1
"""Raised when the same settings come to give other terms."""


@dataclass(frozen=True)
class Analysis:
    """What happens to text before it is indexed or searched for.

    The names and defaults are LanceDB's.

    Args:
        base_tokenizer: ``"simple"`` cuts at what is no letter, digit or mark, and scripts written
            without spaces into overlapping pairs of characters; ``"whitespace"`` cuts at white
            space; ``"raw"`` takes a text as one term; ``"ngram"`` takes every run of characters.
        language: One of `LANGUAGES`.
        max_token_length: Words of this many bytes and more are left out; ``None`` keeps them.
        lower_case: Whether case is ignored.
        stem: Whether forms of a word are one term. Not with ``"raw"`` and ``"ngram"``.
        remove_stop_words: Whether the commonest words are left out. Not with ``"raw"`` and
            ``"ngram"``.
        custom_stop_words: Left out in place of the language's own.
        ascii_folding: Whether ``"é"`` is found as ``"e"``.
        ngram_min_length: Characters in the shortest run.
        ngram_max_length: Characters in the longest run.
        prefix_only: Whether only runs at the beginning of a text are taken.
        with_position: Whether phrases can be searched for; a third larger.

    Raises:
        ConfigurationError: A setting has no such value.
    """

    base_tokenizer: Tokenizer = "simple"
    language: str = "English"
    max_token_length: int | None = 40
    lower_case: bool = True
    stem: bool = True
    remove_stop_words: bool = True
    custom_stop_words: tuple[str, ...] | None = None
    ascii_folding: bool = True
    ngram_min_length: int = 3
    ngram_max_length: int = 3
    prefix_only: bool = False
    with_position: bool = False

    def __post_init__(self) -> None:
        _one_of("base_tokenizer", self.base_tokenizer, get_args(Tokenizer))
        _one_of("language", self.language, LANGUAGES)
        if self.max_token_length is not None and self.max_token_length < 1:
            raise ConfigurationError(
                f"max_token_length is {self.max_token_length}, so no word is left. Give at least "
                "1, or None for words of any length."
            )
        if not 1 <= self.ngram_min_length <= self.ngram_max_length:
            raise ConfigurationError(
                f"ngram_min_length is {self.ngram_min_length} and ngram_max_length "
                f"{self.ngram_max_length}. Give 1 <= ngram_min_length <= ngram_max_length."
            )
        if self.custom_stop_words is not None:  # Frozen, and a list would make it unhashable.
            object.__setattr__(self, "custom_stop_words", tuple(self.custom_stop_words))

    @property
    def has_words(self) -> bool:
        """Return whether terms are words of a language, with stems and stop words."""
        return self.base_tokenizer in ("simple", "whitespace")

    @property
    def unstemmed(self) -> Analysis:
        """Return the same analysis for words that are not whole."""
        return replace(self, stem=False, remove_stop_words=False)

    @property
    def stops(self) -> frozenset[str]:
        """Return the words that are left out."""
        if not self.remove_stop_words or not self.has_words:
            return frozenset()
        if self.custom_stop_words is None:
            return stop_words(self.language)
        return frozenset(w.lower() if self.lower_case else w for w in self.custom_stop_words)


@cache
def fingerprint(analysis: Analysis) -> str:
    """Return what differs between two analyses that give a text different terms.

    Stems of the language's stop words are part of it: a release of the stemmer with other rules
    would not find what an earlier one indexed.
    """
    probe = sorted(stop_words(analysis.language)) if analysis.stem else []
    made = [RULES, asdict(analysis), stems(analysis.language, probe) if probe else []]
    return xxhash.xxh3_64_hexdigest(json.dumps(made, sort_keys=True).encode())


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        listing = ", ".join(known)
        raise ConfigurationError(
            f"{name} is {value!r}.{near_name(str(value), known)} It is one of: {listing}."
        )
