"""Words to terms, each distinct word once: normal form, long and stop words, stems, folding."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from embow_text.analysis import Analysis
from embow_text.languages import stems

_UNSPACED_RANGES: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Myanmar, Khmer
    "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"  # Hangul: words carry particles
    "\u3005-\u3007\u3040-\u312f\u31f0-\u31ff\uff66-\uff9f"  # Kana, Bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
UNSPACED: Final = re.compile(f"([{_UNSPACED_RANGES}]+)")
"""A run of characters in a script that sets no spaces between words."""

_LETTERS: Final = {
    "ß": "ss",
    "æ": "ae",
    "œ": "oe",
    "ø": "o",
    "ł": "l",
    "đ": "d",
    "ð": "d",
    "þ": "th",
    "ħ": "h",
    "\u0131": "i",  # Without its dot.
}
_LETTERS_OF_BOTH_CASES: Final = {**_LETTERS, **{k.upper(): v.upper() for k, v in _LETTERS.items()}}

_REMEMBERED: Final = 2**18
_known_stems: dict[str, dict[str, str]] = {}


def terms_of(analysis: Analysis, words: Sequence[str]) -> list[tuple[tuple[str | None, ...], int]]:
    """Return each word's terms, ``None`` for one left out, and how many positions it takes up.

    A run of a script without spaces gives the pair that begins at each of its characters, and its
    last character alone. So each character begins one term, and what is searched for is found
    wherever it stands.

    Args:
        analysis: The settings; case is settled already.
        words: Distinct words.
    """
    pieces: list[str] = []
    ends: list[int] = []
    for word in words:
        pieces += _pieces(analysis, word)
        ends.append(len(pieces))
    plain = _plain_terms(analysis, pieces)
    starts = [0, *ends]
    return [
        _together(analysis, pieces[start:end], plain[start:end])
        for start, end in zip(starts, ends, strict=False)
    ]


def fold(text: str) -> str:
    """Return text with Latin letters as ASCII writes them."""
    return text if text.isascii() else "".join(map(_folded, text))


@lru_cache(4096)
def _folded(character: str) -> str:
    if character in _LETTERS_OF_BOTH_CASES:
        return _LETTERS_OF_BOTH_CASES[character]
    if "\u0300" <= character <= "\u036f":  # An accent for which there is no letter with it.
        return ""
    apart = unicodedata.normalize("NFKD", character)
    bare = "".join(c for c in apart if not unicodedata.combining(c))
    return bare if bare.isascii() else character


def _pieces(analysis: Analysis, word: str) -> list[str]:
    if word.isascii():
        return [word] if word else []
    form = "NFKC" if analysis.ascii_folding else "NFC"
    word = unicodedata.normalize(form, word)  # type: ignore[arg-type]
    if analysis.base_tokenizer != "simple":
        return [word]
    return [piece for piece in UNSPACED.split(word) if piece]


def _is_run(analysis: Analysis, piece: str) -> bool:
    if piece.isascii() or analysis.base_tokenizer != "simple":
        return False
    return UNSPACED.fullmatch(piece) is not None


def _together(
    analysis: Analysis, pieces: list[str], plain: list[str | None]
) -> tuple[tuple[str | None, ...], int]:
    if len(pieces) == 1 and pieces[0].isascii():
        return (plain[0],), 1
    terms: list[str | None] = []
    for piece, term in zip(pieces, plain, strict=True):
        if term is not None and _is_run(analysis, piece):
            terms += (piece[at : at + 2] for at in range(len(piece)))
        else:
            terms.append(term)
    return tuple(terms), len(terms)


def _plain_terms(analysis: Analysis, pieces: list[str]) -> list[str | None]:
    stops = analysis.stops
    longest = analysis.max_token_length if analysis.has_words else None
    wanted = [
        longest is None or len(piece.encode()) < longest or _is_run(analysis, piece)
        for piece in pieces
    ]
    stemmed = pieces
    if analysis.stem and analysis.has_words:
        stemmed = _stems(analysis.language, pieces)
    return [
        None
        if not good or piece in stops or stem in stops
        else (fold(stem) if analysis.ascii_folding else stem) or None  # A lone accent folds away.
        for good, piece, stem in zip(wanted, pieces, stemmed, strict=True)
    ]


def _stems(language: str, words: list[str]) -> list[str]:
    """Return stems, from memory where a word was met before: Python needs 20 us for a new one."""
    known = _known_stems.setdefault(language, {})
    new = [word for word in words if word not in known]
    found = dict(zip(new, stems(language, new), strict=True))
    result = [found[word] if word in found else known[word] for word in words]
    if len(known) + len(found) > _REMEMBERED:
        _known_stems[language] = found
    else:
        known.update(found)
    return result
