"""The columns of a new table, as its schema, its functions or its first rows declare them.

Called by ``Database``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from embow._table.columns import Columns
from embow._table.identity import describe, require_same_identity
from embow._table.incoming.inference import inferred_schema
from embow._table.incoming.inputs import Reading, iter_batches
from embow._table.incoming.mending import default_entries
from embow._table.kinds import kind_of_function, require_vector
from embow._table.settings import TableSettings
from embow._table.writing.keys import checked_key
from embow.embeddings import (
    Binding,
    EmbeddingFunction,
    EmbeddingFunctionConfig,
    TextEmbeddingFunction,
    get_registry,
    read_bindings,
)
from embow.errors import ConfigurationError, PluginError, SchemaError
from embow.schema._columns import check_column_names, keys_of
from embow.schema._rows import defaults_of


def declared(
    name: str,
    schema: Any,
    functions: Sequence[EmbeddingFunctionConfig] | None,
    data: Any = None,
    settings: TableSettings | None = None,
    primary_key: str | Sequence[str] | None = None,
) -> tuple[Columns, Any]:
    """Return the columns of a new table, and its data.

    The primary key is the one given, else the one the model marks. Where no schema is given it is
    read off the first batch, and the data returned is the stream of
    all batches.

    Raises:
        SchemaError: A name cannot be used, or a column does not fit its function.
    """
    functions = _checked_functions(functions)
    if schema is None:
        visible, data = _inferred(name, data, functions)
    else:
        visible = _as_arrow_schema(schema)
    if functions:
        visible = _bind_schema(visible, functions)
    check_column_names(visible.names, f"Table {name!r}")
    for binding in read_bindings(visible).values():
        _require_columns(visible, binding)
        function = _function(binding)
        require_vector(visible.field(binding.vector_column), binding.ndims, function)
        _require_readable(visible.field(binding.source_column), function)
    kept = settings.entries() if settings and settings != TableSettings() else {}
    if hasattr(schema, "model_fields"):
        kept |= default_entries(defaults_of(schema))
        primary_key = keys_of(schema) if primary_key is None else primary_key
    key = checked_key(name, visible, primary_key)
    visible = pa.schema(
        [field.with_nullable(field.nullable and field.name not in key) for field in visible],
        metadata=visible.metadata,
    )
    return Columns.create(visible, {k: v for k, v in kept.items() if v is not None}, key), data


def require_same(stored: Columns, given: Columns, name: str) -> None:
    """Refuse a schema whose columns or functions are not a table's.

    Raises:
        IdentityMismatchError: A column is embedded by another model; both are named.
        SchemaError: Columns differ; the first difference is named.
    """
    for binding in given.bindings:
        bound = stored.binding(binding.vector_column)
        if bound is not None:
            require_same_identity(bound, binding)
    if given.key and stored.key != given.key:
        raise SchemaError(
            f"Table {name!r} has the primary key {', '.join(stored.key) or '(none)'}, and "
            f"{', '.join(given.key)} was given. A key is declared when a table is made."
        )
    difference = _difference(stored.visible, given.visible)
    if difference is not None:
        raise SchemaError(f"Table {name!r} has another schema: {difference}.")


def _bind_schema(schema: pa.Schema, functions: Sequence[EmbeddingFunctionConfig]) -> pa.Schema:
    """Return an Arrow schema with functions bound to its columns.

    A vector column the schema does not have is added, as the function makes vectors, and nullable.
    """
    for config in functions:
        if config.vector_column not in schema.names:
            vector_type = kind_of_function(config.function).arrow_type
            schema = schema.append(pa.field(config.vector_column, vector_type))
    metadata = dict(schema.metadata or {})
    metadata.update(
        {
            key.encode() if isinstance(key, str) else key: value
            for key, value in (get_registry().get_table_metadata(functions) or {}).items()
        }
    )
    return schema.with_metadata(metadata or None)


def _as_arrow_schema(schema: Any) -> pa.Schema:
    """Return a model class or Arrow schema as an Arrow schema."""
    if isinstance(schema, pa.Schema):
        return schema
    if hasattr(schema, "to_arrow_schema"):
        return schema.to_arrow_schema()
    raise ConfigurationError(
        f"schema must be a class derived from embow.Model or a pyarrow.Schema, not {schema!r:.80}."
    )


def _inferred(
    name: str, data: Any, functions: Sequence[EmbeddingFunctionConfig]
) -> tuple[pa.Schema, Iterable[pa.RecordBatch]]:
    iterator = iter_batches(data, Reading())
    first = next(iterator, None)
    if first is None:
        raise SchemaError(
            f"Table {name!r} needs a schema or at least one row: create_table({name!r}, "
            "schema=MyModel)."
        )

    def replay() -> Iterable[pa.RecordBatch]:
        yield first
        yield from iterator

    filled = [config.vector_column for config in functions]
    return inferred_schema(first, filled), replay()


def _checked_functions(functions: Any) -> Sequence[EmbeddingFunctionConfig]:
    """Return the functions to bind, sure that each is one and fills a column of its own."""
    if isinstance(functions, EmbeddingFunctionConfig):
        functions = [functions]
    given = list(functions or ())
    for config in given:
        if not isinstance(config, EmbeddingFunctionConfig):
            raise ConfigurationError(
                f"embedding_functions takes EmbeddingFunctionConfig(vector_column, source_column, "
                f"function), not {type(config).__name__}."
            )
    names = [config.vector_column for config in given]
    for name in names:
        if names.count(name) > 1:
            raise SchemaError(f"Two embedding functions are given for column {name!r}.")
    return given


def _function(binding: Binding) -> EmbeddingFunction | None:
    """Return the function of a binding; without the provider nothing is known of it."""
    try:
        return binding.function()
    except (ConfigurationError, PluginError):
        return None


def _require_readable(field: pa.Field, function: EmbeddingFunction | None) -> None:
    """Refuse numbers, dates and the like as the source of a function that reads text."""
    unreadable = pa.types.is_primitive(field.type) or pa.types.is_decimal(field.type)
    if unreadable and isinstance(function, TextEmbeddingFunction):
        raise SchemaError(
            f"Column {field.name!r} is {field.type}, and {describe(function.identity())} embeds "
            "text. Declare the column as str, or embed another one."
        )


def _require_columns(schema: pa.Schema, binding: Binding) -> None:
    for column in (binding.source_column, binding.vector_column):
        if column not in schema.names:
            raise SchemaError(
                f"The embedding function of {binding.vector_column!r} names column {column!r}, "
                f"which the schema does not have. Its columns: {', '.join(schema.names)}."
            )


def _difference(mine: pa.Schema, other: pa.Schema) -> str | None:
    """Return the first difference in columns; their order is none."""
    for field in other:
        if field.name not in mine.names:
            return f"it has no column {field.name!r}"
        stored = mine.field(field.name)
        if stored.nullable != field.nullable or not _same_type(stored.type, field.type):
            return f"column {field.name!r} is {_shown(stored)}, and {_shown(field)} was given"
    missing = [name for name in mine.names if name not in other.names]
    return f"it also has column {missing[0]!r}" if missing else None


def _same_type(stored: pa.DataType, given: pa.DataType) -> bool:
    """Compare types; that the items of lists may not be null was once part of a model's."""
    if pa.types.is_list(stored) and pa.types.is_list(given):
        return _same_type(stored.value_type, given.value_type)
    if pa.types.is_struct(stored) and pa.types.is_struct(given):
        names = [[(field.name, field.nullable) for field in each] for each in (stored, given)]
        pairs = zip(stored, given, strict=False)
        return names[0] == names[1] and all(_same_type(a.type, b.type) for a, b in pairs)
    return bool(stored == given)


def _shown(field: pa.Field) -> str:
    return f"{field.type}{'' if field.nullable else ' not null'}"
