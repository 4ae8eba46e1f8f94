"""BM25: how much a row says about a word."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Bm25:
    """Lucene's BM25, in double precision.

    A word in ``df`` of ``n`` rows, ``tf`` times in a row of ``dl`` words where rows have ``avgdl``
    on average, scores ``ln(1 + (n - df + 0.5) / (df + 0.5)) * tf * (k1 + 1) / (tf + k1 * (1 - b +
    b * dl / avgdl))``. Rows without a word count neither for ``n`` nor for ``avgdl``.

    Args:
        k1: How soon more of the same word stops counting.
        b: How much long rows are set back.
        rounded_lengths: Whether ``dl`` keeps four significant bits from 40 words up, as in Lucene
            and tantivy, which store it in a byte. LanceDB and the default take it as it is.
        scaled: Whether scores have the factor ``k1 + 1``, as in LanceDB, tantivy and Lucene up to
            7. Lucene dropped it in 8; the order of rows is the same.
    """

    k1: float = 1.2
    b: float = 0.75
    rounded_lengths: bool = False
    scaled: bool = True

    def weight(self, df: int, documents: int) -> float:
        """Return how much a word says that is in ``df`` rows."""
        return math.log(1 + (documents - df + 0.5) / (df + 0.5))

    def scores(
        self,
        weight: float,
        counts: NDArray[Any],
        lengths: NDArray[np.uint32],
        average: float,
    ) -> NDArray[np.float64]:
        """Return the score of each row for one word."""
        # In place: half the time of a query is spent here.
        norm = (rounded(lengths) if self.rounded_lengths else lengths) * self.b
        norm /= average
        norm += 1 - self.b
        norm *= self.k1
        scores = counts.astype(np.float64)
        norm += scores
        if self.scaled:
            scores *= self.k1 + 1
        scores *= weight
        scores /= norm
        return scores


def rounded(lengths: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return lengths as Lucene reads them back from a byte."""
    over = np.maximum(lengths.astype(np.int64) - 24, 0)
    _, bits = np.frexp(over.astype(np.float64))  # Exact: a length has at most 32 bits.
    shift = np.maximum(bits.astype(np.int64) - 4, 0)
    return np.where(lengths < 24, lengths.astype(np.int64), 24 + (over >> shift << shift))
