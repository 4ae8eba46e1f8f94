"""Rows to Arrow record batches, and back to models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import itemgetter, methodcaller
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
    near_name,
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
    shapes = key_shapes(rows)
    everywhere = known.intersection(*shapes)
    if not known.issuperset(chain.from_iterable(shapes)):
        for position, row in enumerate(rows):
            if not row.keys() <= known:
                raise _unknown(sorted(row.keys() - known, key=str), schema, first_row + position)

    def values(name: str) -> list[Any]:
        read = itemgetter(name) if name in everywhere else methodcaller("get", name)
        return list(map(read, rows))

    return _batch(values, schema, first_row)


def key_shapes(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the different lists of keys that rows have, in order of appearance."""
    return list(dict.fromkeys(map(tuple, rows)))


def _batch(values: Callable[[str], list[Any]], schema: pa.Schema, first_row: int) -> pa.RecordBatch:
    arrays = []
    for field in schema:
        cells = values(field.name)
        try:
            arrays.append(build_array(cells, field))
        except CellError as exc:
            raise _bad_cell(exc, cells, field, first_row) from exc
    return pa.RecordBatch.from_arrays(arrays, schema=schema.remove_metadata())


def models_to_batch(
    models: Sequence[BaseModel],
    schema: pa.Schema,
    *,
    first_row: int = 0,
) -> pa.RecordBatch:
    """Return pydantic objects as a record batch of the given schema, without its metadata.

    Like :func:`rows_to_batch`; the objects may be of several classes.
    """
    names = {cls: {c.name: c.attribute for c in columns_of(cls)} for cls in set(map(type, models))}
    if len(names) != 1:
        rows = [{name: getattr(m, at) for name, at in names[type(m)].items()} for m in models]
        return rows_to_batch(rows, schema, first_row=first_row)
    (attributes,) = names.values()
    if unknown := attributes.keys() - set(schema.names):
        raise _unknown(sorted(unknown), schema, first_row)

    def values(name: str) -> list[Any]:
        if name not in attributes:
            return [None] * len(models)
        attribute = attributes[name]
        return [getattr(model, attribute) for model in models]

    return _batch(values, schema, first_row)


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


def _bad_cell(exc: CellError, values: list[Any], field: pa.Field, first_row: int) -> DataError:
    path = ".".join((field.name, *exc.path))
    where = f"Row {first_row + exc.position}, column {path!r}: {exc.reason}."
    if values[exc.position] is None:
        return MissingColumnError(f"{where} Give it, or declare the field optional.")
    return (BadVectorError if pa.types.is_fixed_size_list(field.type) else DataError)(where)


def _unknown(names: Sequence[Any], schema: pa.Schema, row: int) -> UnknownColumnError:
    return UnknownColumnError(
        f"Row {row}: the table has no column {', '.join(map(repr, names))}."
        f"{near_name(str(names[0]), schema.names)} Columns: {', '.join(schema.names)}."
    )
