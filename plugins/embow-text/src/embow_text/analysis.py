"""How text becomes terms: the settings of an index."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import cache

import xxhash

from embow.errors import ConfigurationError, near_name
from embow.index import FTS
from embow_text.languages import LANGUAGES, stems, stop_words

TOKENIZERS = ("simple", "whitespace", "raw", "ngram")

RULES = 1
"""Raised when the same settings come to give other terms."""


@dataclass(frozen=True, kw_only=True)
class Analysis(FTS):
    """What happens to text before it is indexed or searched for: an `FTS` whose values are good.

    Raises:
        ConfigurationError: A setting has no such value.
    """

    def __post_init__(self) -> None:
        if self.custom_stop_words is not None:  # Frozen, and a list would make it unhashable.
            object.__setattr__(self, "custom_stop_words", tuple(self.custom_stop_words))
        _one_of("base_tokenizer", self.base_tokenizer, TOKENIZERS)
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
