"""Finding the column a filter names."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from embow.engines.predicate._tree import Column
from embow.errors import PredicateError, near_name


def resolve_column(path: Sequence[str], schema: pa.Schema, *, quoted: bool) -> Column:
    """Return the column a dotted path names: exact, else alone in another letter case.

    Raises:
        PredicateError: No column or struct field matches, or several do.
    """
    fields: list[pa.Field] = list(schema)
    found: list[str] = []
    arrow_type: pa.DataType | None = None
    for depth, name in enumerate(path):
        field = _field(name, fields, ".".join(path[: depth + 1]), quoted=quoted)
        found.append(field.name)
        arrow_type = _value_type(field.type)
        is_struct = pa.types.is_struct(arrow_type)
        if depth + 1 < len(path) and not is_struct:
            raise PredicateError(
                f"Column '{'.'.join(found)}' is {arrow_type}, so it has no field "
                f"'{path[depth + 1]}'."
            )
        fields = [arrow_type.field(i) for i in range(arrow_type.num_fields)] if is_struct else []
    return Column(tuple(found), arrow_type)


def _field(name: str, fields: list[pa.Field], spelled: str, *, quoted: bool) -> pa.Field:
    exact = [field for field in fields if field.name == name]
    matches = exact or [field for field in fields if field.name.casefold() == name.casefold()]
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = ", ".join(f"'{field.name}'" for field in matches)
        raise PredicateError(f"Column '{spelled}' could be any of {names}; write it exactly.")
    hint = " Text is written in single quotes; double quotes name a column." if quoted else ""
    known = [field.name for field in fields]
    raise PredicateError(
        f"The filter names column '{spelled}', which is not there.{near_name(name, known)} "
        f"Columns: {', '.join(known)}.{hint}"
    )


def _value_type(arrow_type: pa.DataType) -> pa.DataType:
    return arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type
