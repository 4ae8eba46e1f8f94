"""What rows leave out or spoil, and what is put in its place: defaults, and text that is none."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from embow.errors import SchemaError
from embow.schema._arrays import array_of
from embow.schema._cells import CellError

DEFAULTS = "embow.defaults"


def default_entries(defaults: pa.RecordBatch) -> dict[str, str]:
    """Return the metadata of a table that keeps one row of defaults."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, defaults.schema) as stream:
        stream.write_batch(defaults)
    return {DEFAULTS: base64.b64encode(sink.getvalue()).decode()} if defaults.num_columns else {}


def read_defaults(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the defaults by column."""
    if DEFAULTS not in metadata:
        return {}
    with pa.ipc.open_stream(base64.b64decode(metadata[DEFAULTS])) as stream:
        (row,) = stream.read_all().to_pylist()
    return dict(row)


def renamed_defaults(
    metadata: Mapping[str, str], fields: Mapping[str, pa.Field]
) -> dict[str, str | None]:
    """Return the metadata to set so that columns keep their defaults under other names and types.

    Args:
        metadata: The table's.
        fields: What becomes of each column; one that is not there loses its default.

    Raises:
        SchemaError: A default does not fit the new type.
    """
    kept = {name: each for name, each in read_defaults(metadata).items() if name in fields}
    try:
        arrays = [array_of([value], fields[name].type) for name, value in kept.items()]
    except CellError as exc:
        raise SchemaError(
            f"A column has a default that does not fit its new type: {exc.reason}. Keep the type, "
            "or put the rows into a table of another model."
        ) from exc
    row = pa.RecordBatch.from_arrays(arrays, [fields[name].name for name in kept])
    return {DEFAULTS: None, **default_entries(row)} if DEFAULTS in metadata else {}


def with_defaults(
    batch: pa.RecordBatch, schema: pa.Schema | None, defaults: Mapping[str, Any]
) -> pa.RecordBatch:
    """Return rows with the columns they lack and that have a default."""
    for name in defaults.keys() - set(batch.schema.names):
        if schema is not None and name in schema.names:
            field = schema.field(name)
            values = array_of([defaults[name]] * batch.num_rows, field.type)
            batch = batch.append_column(field, values)
    return batch


def mended_rows(rows: Sequence[Any]) -> tuple[list[Any], dict[int, str]]:
    """Return dicts or objects with U+FFFD for what is no character, and which they are.

    Returns:
        The rows, and by position the first column that held such text.
    """
    mended, odd = list(rows), {}
    for position, row in enumerate(rows):
        changed = {
            name: fixed for name, value in _cells(row) if (fixed := _text(value)) is not value
        }
        if changed:
            odd[position] = next(iter(changed))
            copied = hasattr(row, "model_copy")
            mended[position] = row.model_copy(update=changed) if copied else {**row, **changed}
    return mended, odd


def _cells(row: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(row, Mapping):
        yield from row.items()
    else:
        yield from ((name, getattr(row, name)) for name in type(row).model_fields)


def _text(value: Any) -> Any:
    """Return a value with half surrogate pairs replaced; the same one where there are none."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    elif isinstance(value, Mapping) or hasattr(value, "model_copy"):
        if any(_text(each) is not each for _, each in _cells(value)):
            return {name: _text(each) for name, each in _cells(value)}
    elif isinstance(value, (list, tuple)) and any(_text(each) is not each for each in value):
        return [_text(each) for each in value]
    return value
