"""Late interaction: how well a query of many vectors fits documents of many vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def maxsim(
    query: NDArray[np.float32], documents: Sequence[NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Score documents against a query, the higher the better.

    For each query vector the best matching vector of a document counts; a document's score is
    the sum (Khattab and Zaharia, "ColBERT", 2020).

    Args:
        query: Vectors of one query, shape ``(tokens, dim)``.
        documents: Vectors of each document, shape ``(tokens, dim)``.

    Returns:
        One score a document, shape ``(len(documents),)`` float32.
    """
    scores = [float((query @ document.T).max(axis=1).sum()) for document in documents]
    return np.asarray(scores, dtype=np.float32)
