"""Filters and expressions on rows: what passes, and which values there are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from embow.engines.predicate._align import (
    plain,
)
from embow.engines.predicate._compute import holds, value_of
from embow.engines.predicate._parse import parse_expression
from embow.engines.predicate._tree import (
    Column,
    Node,
    Predicate,
    columns_of,
)
from embow.engines.predicate._typing import SINGLE, describe, family
from embow.errors import PredicateError
from embow.expr import Condition


def evaluate(predicate: Predicate, batch: pa.RecordBatch) -> NDArray[np.bool_]:
    """Return which rows of a batch pass, shape ``(rows,)``; NULL does not pass.

    Args:
        predicate: The filter.
        batch: Rows with at least the columns in ``predicate.columns``.

    Raises:
        PredicateError: A value cannot be computed: an overflow, a cast that fails.
    """
    try:
        verdict = value_of(predicate.root, batch)
    except (pa.ArrowException, OverflowError) as exc:
        raise PredicateError(f"The filter {predicate.sql!r} fails on a row: {exc}") from exc
    return holds(verdict)


def evaluate_expression(
    expression: Condition, schema: pa.Schema, batch: pa.RecordBatch
) -> pa.Array:
    """Return the value of an expression for each row of a batch.

    Args:
        expression: In the dialect of `parse_predicate`, such as ``"upper(name)"``.
        schema: Columns it may name.
        batch: Rows with at least these columns.

    Raises:
        PredicateError: It does not parse, names an unknown column, or fails on a row.
    """
    return Expression.of(expression, schema).values(batch)


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression of any type.

    Attributes:
        text: What it came from, for messages.
        root: Its tree.
    """

    text: str
    root: Node

    @classmethod
    def of(cls, expression: Condition, schema: pa.Schema) -> Expression:
        """Return an expression, checked against a schema.

        Raises:
            PredicateError: It does not parse, or names an unknown column.
        """
        root = parse_expression(expression, schema)
        return cls(str(expression), root)

    @property
    def columns(self) -> tuple[str, ...]:
        """Top-level columns that must be read, each once."""
        return columns_of(self.root)

    @property
    def is_column(self) -> bool:
        """Whether it is a column as it is."""
        return isinstance(self.root, Column) and len(self.root.path) == 1

    def sort_values(self, batch: pa.RecordBatch) -> pa.Array:
        """Return the values of a batch's rows in a type that Arrow sorts.

        Raises:
            PredicateError: Lists and structs have no order, or a value cannot be computed.
        """
        if family(self.root.type) not in SINGLE:
            raise PredicateError(f"Rows cannot be sorted by {describe(self.root)}.")
        array = plain(self.values(batch))
        return array.cast(pa.bool_()) if pa.types.is_null(array.type) else array

    def values(self, batch: pa.RecordBatch) -> pa.Array:
        """Return the value for each row of a batch; a column comes as it is.

        Raises:
            PredicateError: A value cannot be computed: an overflow, a cast that fails.
        """
        try:
            if isinstance(self.root, Column):
                top, *rest = self.root.path
                column = batch.column(top)
                return pc.struct_field(column, rest) if rest else column
            return value_of(self.root, batch)
        except (pa.ArrowException, OverflowError) as exc:
            raise PredicateError(
                f"The expression {self.text!r:.200} fails on a row: {exc}"
            ) from exc
