"""Results as tables: several made one, and one put into the order of its scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines.contract import DISTANCE, RELEVANCE, ROW_ID, SCORE, RowIds
from embow.errors import ConfigurationError

ReturnScore = Literal["relevance", "all"]
Numbers = NDArray[np.float64]

MEASURES = (DISTANCE, SCORE)


def ids_of(result: pa.Table) -> RowIds:
    """Return the row ids of a result.

    Raises:
        ConfigurationError: It has none.
    """
    if ROW_ID not in result.schema.names:
        raise ConfigurationError(
            f"Results are joined by their rows, and one has no column '{ROW_ID}'. Ask for it: "
            "with_row_id()."
        )
    return cast("RowIds", result.column(ROW_ID).to_numpy().astype(np.int64, copy=False))


@dataclass(frozen=True, slots=True)
class Joined:
    """Several results as one list of rows, each once, in the order they first come.

    Attributes:
        results: The results.
        ids: Row ids of all of them, one after the other.
        kept: Where each row first stands in these.
        places: Which of the rows stands at each place.
    """

    results: Sequence[pa.Table]
    ids: RowIds
    kept: NDArray[np.intp]
    places: NDArray[np.intp]

    @classmethod
    def of(cls, results: Sequence[pa.Table]) -> Joined:
        """Join results, which have row ids."""
        ids = np.concatenate([ids_of(result) for result in results])
        _, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
        order = np.argsort(first)
        number = np.empty_like(order)
        number[order] = np.arange(len(order))
        return cls(results, ids, first[order], number[inverse])

    def rows(self) -> pa.Table:
        """Return the rows: columns of all results, null where one has none of that name.

        ``_distance`` and ``_score`` of a row come from the first result that has them.
        """
        joined = pa.concat_tables(self.results, promote_options="default")
        if len(self.kept) == len(self.ids):
            return joined
        rows = joined.take(pa.array(self.kept))
        for name in MEASURES:
            at = joined.schema.get_field_index(name)
            if at >= 0 and rows.column(at).null_count:
                found = numbers(joined, name)
                best = np.full(len(self.kept), np.nan)
                said = np.flatnonzero(~np.isnan(found))[::-1]
                best[self.places[said]] = found[said]
                rows = rows.set_column(at, joined.schema.field(at), nullable(best))
        return rows


def merged(results: Sequence[pa.Table]) -> pa.Table:
    """Return the rows of several results, each once, in the order they first come."""
    return Joined.of(results).rows()


def numbers(result: pa.Table, name: str) -> Numbers:
    """Return a column of numbers, NaN where one is null."""
    return cast("Numbers", result.column(name).to_numpy().astype(np.float64))


def nullable(values: Numbers) -> pa.Array:
    """Return numbers as float32, null where one is NaN."""
    missing = np.isnan(values)
    return pa.array(values.astype(np.float32), mask=missing if missing.any() else None)


def ranked(rows: pa.Table, scores: Numbers, return_score: ReturnScore) -> pa.Table:
    """Return rows with ``_relevance_score``, the best first; those without a score come last.

    Args:
        rows: As many as there are scores.
        scores: NaN where a row has none. Rows of one score stay in their order.
        return_score: ``"relevance"`` leaves ``_distance`` and ``_score`` out.
    """
    order = np.argsort(-scores, kind="stable")  # NaN comes last
    if return_score == "relevance":
        rows = without_measures(rows)
    if RELEVANCE in rows.schema.names:
        rows = rows.drop_columns(RELEVANCE)
    return rows.take(pa.array(order)).append_column(RELEVANCE, nullable(scores[order]))


def without_measures(result: pa.Table) -> pa.Table:
    """Return a result without ``_distance`` and ``_score``."""
    there = [name for name in MEASURES if name in result.schema.names]
    return result.drop_columns(there) if there else result


def min_max(values: Numbers, alike: float) -> Numbers:
    """Return numbers scaled to lie between 0 and 1; ``alike`` where all are equal."""
    if not len(values):
        return values
    least, most = values.min(), values.max()
    return (values - least) / (most - least) if most > least else np.full(len(values), alike)


def with_numbers(result: pa.Table, name: str, values: Numbers) -> pa.Table:
    """Return a result with other numbers in a column."""
    at = result.schema.get_field_index(name)
    return result.set_column(at, result.schema.field(at), nullable(values))
