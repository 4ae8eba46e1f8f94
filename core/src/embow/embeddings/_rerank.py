"""The contract of a reranker: a model that reads a query and a document together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embow.embeddings._provider import Provider


class Reranker(Provider):
    """Say how well documents answer a query.

    An author writes :meth:`rerank`; settings, keys, retries, limits and failures are those of any
    provider.
    """

    @abstractmethod
    def rerank(self, query: str, documents: Sequence[str]) -> NDArray[np.float32]:
        """Return a score for each document, in their order: shape ``(n,)`` float32.

        A higher score is a better answer. Scores compare within one call only, and need not lie
        between 0 and 1. No documents give an array of shape ``(0,)`` without a call.
        """
