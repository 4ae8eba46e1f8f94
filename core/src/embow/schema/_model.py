"""The base class of a table's schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel
from pydantic.fields import FieldInfo

if TYPE_CHECKING:
    import pyarrow as pa

    from embow.schema._bindings import ColumnBinding


class Model(BaseModel):
    """A row, as a pydantic model that knows its Arrow schema.

    ``LanceModel`` of ``embow.pydantic`` is this class. Fields marked by an embedding function's
    ``SourceField`` and ``VectorField`` are embedded by every table of the schema.

    Example:
        >>> from embow.schema import Model, Vector
        >>> class Word(Model):
        ...     text: str
        ...     length: int | None = None
        ...     vector: Vector(2)
        >>> print(Word.to_arrow_schema())
        text: string not null
        length: int64
        vector: fixed_size_list<item: float>[2]
          child 0, item: float
    """

    @classmethod
    def to_arrow_schema(cls) -> pa.Schema:
        """Return the Arrow schema, with the embedding functions in its metadata.

        Raises:
            UnsupportedTypeError: A field has a type that Arrow cannot hold.
            AmbiguousBindingError: It is not clear which source feeds which vector.
            SchemaError: A column name is reserved or used twice, or a vector does not fit.
        """
        from embow.schema._bindings import metadata_of

        schema = pydantic_to_schema(cls)
        metadata = metadata_of(cls.parse_embedding_functions())
        return schema.with_metadata(metadata) if metadata else schema

    @classmethod
    def field_names(cls) -> list[str]:
        """Return the names of the fields, in order of declaration."""
        return list(cls.model_fields)

    @classmethod
    def safe_get_fields(cls) -> dict[str, FieldInfo]:
        """Return the pydantic fields by name, in order of declaration."""
        return dict(cls.model_fields)

    @classmethod
    def parse_embedding_functions(cls) -> list[ColumnBinding]:
        """Return which source column feeds which vector column, and by what function.

        Raises:
            AmbiguousBindingError: It is not clear which source feeds which vector.
            SchemaError: A vector names a source that does not exist.
        """
        from embow.schema._bindings import bindings_of

        return bindings_of(cls)


def pydantic_to_schema(model: type[BaseModel]) -> pa.Schema:
    """Return the Arrow schema of any pydantic model, without metadata.

    Raises:
        UnsupportedTypeError: A field has a type that Arrow cannot hold.
        SchemaError: A column name is reserved or used twice, or a vector does not fit.
    """
    import pyarrow as pa

    from embow.schema._columns import columns_of

    return pa.schema([column.arrow_field(model.__name__) for column in columns_of(model)])
