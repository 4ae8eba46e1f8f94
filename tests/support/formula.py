"""BM25 written from its formula, over rows in a dict."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence

Rows = dict[int, str | None]
"""Texts of words with blanks between them, by number."""


def bm25(rows: Rows, words: Sequence[str], row: int) -> float:
    """Return the score of a row that has all or some of the words, by the formula."""
    split = {key: (text or "").split() for key, text in rows.items()}
    filled = [each for each in split.values() if each]
    average = sum(map(len, filled)) / len(filled)
    total = 0.0
    for word in words:
        tf = split[row].count(word)
        if tf:
            df = sum(word in each for each in filled)
            idf = math.log(1 + (len(filled) - df + 0.5) / (df + 0.5))
            norm = 1.2 * (1 - 0.75 + 0.75 * len(split[row]) / average)
            total += idf * (tf * (1.2 + 1)) / (tf + norm)
    return total


def single(value: float) -> float:
    """Return a number as single precision keeps it."""
    found: float = struct.unpack("f", struct.pack("f", value))[0]
    return found


def expected(
    rows: Rows, words: Sequence[str], fits: Callable[[list[str]], bool]
) -> dict[int, float]:
    """Return the score of each row whose words fit."""
    found = {key for key, text in rows.items() if fits((text or "").split())}
    return {key: single(bm25(rows, words, key)) for key in found}


def has_phrase(words: Sequence[str], phrase: Sequence[str]) -> bool:
    """Return whether words follow one another somewhere."""
    size = len(phrase)
    return any(words[at : at + size] == list(phrase) for at in range(len(words) - size + 1))


def close(found: dict[int, float], wanted: dict[int, float]) -> bool:
    """Return whether scores are equal but for the last digit of single precision."""
    near = (math.isclose(found[key], wanted[key], rel_tol=1.2e-7) for key in found)
    return found.keys() == wanted.keys() and all(near)
