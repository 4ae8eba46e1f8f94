"""Joining lists of rows by arithmetic on their ranks or scores; no row is read.

Each list gives something to every row: to those in it by rank or score, to the others what it gives
to the absent. A row's score is the sum.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from embow.engines.contract import DISTANCE, SCORE
from embow.errors import ConfigurationError
from embow.rerankers._base import Reranker, tables_of
from embow.rerankers._rows import Joined, Numbers, ReturnScore, numbers, ranked, without_measures


@dataclass(frozen=True, slots=True)
class Part:
    """What one list gives.

    Attributes:
        gains: What it gives to each of its rows, in order.
        absent: What it gives to a row that is not in it.
    """

    gains: Numbers
    absent: float = 0.0


def fused(joined: Joined, parts: Sequence[Part]) -> Numbers:
    """Return the sum of what each list gives, for each row of all lists joined."""
    total, start = np.zeros(len(joined.kept)), 0
    for part in parts:
        gains = np.full(len(total), part.absent)
        gains[joined.places[start : start + len(part.gains)]] = part.gains
        total += gains
        start += len(part.gains)
    return total


def by_rank(result: pa.Table, k: float, weight: float) -> Part:
    """Return what a list gives by rank: ``weight / (k + rank)``, the best row having rank 1."""
    return Part(weight / (k + np.arange(1, result.num_rows + 1, dtype=np.float64)))


class _Fusion(Reranker):
    """Joins lists by arithmetic: nothing is read but ids, ``_distance`` and ``_score``."""

    def columns_read(self) -> tuple[str, ...] | None:
        """Return that it reads none."""
        return ()

    def rerank_hybrid(self, query: str, vector_results: pa.Table, fts_results: pa.Table) -> Any:
        """Return the rows of both halves in one order."""
        halves = (vector_results, fts_results)
        return self._ranked(halves, self._parts(*halves))

    @abstractmethod
    def _parts(self, vector: pa.Table, text: pa.Table) -> list[Part]:
        """Return what each half gives."""

    def _ranked(self, results: Sequence[pa.Table], parts: Sequence[Part]) -> pa.Table:
        if self.return_score == "relevance":  # What is left out need not be joined.
            results = [without_measures(result) for result in results]
        joined = Joined.of(results)
        return ranked(joined.rows(), fused(joined, parts), self.return_score)


class RRFReranker(_Fusion):
    """Reciprocal rank fusion: a row's score is the sum of ``1 / (K + rank)`` over the lists.

    Only ranks count, so that it needs no tuning and scores need not compare (Cormack, Clarke and
    Büttcher, 2009).

    Args:
        K: The greater, the less the first places count.
        return_score: ``"all"`` returns ``_distance`` and ``_score`` too.
        weights: What each list counts, such as ``(0.7, 0.3)`` for vectors and text; all count 1
            where it is ``None``.

    Raises:
        ConfigurationError: ``K`` is not above 0, or a weight is negative.
    """

    def __init__(
        self,
        K: int = 60,  # noqa: N803 - the name it has in the field
        return_score: ReturnScore = "relevance",
        *,
        weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(return_score)
        if not K > 0:
            raise ConfigurationError(f"K must be greater than 0, not {K!r}.")
        if weights is not None and not all(weight >= 0 for weight in weights):
            raise ConfigurationError(f"Weights must not be negative: {tuple(weights)!r}.")
        self.K = K
        self.weights = None if weights is None else tuple(weights)

    def _parts(self, vector: pa.Table, text: pa.Table) -> list[Part]:
        return self._of([vector, text])

    def rerank_multivector(
        self, vector_results: Sequence[Any], query: str | None = None, deduplicate: bool = True
    ) -> Any:
        """Return the rows of several searches in one order, each row once."""
        results = tables_of(vector_results)
        return self._ranked(results, self._of(results))

    def _of(self, results: list[pa.Table]) -> list[Part]:
        weights = self.weights or (1.0,) * len(results)
        if len(weights) != len(results):
            raise ConfigurationError(
                f"There are {len(weights)} weights for {len(results)} results; give one for each."
            )
        return [
            by_rank(result, self.K, weight) for result, weight in zip(results, weights, strict=True)
        ]


class MRRReranker(_Fusion):
    """Mean reciprocal rank: a row's score is the weighted mean of ``1 / rank`` over the lists.

    A list that a row is not in gives it 0. Of several vector searches all count the same.

    Args:
        weight_vector: What the vector half counts.
        weight_fts: What the text half counts; both add up to 1.
        return_score: ``"all"`` returns ``_distance`` and ``_score`` too.

    Raises:
        ConfigurationError: The weights do not add up to 1.
    """

    def __init__(
        self,
        weight_vector: float = 0.5,
        weight_fts: float = 0.5,
        return_score: ReturnScore = "relevance",
    ) -> None:
        super().__init__(return_score)
        if not math.isclose(weight_vector + weight_fts, 1.0) or min(weight_vector, weight_fts) < 0:
            raise ConfigurationError(
                f"weight_vector + weight_fts must equal 1.0, and neither be negative: "
                f"{weight_vector!r} and {weight_fts!r}."
            )
        self.weight_vector, self.weight_fts = weight_vector, weight_fts

    def _parts(self, vector: pa.Table, text: pa.Table) -> list[Part]:
        return [
            by_rank(vector, 0, self.weight_vector),
            by_rank(text, 0, self.weight_fts),
        ]

    def rerank_multivector(
        self, vector_results: Sequence[Any], query: str | None = None, deduplicate: bool = True
    ) -> Any:
        """Return the rows of several searches in one order, each row once."""
        results = tables_of(vector_results)
        share = 1 / len(results)
        return self._ranked(results, [by_rank(each, 0, share) for each in results])


class LinearCombinationReranker(_Fusion):
    """The weighted sum of nearness and text score, ``weight * (1 - _distance) + ... * _score``.

    Where one half found nothing, the other counts alone.

    Args:
        weight: What the vector half counts, from 0 to 1; the text half counts the rest.
        fill: Distance of a row that the vector half did not find; ``1 - fill`` is the score of one
            that the text half did not find.
        return_score: ``"all"`` returns ``_distance`` and ``_score`` too.

    Raises:
        ConfigurationError: ``weight`` is not between 0 and 1.
    """

    def __init__(
        self, weight: float = 0.7, fill: float = 1.0, return_score: ReturnScore = "relevance"
    ) -> None:
        super().__init__(return_score)
        if not 0 <= weight <= 1:
            raise ConfigurationError(f"weight must be between 0 and 1, not {weight!r}.")
        self.weight, self.fill = weight, fill

    def merge_results(
        self, vector_results: pa.Table, fts_results: pa.Table, fill: float | None = None
    ) -> pa.Table:
        """Return the rows of both halves in one order.

        Args:
            vector_results: Rows with ``_distance``.
            fts_results: Rows with ``_score``.
            fill: In the place of the reranker's own.
        """
        parts = self._filled(vector_results, fts_results, self.fill if fill is None else fill)
        return self._ranked([vector_results, fts_results], parts)

    def _parts(self, vector: pa.Table, text: pa.Table) -> list[Part]:
        return self._filled(vector, text, self.fill)

    def _filled(self, vector: pa.Table, text: pa.Table, fill: float) -> list[Part]:
        weight = self.weight
        if not vector.num_rows or not text.num_rows:
            weight = 1.0 if vector.num_rows else 0.0
        near, fit, absent = 1 - numbers(vector, DISTANCE), numbers(text, SCORE), 1 - fill
        return [
            Part(weight * near, weight * absent),
            Part((1 - weight) * fit, (1 - weight) * absent),
        ]
