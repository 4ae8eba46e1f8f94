"""Rows to Arrow record batches, and back to models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

import pyarrow as pa
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined

from embow.errors import (
    BadVectorError,
    DataError,
    MissingColumnError,
    SchemaError,
    UnknownColumnError,
)
from embow.schema._arrays import build_array
from embow.schema._cells import CellError
from embow.schema._columns import columns_of, decode_row

AnyModel = TypeVar("AnyModel", bound=BaseModel)


def rows_to_batch(
    rows: Sequence[Mapping[str, Any]],
    schema: pa.Schema,
    *,
    first_row: int = 0,
) -> pa.RecordBatch:
    """Return rows as a record batch of the given schema, without its metadata.

    Args:
        rows: One mapping a row, by column name. A nullable column may be left out.
        schema: Columns wanted.
        first_row: Position of the first row, for messages.

    Raises:
        UnknownColumnError: A row has a key that is no column.
        MissingColumnError: A row lacks a value that its column needs.
        BadVectorError: A vector has the wrong length.
        DataError: A value does not fit its column.
    """
    known = frozenset(schema.names)
    for position, row in enumerate(rows):
        if not row.keys() <= known:
            raise _unknown(sorted(row.keys() - known, key=str), schema, first_row + position)
    return _batch(schema, lambda name: [row.get(name) for row in rows], first_row)


def models_to_batch(
    models: Sequence[BaseModel],
    schema: pa.Schema,
    *,
    first_row: int = 0,
) -> pa.RecordBatch:
    """Return pydantic objects as a record batch of the given schema, without its metadata.

    Like :func:`rows_to_batch`; the objects may be of several classes.
    """
    tables = {cls: {c.name: c.attribute for c in columns_of(cls)} for cls in set(map(type, models))}
    known = frozenset(schema.names)
    for position, model in enumerate(models):
        if not tables[type(model)].keys() <= known:
            extra = sorted(tables[type(model)].keys() - known)
            raise _unknown(extra, schema, first_row + position)
    attributes = [tables[type(model)] for model in models]

    def values_of(name: str) -> list[Any]:
        pairs = zip(models, attributes, strict=True)
        return [getattr(model, names[name]) if name in names else None for model, names in pairs]

    return _batch(schema, values_of, first_row)


def defaults_of(model: type[BaseModel]) -> pa.RecordBatch:
    """Return one row of the columns whose fields have a constant default, ``None`` apart.

    Empty lists, sets and dicts that are made anew each time are constants, too.

    Raises:
        SchemaError: A default does not fit its field.
    """
    fields, row = [], {}
    for column in columns_of(model):
        field = model.model_fields[column.attribute]
        if column.vector is None and (not field.default_factory or field.default_factory in _EMPTY):
            value = field.get_default(call_default_factory=True)
            if value is not None and value is not PydanticUndefined:
                fields.append(column.arrow_field(model.__name__))
                row[column.name] = value
    try:
        return rows_to_batch([row], pa.schema(fields))
    except DataError as exc:
        raise SchemaError(f"{model.__name__}: a default does not fit its field: {exc}") from exc


_EMPTY = (list, set, frozenset, dict, tuple)


def row_to_model(model: type[AnyModel], row: Mapping[str, Any]) -> AnyModel:
    """Return a stored row as an object of ``model``.

    Values are taken by column name or, for columns that only a result has such as
    ``_distance``, by alias. Columns the model does not have are left out, unless it allows
    extra fields.

    Raises:
        DataError: The row lacks a field of the model or does not fit it.
    """
    columns = columns_of(model)
    values = decode_row(columns, row)
    if model.model_config.get("extra") == "allow":
        used = {name for column in columns for name in (column.name, *column.aliases)}
        values.update({name: value for name, value in row.items() if name not in used})
    try:
        return model.model_validate(values, strict=False, by_alias=False, by_name=True)
    except ValidationError as exc:
        missing = [str(e["loc"][0]) for e in exc.errors() if e["type"] == "missing"]
        hint = f" The row has no {', '.join(missing)}: select it too." if missing else ""
        raise DataError(f"A row does not fit {model.__name__}.{hint} {exc}") from exc


def _batch(
    schema: pa.Schema, values_of: Callable[[str], list[Any]], first_row: int
) -> pa.RecordBatch:
    plain = pa.schema(list(schema))
    arrays = []
    for field in plain:
        arrays.append(_array(values_of(field.name), field, first_row))
    return pa.RecordBatch.from_arrays(arrays, schema=plain)


def _array(values: list[Any], field: pa.Field, first_row: int) -> pa.Array:
    try:
        return build_array(values, field)
    except CellError as exc:
        path = ".".join((field.name, *exc.path))
        where = f"Row {first_row + exc.position}, column {path!r}: {exc.reason}."
        if values[exc.position] is None:
            raise MissingColumnError(f"{where} Give it, or declare the field optional.") from exc
        error = BadVectorError if pa.types.is_fixed_size_list(field.type) else DataError
        raise error(where) from exc


def _unknown(names: Sequence[Any], schema: pa.Schema, row: int) -> UnknownColumnError:
    close = get_close_matches(str(names[0]), schema.names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return UnknownColumnError(
        f"Row {row}: the table has no column {', '.join(map(repr, names))}.{hint} "
        f"Columns: {', '.join(schema.names)}."
    )
