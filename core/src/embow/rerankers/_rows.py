"""Results as tables: several made one, and one put into the order of its scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines.contract import DISTANCE, RELEVANCE, ROW_ID, SCORE, RowIds
from embow.errors import ConfigurationError

ReturnScore = Literal["relevance", "all"]
Numbers = NDArray[np.float64]

_MEASURES = (DISTANCE, SCORE)


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


def merged(results: Sequence[pa.Table]) -> pa.Table:
    """Return the rows of several results, each once, in the order they first come.

    Columns are those of all; ``_distance`` and ``_score`` of a row come from the first result that
    has them, and are null where none does.
    """
    ids = np.concatenate([ids_of(result) for result in results])
    joined = pa.concat_tables(results, promote_options="default")
    _, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    if len(first) == len(ids):
        return joined
    kept = np.sort(first)
    rows = joined.take(pa.array(kept))
    for name in _MEASURES:
        at = joined.schema.get_field_index(name)
        if at >= 0 and rows.column(at).null_count:
            found = numbers(joined, name)
            best = np.full(len(first), np.nan)
            said = ~np.isnan(found)
            best[inverse[said][::-1]] = found[said][::-1]
            rows = rows.set_column(at, joined.schema.field(at), nullable(best[inverse[kept]]))
    return rows


def numbers(result: pa.Table, name: str) -> Numbers:
    """Return a column of numbers, NaN where one is null."""
    values = result.column(name).cast(pa.float64()).combine_chunks()
    return cast("Numbers", values.to_numpy(zero_copy_only=False))


def nullable(values: Numbers) -> pa.Array:
    """Return numbers as float32, null where one is NaN."""
    return pa.array(values.astype(np.float32), mask=np.isnan(values))


def ranked(rows: pa.Table, scores: Numbers, return_score: ReturnScore) -> pa.Table:
    """Return rows with ``_relevance_score``, the best first; those without a score come last.

    Args:
        rows: As many as there are scores.
        scores: NaN where a row has none. Rows of one score stay in their order.
        return_score: ``"relevance"`` leaves ``_distance`` and ``_score`` out.
    """
    order = np.argsort(-scores, kind="stable")  # NaN comes last
    former = [*(_MEASURES if return_score == "relevance" else ()), RELEVANCE]
    kept = rows.drop_columns([name for name in former if name in rows.schema.names])
    sorted_rows = kept.take(pa.array(order))
    return sorted_rows.append_column(RELEVANCE, nullable(scores[order]))


def min_max(values: Numbers) -> Numbers:
    """Return numbers scaled to lie between 0 and 1; 0 where all are equal."""
    if not len(values):
        return values
    least, most = values.min(), values.max()
    return (values - least) / (most - least) if most > least else np.zeros(len(values))


def with_numbers(result: pa.Table, name: str, values: Numbers) -> pa.Table:
    """Return a result with other numbers in a column."""
    at = result.schema.get_field_index(name)
    return result.set_column(at, result.schema.field(at), nullable(values))
