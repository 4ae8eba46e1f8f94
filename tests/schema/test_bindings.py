"""Which source feeds which vector, and what is refused as unclear."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pyarrow as pa
import pytest
from pydantic import create_model

from embow.errors import AmbiguousBindingError, SchemaError
from embow.schema import METADATA_KEY, ColumnFunction, Model, Vector, bindings_of

# A model is written as the fields of it: "sF" is a source of function F, "vF" a vector of it,
# "vF=x" a vector with source x, "-" a plain field. Names are a, b, c... in order.
CLEAR: list[tuple[str, str]] = [
    ("- -", ""),
    ("sF vF", "a>b"),
    ("vF sF", "b>a"),
    ("sF vF vF", "a>b a>c"),
    ("sF sF vF vF", "a>c b>d"),
    ("vF sF vF sF", "b>a d>c"),
    ("sF vF sG vG", "a>b c>d"),
    ("sF sG vG vF", "b>c a>d"),
    ("sF sF vF=b vF=a", "b>c a>d"),
    ("sF sF vF=b vF", "b>c a>d"),
    ("sF sF vF vF=a", "b>c a>d"),
    ("sF vF=a vF", "a>b a>c"),
    ("sF sF vF=a vF=a vF=b", "a>c a>d b>e"),
    ("- vF=a", "a>b"),
    ("sF vF vG=a", "a>b a>c"),
    ("sF - vF=b vF", "b>c a>d"),
]

UNCLEAR: list[tuple[str, type[Exception], str]] = [
    ("vF", AmbiguousBindingError, r"vector field 'a' has no source.*VectorField\(source="),
    ("vF vF", AmbiguousBindingError, "vector fields 'a' and 'b' have no source"),
    ("sG vF vG", AmbiguousBindingError, "vector field 'b' has no source"),
    ("sF", AmbiguousBindingError, "source field 'a' has no vector.*VectorField"),
    ("sF vG=a", AmbiguousBindingError, "source field 'a' has no vector"),
    ("sF sF vF vG=a", AmbiguousBindingError, r"2 sources \(a, b\) and 1 vectors \(c\)"),
    ("sF sF vF", AmbiguousBindingError, r"2 sources \(a, b\) and 1 vectors \(c\)"),
    ("sF sF vF", AmbiguousBindingError, r"VectorField\(source=\"a\"\)\. Take SourceField\(\) away"),
    ("sF sF vF vF vF", AmbiguousBindingError, r"2 sources \(a, b\) and 3 vectors \(c, d, e\)"),
    ("sF sF vF=a", AmbiguousBindingError, "source field 'b' has no vector"),
    ("sF sF vF=a vF vF", AmbiguousBindingError, r"1 sources \(b\) and 2 vectors \(d, e\)"),
    ("sF vF=z", SchemaError, r"VectorField\(source='z'\) names no field.*Fields: a"),
    ("sF vF vF=b", SchemaError, "names a vector field"),
    ("sF vF=b", SchemaError, "names a vector field"),
]


def build(pattern: str, functions: dict[str, Any]) -> type[Model]:
    fields: dict[str, Any] = {}
    for name, word in zip("abcdef", pattern.split(), strict=False):
        role, _, source = word.partition("=")
        if role == "-":
            fields[name] = (str, ...)
        elif role[0] == "s":
            fields[name] = (str, functions[role[1]].SourceField())
        else:
            fields[name] = (Vector, functions[role[1]].VectorField(source=source or None))
    return create_model("Row", __base__=Model, **fields)


@pytest.fixture
def functions(make_function: Any) -> dict[str, Any]:
    """Return two functions with equal settings: only their identity tells them apart."""
    return {"F": make_function(), "G": make_function()}


@pytest.mark.parametrize(("pattern", "expected"), CLEAR)
def test_clear(pattern: str, expected: str, functions: dict[str, Any]) -> None:
    """Sources and vectors of one function pair as declared, one feeds all, names win."""
    found = build(pattern, functions).parse_embedding_functions()
    pairs = " ".join(f"{b.source}>{b.vector}" for b in found)
    assert pairs == expected


@pytest.mark.parametrize(("pattern", "error", "message"), UNCLEAR)
def test_unclear(
    pattern: str, error: type[Exception], message: str, functions: dict[str, Any]
) -> None:
    """What could be read in two ways is an error that names the fields and the mending call."""
    with pytest.raises(error, match=message):
        build(pattern, functions).to_arrow_schema()


def test_binding_carries_the_function(functions: dict[str, Any]) -> None:
    """A binding holds the function object of its vector field."""
    model = build("sF vF sG vG", functions)
    bound = [b.function for b in model.parse_embedding_functions()]
    assert bound[0] is functions["F"]
    assert bound[1] is functions["G"]


def test_lancedb_names(functions: dict[str, Any]) -> None:
    """A binding answers to the names of LanceDB's configuration too."""
    (binding,) = bindings_of(build("sF vF", functions))
    assert (binding.source_column, binding.vector_column) == ("a", "b")


def test_did_you_mean(func: Any) -> None:
    """A misspelt source is answered with the field that was meant."""

    class Images(Model):
        image_bytes: bytes = func.SourceField()
        vector: Vector = func.VectorField(source="image_byte")

    with pytest.raises(SchemaError, match="Did you mean 'image_bytes'"):
        Images.to_arrow_schema()


def test_source_by_column_name(func: Any) -> None:
    """A source may be named by field or by column, and the binding holds the column."""

    class Row(Model):
        body: Annotated[str, pa.field("the body", pa.utf8())]
        by_field: Vector = func.VectorField(source="body")
        by_column: Vector = func.VectorField(source="the body")

    assert [b.source for b in Row.parse_embedding_functions()] == ["the body", "the body"]


@pytest.mark.parametrize("second", ["SourceField", "VectorField"])
def test_two_markers_on_one_field(func: Any, make_function: Any, second: str) -> None:
    """A field claimed twice is refused by name."""
    other = make_function()

    class Row(Model):
        text: str = func.SourceField()
        vector: Annotated[list[float], func.VectorField()] = getattr(other, second)()

    # pydantic before 2.12 keeps the last of two vector markers: then the source is left over.
    with pytest.raises(AmbiguousBindingError, match=r"'vector'.*several markers|'text' has no"):
        Row.to_arrow_schema()


def test_metadata_record(func: Any) -> None:
    """The Arrow metadata holds one JSON record a binding, under LanceDB's key."""

    class Row(Model):
        texte_é: str = func.SourceField()
        vector: Vector = func.VectorField()

    metadata = Row.to_arrow_schema().metadata
    assert json.loads(metadata[b"embedding_functions"]) == [
        {"name": "fake", "model": {}, "source_column": "texte_é", "vector_column": "vector"}
    ]
    assert METADATA_KEY == b"embedding_functions"


def test_no_metadata_without_functions() -> None:
    """A schema that embeds nothing has no metadata."""

    class Row(Model):
        text: str

    assert Row.to_arrow_schema().metadata is None


def test_nested_markers_are_refused(func: Any) -> None:
    """A marker inside a nested model would embed nothing, so it is an error."""

    class Inner(Model):
        text: str = func.SourceField()

    class Outer(Model):
        inner: Inner

    with pytest.raises(SchemaError, match=r"Outer\.inner\.text.*table's own model"):
        Outer.to_arrow_schema()


def test_protocol(func: Any) -> None:
    """The stand-in satisfies the protocol that real functions satisfy."""
    assert isinstance(func, ColumnFunction)
