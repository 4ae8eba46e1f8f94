"""Computing an SQL expression of any type over Arrow data, for updates and merges."""

from __future__ import annotations

import pyarrow as pa

from embow.engines.predicate._evaluate import value_of
from embow.engines.predicate._parse import parse_expression
from embow.errors import PredicateError


def evaluate_expression(sql: str, schema: pa.Schema, batch: pa.RecordBatch) -> pa.Array:
    """Return the value of an expression for each row of a batch.

    Args:
        sql: An expression in the dialect of `parse_predicate`, such as ``"upper(name)"``.
        schema: Columns it may name.
        batch: Rows with at least these columns.

    Raises:
        PredicateError: The text does not parse, names an unknown column, or fails on a row.
    """
    node = parse_expression(sql, schema)
    try:
        return value_of(node, batch)
    except pa.ArrowException as exc:
        raise PredicateError(f"The expression {sql!r} fails on a row: {exc}") from exc
