"""Which columns a query returns: those of the table, or values computed from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from embow._table.columns import Columns
from embow._table.names import unknown_column
from embow.engines.predicate import Expression
from embow.errors import ConfigurationError
from embow.expr import ColumnExpr, Condition, Expr


@dataclass(frozen=True, slots=True)
class Selection:
    """What the user asked for, before it is known of which version.

    Attributes:
        names: Columns, in this order; ``None`` for all.
        expressions: Values by the name they get, in the place of ``names``.
    """

    names: tuple[str, ...] | None = None
    expressions: Mapping[str, Condition] | None = None

    @classmethod
    def of(cls, columns: Any) -> Selection:
        """Return what ``select`` was given.

        Raises:
            ConfigurationError: It is neither names nor expressions by name.
        """
        if columns is None:
            return cls()
        if isinstance(columns, Mapping):
            fit = (isinstance(n, str) and isinstance(e, (str, Expr)) for n, e in columns.items())
            if columns and all(fit):
                return cls(expressions=dict(columns))
        elif isinstance(columns, Iterable) and not isinstance(columns, str):
            chosen = tuple(columns)
            if all(isinstance(name, str) for name in chosen):
                return cls(chosen)
        raise ConfigurationError(
            'select takes a list of column names, select(["a", "b"]), or expressions by name, '
            f'select({{"double": "price * 2"}}), not {columns!r:.60}.'
        )

    def __str__(self) -> str:
        if self.expressions is not None:
            return ", ".join(f"{value} AS {name}" for name, value in self.expressions.items())
        return "all columns" if self.names is None else ", ".join(self.names)

    def on(self, columns: Columns, computed: Mapping[str, pa.DataType]) -> Projection:
        """Return how it is read from one version of a table.

        Args:
            columns: The table's columns.
            computed: Columns that the query adds, and their types.

        Raises:
            UnknownColumnError: A name is not there.
            PredicateError: An expression cannot be used.
        """
        if self.expressions is not None:
            return _of_expressions(self.expressions, columns, computed)
        if self.names is None:
            return Projection(list(columns.names.values()))
        known = [*columns.names, *computed]
        for name in self.names:
            if name not in known:
                raise unknown_column(name, known, columns.names)
        physical = [columns.names[name] for name in self.names if name in columns.names]
        used = frozenset(self.names) & computed.keys()
        return Projection(physical, used, tuple(self.names))


@dataclass(frozen=True, slots=True)
class Projection:
    """A selection on one version of a table.

    Attributes:
        physical: Stored columns to read.
        uses: Columns of the query's own that are named, such as ``_rowid``.
        names: Columns to show, in this order; ``None`` for all that were read.
        values: What is computed, by name, in the place of ``names``.
    """

    physical: Sequence[str]
    uses: frozenset[str] = frozenset()
    names: tuple[str, ...] | None = None
    values: Mapping[str, Expression] | None = None

    @property
    def everything(self) -> bool:
        """Whether all that is read is shown."""
        return self.names is None and self.values is None

    def shown(self, rows: pa.RecordBatch, added: Sequence[str]) -> pa.RecordBatch:
        """Return rows with the columns to show, and then those added that are not among them.

        Args:
            rows: What was read, under the names users give.
            added: Columns of the query's own that come also where they are not named.
        """
        if self.values is None:
            if self.names is None:
                return rows
            names = [*self.names, *(name for name in added if name not in self.names)]
            return rows if names == rows.schema.names else rows.select(names)
        late = [name for name in added if name not in self.values]
        arrays = [value.values(rows) for value in self.values.values()]
        fields = [
            _field(name, value, rows.schema, array.type)
            for (name, value), array in zip(self.values.items(), arrays, strict=True)
        ]
        return pa.RecordBatch.from_arrays(
            [*arrays, *map(rows.column, late)],
            schema=pa.schema([*fields, *map(rows.schema.field, late)]),
        )

    def shown_schema(self, schema: pa.Schema, added: Sequence[str]) -> pa.Schema:
        """Return the schema of what is shown."""
        nothing = [pa.nulls(0, field.type) for field in schema]
        return self.shown(pa.RecordBatch.from_arrays(nothing, schema=schema), added).schema


def expression(given: Condition, schema: pa.Schema) -> Expression:
    """Return a column by its exact name, whatever that is, else an expression."""
    named = isinstance(given, str) and given in schema.names
    return Expression.of(ColumnExpr(str(given)) if named else given, schema)


def _of_expressions(
    given: Mapping[str, Condition], columns: Columns, computed: Mapping[str, pa.DataType]
) -> Projection:
    extra = [pa.field(name, arrow_type) for name, arrow_type in computed.items()]
    schema = pa.schema([*columns.visible, *extra])
    values = {name: expression(each, schema) for name, each in given.items()}
    needed = dict.fromkeys(name for each in values.values() for name in each.columns)
    physical = [columns.names[name] for name in needed if name in columns.names]
    return Projection(physical, frozenset(needed) & computed.keys(), None, values)


def _field(name: str, value: Expression, schema: pa.Schema, arrow_type: pa.DataType) -> pa.Field:
    if value.is_column:
        field: pa.Field = schema.field(value.columns[0])
        return field.with_name(name)
    return pa.field(name, arrow_type)
