"""Whether there is a column, or a field within one."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from embow.engines._paths import column_of, fields_of, type_at
from embow.errors import UnknownColumnError, near_name


def check_columns(schema: pa.Schema, names: Iterable[str]) -> None:
    """Raise `UnknownColumnError` for the first name that is not a column."""
    for name in names:
        if schema.get_field_index(name) < 0:
            raise UnknownColumnError(
                f"There is no column '{name}'.{near_name(name, schema.names)} "
                f"Columns: {', '.join(schema.names)}."
            )


def check_path(schema: pa.Schema, path: str) -> pa.DataType:
    """Return the type of a column, or of a field within one.

    Raises:
        UnknownColumnError: There is none.
    """
    column = column_of(path)
    check_columns(schema, [column])
    found = type_at({column: schema.field(column).type}, path)
    if found is None:
        known = [name for name, _, _ in fields_of(schema.field(column), column, column)]
        raise UnknownColumnError(
            f"There is no field '{path}'.{near_name(path, known)} "
            f"Column '{column}' has: {', '.join(known[1:]) or 'none'}."
        )
    return found
