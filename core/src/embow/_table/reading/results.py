"""Query results in the form asked for: dicts, Arrow, pandas, polars, model objects.

Called by the query builders. pandas and polars are imported only when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from embow._table.columns import Columns
from embow.engines.predicate import evaluate, parse_predicate
from embow.errors import ConfigurationError
from embow.expr import Condition

if TYPE_CHECKING:
    from pydantic import BaseModel

    M = TypeVar("M", bound=BaseModel)
else:
    M = TypeVar("M")


class Results:
    """Terminal methods over one Arrow result. Subclasses say how to get it."""

    def to_arrow(self) -> pa.Table:
        """Run the query and return an Arrow table."""
        raise NotImplementedError

    def to_list(self) -> list[dict[str, Any]]:
        """Run the query and return one dict a row."""
        return list(self.to_arrow().to_pylist())

    def to_pandas(self, /, **kwargs: Any) -> Any:
        """Run the query and return a pandas DataFrame; vectors are numpy arrays.

        Args:
            **kwargs: Handed to ``pyarrow.Table.to_pandas``.

        Raises:
            ConfigurationError: pandas is not installed.
        """
        _require("pandas")
        return self.to_arrow().to_pandas(**kwargs)

    def to_polars(self) -> Any:
        """Run the query and return a polars DataFrame.

        Raises:
            ConfigurationError: polars is not installed.
        """
        return _require("polars").from_arrow(self.to_arrow())

    def to_pydantic(self, model: type[M]) -> list[M]:
        """Run the query and return one object of the model a row.

        Columns the model does not declare, such as ``_distance``, are left out.
        """
        from embow.schema._rows import row_to_model

        return [row_to_model(model, row) for row in self.to_list()]


def shown_rows(rows: pa.Table, columns: Columns) -> pa.Table:
    """Return rows as they were read, under the names users give their columns."""
    return pa.Table.from_arrays(rows.columns, schema=columns.visible_schema(rows.schema))


def rows_that_satisfy(result: pa.Table, where: Condition) -> pa.Table:
    """Return the rows of a result that satisfy a condition, which may name ``_distance``."""
    predicate = parse_predicate(where, result.schema)
    batches = [
        batch.filter(pa.array(evaluate(predicate, batch).tolist(), pa.bool_()))
        for batch in result.to_batches()
    ]
    return pa.Table.from_batches(batches, schema=result.schema)


def _require(library: str) -> Any:
    import importlib

    try:
        return importlib.import_module(library)
    except ImportError as exc:
        raise ConfigurationError(
            f"{library} is not installed. Run: pip install {library}, or use to_arrow() or "
            "to_list()."
        ) from exc
