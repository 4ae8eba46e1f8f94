"""Models: how they are declared, inherited, printed, pickled and named."""

from __future__ import annotations

import copy
import datetime as dt
import pickle
import typing
from typing import Annotated, Any, ClassVar, Generic, Optional, TypeVar

import numpy as np
import pyarrow as pa
import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, create_model

from embow.errors import SchemaError, UnsupportedTypeError
from embow.pydantic import LanceModel, get_extras, model_to_dict
from embow.schema import (
    Model,
    MultiVector,
    Vector,
    models_to_batch,
    pydantic_to_schema,
    row_to_model,
)

VECTOR = pa.list_(pa.float32(), 3)
T = TypeVar("T")


class Module:
    """A function at module level, so that its model can be pickled."""

    def ndims(self) -> int:
        return 2

    def to_binding(self, source_column: str, vector_column: str) -> dict[str, Any]:
        return {"source_column": source_column, "vector_column": vector_column}

    def __reduce__(self) -> Any:
        raise AssertionError("pickling a row must not pickle the function")


def _fields() -> tuple[Any, Any]:
    from embow.schema._fields import source_field, vector_field

    function: Any = Module()
    return source_field(function), vector_field(function)


SOURCE, VECTORS = _fields()


class Pickled(Model):
    text: str = SOURCE
    vector: Vector = VECTORS


class Later(Model):
    """Refers to a class that is defined below it."""

    inner: Optional[Below] = None  # noqa: UP045 - the old spelling on purpose


class Below(BaseModel):
    x: int


# -- vectors --------------------------------------------------------------------------------


def test_dimension_comes_from_the_function(func: Any) -> None:
    """Plain Vector takes its length from the function, and only when the schema is asked for."""

    class Row(Model):
        text: str = func.SourceField()
        vector: Vector = func.VectorField()

    assert func.asked == 0
    assert Row.to_arrow_schema().field("vector").type == VECTOR


@pytest.mark.parametrize(
    ("annotation", "arrow"),
    [
        (Vector, VECTOR),
        (Vector(3), VECTOR),
        (Optional[Vector], VECTOR),  # noqa: UP045
        (Vector(3) | None, VECTOR),
        (list[float], VECTOR),
        (list[float] | None, VECTOR),
        (Annotated[list[float], "note"], VECTOR),
        (Annotated[list[float], Vector(3)], VECTOR),
        (Vector(3, "float16"), pa.list_(pa.float16(), 3)),
        (MultiVector, pa.list_(VECTOR)),
        (MultiVector(3), pa.list_(VECTOR)),
        (list[list[float]], pa.list_(VECTOR)),
    ],
    ids=str,
)
def test_vector_annotations(func: Any, annotation: Any, arrow: pa.DataType) -> None:
    """Every spelling of a vector field gives a nullable column of the function's length."""
    row = create_model(
        "Row",
        __base__=Model,
        text=(str, func.SourceField()),
        vector=(annotation, func.VectorField()),
    )
    assert row.to_arrow_schema().field("vector").equals(pa.field("vector", arrow, nullable=True))
    assert row(text="x").vector is None  # type: ignore[attr-defined]
    assert row_to_model(row, {"text": "x", "vector": None}).vector is None  # type: ignore
    stored = [1.0, 2.0, 3.0] if not pa.types.is_list(arrow) else [[1.0, 2.0, 3.0]]
    assert row_to_model(row, {"text": "x", "vector": stored}).vector == stored  # type: ignore
    assert row(text="x", vector=np.array(stored)).vector == stored  # type: ignore


def test_vector_that_must_not_be_null(func: Any) -> None:
    """nullable=False reaches the Arrow column, and rows may still be made without the vector."""

    class Row(Model):
        text: str = func.SourceField()
        vector: Vector(3, nullable=False) = func.VectorField()  # type: ignore[valid-type]

    assert not Row.to_arrow_schema().field("vector").nullable
    assert Row(text="x").vector is None


def test_wrong_dimension(func: Any) -> None:
    """A length that is not the function's is refused with both numbers."""

    class Row(Model):
        text: str = func.SourceField()
        vector: Vector(4) = func.VectorField()  # type: ignore[valid-type]

    with pytest.raises(SchemaError, match=r"Row\.vector: Vector\(4\).*vectors of 3 numbers"):
        Row.to_arrow_schema()


@pytest.mark.parametrize("ndims", [0, -1, None, 2.5, "3", True])
def test_bad_ndims(make_function: Any, ndims: Any) -> None:
    """A function whose ndims() is no positive integer is named."""
    function = make_function(ndims)

    class Row(Model):
        text: str = function.SourceField()
        vector: Vector = function.VectorField()

    with pytest.raises(SchemaError, match=r"FakeFunction\.ndims\(\) returned"):
        Row.to_arrow_schema()


def test_numpy_ndims(make_function: Any) -> None:
    """ndims() may be a numpy integer, as shape entries of some libraries are."""
    function = make_function(np.int64(3))

    class Row(Model):
        text: str = function.SourceField()
        vector: Vector = function.VectorField()

    assert Row.to_arrow_schema().field("vector").type == VECTOR


@pytest.mark.parametrize(
    "annotation",
    [str, list[int], list, typing.List, bytes],  # noqa: UP006
)
def test_field_that_cannot_hold_vectors(func: Any, annotation: Any) -> None:
    """A VectorField on a field of another type is refused with the way to write it."""
    row = create_model(
        "Row", __base__=Model, text=(str, func.SourceField()), v=(annotation, func.VectorField())
    )
    with pytest.raises(UnsupportedTypeError, match=r"Row\.v.*cannot hold vectors"):
        row.to_arrow_schema()


# -- pydantic passes through ----------------------------------------------------------------


def test_field_arguments_pass_through(func: Any) -> None:
    """Every argument of pydantic's Field works in a marker, json_schema_extra included."""

    class Row(Model):
        text: str = func.SourceField(min_length=2, description="body", json_schema_extra={"k": 1})
        vector: Vector = func.VectorField(default_factory=lambda: [0.0] * 3, description="v")

    assert Row.model_fields["text"].description == "body"
    assert get_extras(Row.model_fields["text"], "k") == 1
    assert Row(text="ab").vector == [0.0] * 3
    with pytest.raises(ValidationError, match="at least 2"):
        Row(text="a")


def test_json_schema_leaks_nothing(func: Any) -> None:
    """The JSON schema is plain and says nothing of the function or its key."""

    class Row(Model):
        text: str = func.SourceField()
        vector: Vector = func.VectorField()

    for mode in ("validation", "serialization"):
        schema = Row.model_json_schema(mode=mode)  # type: ignore[arg-type]
        assert set(schema["properties"]) == {"text", "vector"}
        assert schema["properties"]["text"] == {"title": "Text", "type": "string"}
        assert "sk-do-not-print" not in str(schema)
        assert "fake" not in str(schema).lower()


def test_json_round_trip(func: Any) -> None:
    """Rows go to JSON and come back."""

    class Row(Model):
        text: str = func.SourceField()
        vector: Vector = func.VectorField()

    row = Row(text="x", vector=np.ones(3))
    assert Row.model_validate_json(row.model_dump_json()) == row


def test_lancedb_helpers(func: Any) -> None:
    """LanceModel is Model, and its class methods answer as LanceDB's do."""

    class Row(LanceModel):
        text: str = func.SourceField()
        vector: Vector = func.VectorField()

    assert LanceModel is Model
    assert Row.field_names() == ["text", "vector"]
    assert list(Row.safe_get_fields()) == ["text", "vector"]
    assert model_to_dict(Row(text="x")) == {"text": "x", "vector": None}
    assert pydantic_to_schema(Row).names == ["text", "vector"]


# -- where and how classes are defined ------------------------------------------------------


def test_inside_a_function(func: Any) -> None:
    """A model in a function body sees the names of that function, as text annotations too."""

    class Inner(BaseModel):
        x: int

    class Row(Model):
        text: str = func.SourceField()
        inner: Inner
        vector: Vector(func.ndims()) = func.VectorField()  # type: ignore[valid-type]

    assert Row.to_arrow_schema().names == ["text", "inner", "vector"]


def test_forward_reference() -> None:
    """A class may be used before it is defined."""
    assert Later.to_arrow_schema().field("inner").type == pa.struct([pa.field("x", "i8", False)])


def test_undefined_name() -> None:
    """A name that is never defined is an error that says so."""

    class Row(Model):
        x: Nowhere  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(SchemaError, match=r"'Nowhere' .* not defined yet.*Row\.model_rebuild\(\)"):
        Row.to_arrow_schema()


def test_inheritance(func: Any) -> None:
    """A subclass keeps the columns and the binding of its base, and adds its own."""

    class Base(Model):
        text: str = func.SourceField()
        vector: Vector = func.VectorField()

    class Child(Base):
        extra: int
        note: ClassVar[str] = "not a column"

    assert Child.to_arrow_schema().names == ["text", "vector", "extra"]
    (binding,) = Child.parse_embedding_functions()
    assert binding.function is func


def test_source_in_base_and_vector_in_child(func: Any) -> None:
    """The two sides of a binding may stand in different classes."""

    class Base(Model):
        text: str = func.SourceField()

    class Child(Base):
        vector: Vector = func.VectorField()

    assert len(Child.parse_embedding_functions()) == 1


def test_child_replaces_a_field(func: Any, make_function: Any) -> None:
    """A field declared again belongs to the function it is declared with."""
    other = make_function(5)

    class Base(Model):
        text: str = func.SourceField()
        vector: Vector = func.VectorField()

    class Child(Base):
        text: str = other.SourceField()
        vector: Vector = other.VectorField()

    assert Child.parse_embedding_functions()[0].function is other
    assert Child.to_arrow_schema().field("vector").type.list_size == 5


def test_generic_model(func: Any) -> None:
    """A generic model has the columns of the types it is given."""

    class Row(Model, Generic[T]):
        text: str = func.SourceField()
        vector: Vector = func.VectorField()
        payload: T

    assert Row[int].to_arrow_schema().field("payload").type == pa.int64()
    assert len(Row[str].parse_embedding_functions()) == 1


def test_rows_pickle() -> None:
    """A row pickles as its values; its function stays where it is."""
    row = Pickled(text="x", vector=[1.0, 2.0])
    assert pickle.loads(pickle.dumps(row)) == row
    assert pickle.loads(pickle.dumps(Pickled)) is Pickled


def test_rows_copy() -> None:
    """Rows can be copied, deeply too."""
    row = Pickled(text="x", vector=[1.0, 2.0])
    assert copy.deepcopy(row) == row
    assert row.model_copy(deep=True) == row


def test_any_pydantic_model() -> None:
    """A schema may come from a model that is no Model."""

    class Row(BaseModel):
        x: int

    assert pydantic_to_schema(Row) == pa.schema([pa.field("x", pa.int64(), nullable=False)])


# -- names ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["_rowid", "_distance", "_embow_hash", "_embow", "_score"])
def test_reserved_names(name: str) -> None:
    """Names that tables use themselves are refused by name."""
    row = create_model("Row", __base__=Model, x=(Annotated[int, pa.field(name, pa.int64())], ...))
    with pytest.raises(SchemaError, match=f"'{name}' cannot be a column name"):
        row.to_arrow_schema()


def test_one_name_twice() -> None:
    """Two fields that claim one column are refused."""
    same = Annotated[int, pa.field("same", pa.int64())]
    row = create_model("Row", __base__=Model, a=(same, ...), b=(same, ...))
    with pytest.raises(SchemaError, match="2 columns are named 'same'"):
        row.to_arrow_schema()


@pytest.mark.parametrize("name", ["a b", "class", "naïve", "1st", "a.b", "x-y", "日本"])
def test_odd_names(name: str) -> None:
    """Names that are no identifiers work, declared by pydantic or through an Arrow field."""
    row = create_model("Row", __base__=Model, **{name: (int, ...)})  # type: ignore[call-overload]
    batch = models_to_batch([row(**{name: 1})], row.to_arrow_schema())
    assert batch.to_pylist() == [{name: 1}]
    assert row_to_model(row, {name: 1}) == row(**{name: 1})


def test_alias_is_not_the_column() -> None:
    """The column has the field's own name, as in LanceDB, and rows read back by it."""

    class Row(Model):
        user_id: int = Field(alias="userId")
        choice: int = Field(validation_alias=AliasChoices("c", "C"))
        dumped: int = Field(serialization_alias="d")

    row = Row(userId=1, c=2, dumped=3)  # type: ignore[call-arg]
    schema = Row.to_arrow_schema()
    assert schema.names == ["user_id", "choice", "dumped"]
    (stored,) = models_to_batch([row], schema).to_pylist()
    assert row_to_model(Row, stored) == row


def test_aliases_of_nested_models() -> None:
    """Nested models with aliases read back too."""

    class Inner(BaseModel):
        long_name: int = Field(alias="longName")

    class Row(Model):
        inner: list[Inner]

    row = Row(inner=[Inner(longName=1)])
    (stored,) = models_to_batch([row], Row.to_arrow_schema()).to_pylist()
    assert row_to_model(Row, stored) == row


# -- rows to models -------------------------------------------------------------------------


def test_result_columns_by_alias() -> None:
    """A result model receives a column such as _distance through an alias."""

    class Hit(Model):
        text: str
        distance: float = Field(alias="_distance")

    assert row_to_model(Hit, {"text": "x", "_distance": 0.5, "other": 1}).distance == 0.5


def test_extra_columns() -> None:
    """Columns the model lacks are left out, or kept where it allows extra fields."""

    class Closed(Model):
        model_config = ConfigDict(extra="forbid")
        x: int

    class Open(Model):
        model_config = ConfigDict(extra="allow")
        x: int

    row = {"x": 1, "_distance": 0.5}
    assert row_to_model(Closed, row) == Closed(x=1)
    assert row_to_model(Open, row).model_extra == {"_distance": 0.5}


def test_strict_models_read_back() -> None:
    """A strict model reads its own rows although Arrow returns lists for sets."""

    class Row(Model):
        model_config = ConfigDict(strict=True)
        tags: set[str]
        at: dt.datetime

    row = Row(tags={"a"}, at=dt.datetime(2020, 1, 1))
    (stored,) = models_to_batch([row], Row.to_arrow_schema()).to_pylist()
    assert row_to_model(Row, stored) == row


def test_row_that_lacks_a_field() -> None:
    """A row without a needed column says which one to select."""

    class Row(Model):
        text: str
        size: int

    from embow.errors import DataError

    with pytest.raises(DataError, match=r"does not fit Row\. The row has no size: select it too"):
        row_to_model(Row, {"text": "x"})


def test_docstring_example() -> None:
    """The example in the class's docstring prints what it says."""
    import doctest

    (example,) = doctest.DocTestFinder().find(Model, "Model", globs={"__name__": "example"})[:1]
    assert doctest.DocTestRunner().run(example) == doctest.TestResults(failed=0, attempted=3)
