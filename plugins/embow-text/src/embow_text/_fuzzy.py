"""Terms near a word: Levenshtein's distance to thousands of terms at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embow_text.segment import Segment


def near(
    segment: Segment, word: str, most: int, prefix: int
) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
    """Return the places of the terms within a distance of a word, and how far each is.

    Args:
        segment: Whose terms.
        word: What they are compared with.
        most: The largest distance.
        prefix: How many characters at the beginning must be equal.
    """
    letters = np.frombuffer(word.encode("utf-32-le"), "<u4")
    fixed = min(prefix, len(word))
    found: list[NDArray[np.int64]] = [_NOTHING]
    distances: list[NDArray[np.int16]] = [_NOTHING.astype(np.int16)]
    for length in range(max(len(word) - most, 1, fixed), len(word) + most + 1):
        if length in segment.by_length:
            numbers, table = segment.by_length[length]
            if fixed:
                same = (table[:fixed] == letters[:fixed, None]).all(axis=0)
                numbers, table = numbers[same], table[:, same]
            distance = _distances(letters, table, most)
            close = distance <= most
            found.append(numbers[close])
            distances.append(distance[close])
    return np.concatenate(found), np.concatenate(distances)


_NOTHING = np.zeros(0, np.int64)


def _distances(word: NDArray[np.uint32], table: NDArray[np.uint32], most: int) -> NDArray[np.int16]:
    """Return distances, right up to ``most``: cells further from the diagonal are not computed."""
    length, terms = table.shape
    far = np.full(terms, most + 1, np.int16)
    before = [np.full(terms, at, np.int16) if at <= most else far for at in range(length + 1)]
    for row, letter in enumerate(word, 1):
        now = [far] * (length + 1)
        if row <= most:
            now[0] = np.full(terms, row, np.int16)
        for at in range(max(1, row - most), min(length, row + most) + 1):
            cell = before[at - 1] + (table[at - 1] != letter)
            np.minimum(cell, before[at] + 1, out=cell)
            np.minimum(cell, now[at - 1] + 1, out=cell)
            now[at] = cell
        before = now
    return before[length]
