"""A table's columns and the functions bound to them, read from or declared for a schema.

Called by ``Database`` and ``Table``. Refuses to go on with a function other than the one that wrote
a column.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from embow.embeddings import (
    Binding,
    EmbeddingFunctionConfig,
    TextEmbeddingFunction,
    get_registry,
    read_bindings,
)
from embow.errors import ConfigurationError, PluginError, SchemaError
from embow.pipeline import EmbedJob, Pipeline, PipelineOptions
from embow.schema.protocol import METADATA_KEY
from embow.table.canary import Canaries, read_canaries
from embow.table.identity import checked_function, describe, require_same_identity
from embow.table.inference import inferred_schema
from embow.table.ingest import Ingest
from embow.table.provenance import HIDDEN_PREFIX, is_hidden, physical_schema, visible_schema
from embow.table.quarantine import Quarantine
from embow.table.vectors import BadVectorPolicy, is_vector_type


@dataclass(frozen=True, slots=True)
class TableSchema:
    """The columns of a table as the user sees them, as they are stored, and their functions."""

    visible: pa.Schema
    physical: pa.Schema
    bindings: tuple[Binding, ...]

    @classmethod
    def read(cls, physical: pa.Schema) -> TableSchema:
        """Return what a stored schema says."""
        return cls(visible_schema(physical), physical, tuple(read_bindings(physical).values()))

    @classmethod
    def declare(
        cls,
        name: str,
        schema: Any,
        functions: Sequence[EmbeddingFunctionConfig] | None,
        batches: Iterable[pa.RecordBatch] | None,
        data: Any,
    ) -> tuple[TableSchema, Any]:
        """Return the schema of a new table, and its data.

        Where no schema is given it is read off the first batch, and the data returned is the
        stream of all batches.
        """
        functions = _checked_functions(functions)
        if schema is None:
            visible, data = _inferred(name, batches, functions)
        else:
            visible = as_arrow_schema(schema)
        _refuse_hidden(visible)
        if functions:
            visible = bind_schema(visible, functions)
        bindings = tuple(read_bindings(visible).values())
        for binding in bindings:
            _require_columns(visible, binding)
            _require_vector(visible.field(binding.vector_column), binding)
            _require_readable(visible.field(binding.source_column), binding)
        physical = physical_schema(visible, [binding.vector_column for binding in bindings])
        return cls(visible, physical, bindings), data

    def binding(self, vector_column: str) -> Binding | None:
        """Return the binding of a vector column, if it has one."""
        return next((b for b in self.bindings if b.vector_column == vector_column), None)

    def guard(self) -> dict[bytes, bytes | None]:
        """Return the metadata that must not change while rows made under it are written."""
        return {METADATA_KEY: (self.physical.metadata or {}).get(METADATA_KEY)}

    def job(self, binding: Binding) -> EmbedJob:
        """Return the embedding job of a binding; needs its provider installed."""
        return job_of(binding)

    def ingest(
        self,
        pipeline: Pipeline,
        options: PipelineOptions,
        policy: BadVectorPolicy,
        quarantine: Quarantine,
    ) -> Ingest:
        """Return the write path for rows of this schema."""
        canaries = Canaries(known=read_canaries(self.physical.metadata))
        return Ingest(pipeline, self, options, policy, quarantine, canaries)

    def require_same(self, other: TableSchema, name: str) -> None:
        """Refuse a schema whose columns or functions are not this table's.

        Raises:
            IdentityMismatchError: A column is embedded by another model; both are named.
            SchemaError: Columns differ; the first difference is named.
        """
        for declared in other.bindings:
            stored = self.binding(declared.vector_column)
            if stored is not None:
                require_same_identity(stored, declared)
        difference = _difference(self, other)
        if difference is not None:
            raise SchemaError(f"Table {name!r} has another schema: {difference}.")


def job_of(binding: Binding) -> EmbedJob:
    """Return the embedding job of a binding; needs its provider installed."""
    function = checked_function(binding)
    ndims = binding.ndims or function.ndims()
    return EmbedJob(function, binding.source_column, binding.vector_column, ndims)


def bind_schema(schema: pa.Schema, functions: Sequence[EmbeddingFunctionConfig]) -> pa.Schema:
    """Return an Arrow schema with functions bound to its columns.

    A vector column the schema does not have is added, float32 and nullable.
    """
    for config in functions:
        if config.vector_column not in schema.names:
            vector_type = pa.list_(pa.float32(), config.function.ndims())
            schema = schema.append(pa.field(config.vector_column, vector_type))
    metadata = dict(schema.metadata or {})
    metadata.update(
        {
            key.encode() if isinstance(key, str) else key: value
            for key, value in (get_registry().get_table_metadata(functions) or {}).items()
        }
    )
    return schema.with_metadata(metadata or None)


def as_arrow_schema(schema: Any) -> pa.Schema:
    """Return a model class or Arrow schema as an Arrow schema."""
    if isinstance(schema, pa.Schema):
        return schema
    if hasattr(schema, "to_arrow_schema"):
        return schema.to_arrow_schema()
    raise ConfigurationError(
        f"schema must be a class derived from embow.Model or a pyarrow.Schema, not {schema!r:.80}."
    )


def _inferred(
    name: str,
    batches: Iterable[pa.RecordBatch] | None,
    functions: Sequence[EmbeddingFunctionConfig],
) -> tuple[pa.Schema, Iterable[pa.RecordBatch]]:
    iterator = iter(batches or ())
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


def _refuse_hidden(schema: pa.Schema) -> None:
    hidden = next((name for name in schema.names if is_hidden(name)), None)
    if hidden is not None:
        raise SchemaError(
            f"Column {hidden!r}: names that begin with {HIDDEN_PREFIX!r} are kept for the columns "
            "that embow adds itself. Rename the column."
        )


def _require_vector(field: pa.Field, binding: Binding) -> None:
    """Refuse a column that cannot hold the function's vectors."""
    size = field.type.list_size if is_vector_type(field.type) else None
    if size is not None and pa.types.is_integer(field.type.value_type):
        raise SchemaError(
            f"Column {field.name!r} holds whole numbers, which would cut the vectors of its "
            "embedding function. Declare it with float32, float16 or float64."
        )
    if size is None or binding.ndims not in (None, size):
        ndims = binding.ndims or "N"
        raise SchemaError(
            f"Column {field.name!r} is {field.type}, and its embedding function makes vectors of "
            f"{ndims} numbers. Declare it as Vector({ndims}), or in Arrow as "
            f"pa.list_(pa.float32(), {ndims})."
        )


def _require_readable(field: pa.Field, binding: Binding) -> None:
    """Refuse numbers, dates and the like as the source of a function that reads text."""
    try:
        function = binding.function()
    except (ConfigurationError, PluginError):
        return  # Without the provider nothing is embedded, and nothing is known of it.
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


def _difference(mine: TableSchema, other: TableSchema) -> str | None:
    """Return the first difference in columns; their order is none."""
    for field in other.visible:
        if field.name not in mine.visible.names:
            return f"it has no column {field.name!r}"
        if mine.visible.field(field.name) != field:
            stored = mine.visible.field(field.name)
            return f"column {field.name!r} is {_shown(stored)}, and {_shown(field)} was given"
    missing = [n for n in mine.visible.names if n not in other.visible.names]
    if missing:
        return f"it also has column {missing[0]!r}"
    return None


def _shown(field: pa.Field) -> str:
    return f"{field.type}{'' if field.nullable else ' not null'}"
