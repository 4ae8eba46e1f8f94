"""Rows of Python values as record batches, with or without a schema to follow.

Called by ``inputs`` and ``changes``. Vectors come out as lists of any length; whether they fit
their column is ``conform``'s to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from embow._table.incoming.conform import check_columns
from embow.engines.contract import vector_kind
from embow.errors import DataError
from embow.schema._rows import key_shapes, models_to_batch
from embow.schema._rows import rows_to_batch as fitted_rows_to_batch


def rows_to_batch(
    rows: Sequence[Any],
    schema: pa.Schema | None,
    first_row: int,
    defaults: Mapping[str, Any] | None = None,
) -> pa.RecordBatch:
    """Return dicts or model objects as a record batch of the columns they have.

    Args:
        rows: One mapping or pydantic object a row, all of one kind.
        schema: The table's schema; types are read off the rows where it is ``None``.
        first_row: Position of the first row in the user's data, for messages.
        defaults: Values of what a mapping leaves out.

    Raises:
        DataError: A value fits no column or its column's type; row and column are named.
    """
    models = hasattr(rows[0], "model_dump")
    if len(set(map(type, rows))) > 1 or not (models or isinstance(rows[0], Mapping)):
        _require_one_kind(rows, first_row, models)
    if schema is None and not models:
        return _inferred(rows, first_row)
    if schema is None:
        schema = rows[0].to_arrow_schema() if hasattr(rows[0], "to_arrow_schema") else None
        if schema is None:
            return _inferred([row.model_dump() for row in rows], first_row)
    if models:
        lenient = pa.schema([lenient_field(f) for f in schema])
        return models_to_batch(rows, lenient, first_row=first_row)
    if defaults:
        rows = [{**defaults, **row} for row in rows]
    return fitted_rows_to_batch(rows, _present(schema, tuple(_names(rows))), first_row=first_row)


def _require_one_kind(rows: Sequence[Any], first_row: int, models: bool) -> None:
    for position, row in enumerate(rows):
        if hasattr(row, "model_dump") != models or not (models or isinstance(row, Mapping)):
            raise DataError(
                f"Row {first_row + position} is {type(row).__name__}; the rows before it are "
                f"{type(rows[0]).__name__}. Pass rows of one kind."
            )


def _names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys of all rows, in order of appearance."""
    names = dict.fromkeys(chain.from_iterable(key_shapes(rows)))
    for name in names:
        if not isinstance(name, str):
            raise DataError(f"Column names are text; the rows have the key {name!r}.")
    return list(names)


@lru_cache(maxsize=64)
def _present(schema: pa.Schema, names: tuple[str, ...]) -> pa.Schema:
    """Return the columns that rows have, as they may be given."""
    check_columns(names, tuple(schema.names))
    return pa.schema([lenient_field(f) for f in schema if f.name in names])


def lenient_field(field: pa.Field) -> pa.Field:
    """Return a field that takes nulls and vectors of any length."""
    kind = vector_kind(field.type)
    if kind is None:
        return field.with_nullable(True)
    # What is out of the range of a narrow type is for the policy of bad vectors to decide.
    narrow = kind.dtype.itemsize < 4
    numbers = pa.list_(pa.float64() if narrow else kind.value_type)
    return pa.field(field.name, pa.list_(numbers) if kind.multi else numbers)


def _inferred(rows: Sequence[Mapping[str, Any]], first_row: int) -> pa.RecordBatch:
    names = _names(rows)
    arrays = [_inferred_column(name, [row.get(name) for row in rows], first_row) for name in names]
    return pa.RecordBatch.from_arrays(arrays, names=list(names))


def _inferred_column(name: str, values: list[Any], first_row: int) -> pa.Array:
    """Return a column typed by its values."""
    try:
        return pa.array([_plain(value) for value in values])
    except (pa.ArrowException, OverflowError, UnicodeError) as exc:
        raise DataError(
            f"Rows {first_row} to {first_row + len(values) - 1}, column {name!r}: the type cannot "
            f"be read off the values: {str(exc).rstrip('.')}. Pass schema=..."
        ) from exc


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
