"""Vector and MultiVector as types."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import deque
from typing import Annotated, Any, Optional

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from embow.errors import SchemaError
from embow.schema import MultiVector, Vector

FORMS: dict[str, Any] = {
    "list": [1.0, 2.0, 3.0],
    "tuple": (1.0, 2.0, 3.0),
    "integers": [1, 2, 3],
    "range": range(1, 4),
    "deque": deque([1.0, 2.0, 3.0]),
    "numpy": np.array([1, 2, 3], dtype=np.float32),
    "list of numpy scalars": list(np.array([1, 2, 3], dtype=np.float32)),
    "arrow array": pa.array([1.0, 2.0, 3.0]),
    "arrow scalar": pa.scalar([1.0, 2.0, 3.0]),
}


def check(annotation: Any, value: Any) -> Any:
    return TypeAdapter(annotation).validate_python(value)


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str) -> None:
    """A vector may come in any of the usual forms and reads as a list of floats."""
    value = check(Vector(3), FORMS[form])
    assert value == [1.0, 2.0, 3.0]
    assert all(type(item) is float for item in value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1.0, 2.0], "Vector should have 3 numbers, not 2"),
        (np.zeros(4), "Vector should have 3 numbers, not 4"),
        (np.zeros((3, 3)), "should be a valid number"),
        (["1", "2", "3"], "should be a valid number"),
        ([True, False, True], "should be a valid number"),
        ([1.0, None, 2.0], "should be a valid number"),
        ("abc", "Vector should be a list, tuple, numpy array or Arrow list, not str"),
        (5, "Vector should be a list, tuple, numpy array or Arrow list, not int"),
        ({1.0, 2.0, 3.0}, "not set"),
    ],
)
def test_bad_values(value: Any, message: str) -> None:
    """What is no vector of that length is refused with a sentence that says why."""
    with pytest.raises(ValidationError, match=message):
        check(Vector(3), value)


def test_numpy_integers() -> None:
    """A list of numpy integers is an integer vector."""
    assert check(Vector(2, "uint8"), list(np.array([0, 255], dtype=np.uint8))) == [0, 255]


def test_none_follows_nullable() -> None:
    """A vector may be missing unless it says otherwise."""
    assert check(Vector(3), None) is None
    with pytest.raises(ValidationError):
        check(Vector(3, nullable=False), None)


@given(st.lists(st.floats(width=32), min_size=4, max_size=4))
def test_numpy_and_list_agree(values: list[float]) -> None:
    """The form a vector comes in does not change its numbers, NaN and infinity included."""
    from_list = check(Vector(4), values)
    from_numpy = check(Vector(4), np.array(values, dtype=np.float32))
    np.testing.assert_array_equal(from_list, from_numpy)


@pytest.mark.parametrize(
    ("given_type", "name"),
    [
        (pa.float16(), "float16"),
        (pa.float32(), "float32"),
        (pa.float64(), "float64"),
        (pa.int8(), "int8"),
        (np.uint8, "uint8"),
        (np.dtype("float16"), "float16"),
        ("float64", "float64"),
    ],
)
def test_value_types(given_type: Any, name: str) -> None:
    """The value type may be named, or given as Arrow's or numpy's."""
    vector: Any = Vector(2, given_type)
    assert vector.value_arrow_type() == getattr(pa, name)()


@pytest.mark.parametrize("value", [[-129, 0], [0, 128], [0.5, 1]])
def test_int8_range(value: list[float]) -> None:
    """Integer vectors take whole numbers of their range only."""
    with pytest.raises(ValidationError):
        check(Vector(2, "int8"), value)


@pytest.mark.parametrize("bad", [0, -1, True, "3", 2.0, None])
def test_bad_dimension(bad: Any) -> None:
    """The dimension is a positive integer."""
    with pytest.raises(SchemaError, match="positive integer"):
        Vector(bad)


@pytest.mark.parametrize("bad", ["int64", pa.string(), np.int32])
def test_bad_value_type(bad: Any) -> None:
    """A value type that no engine searches is refused with the list of those that work."""
    with pytest.raises(SchemaError, match="use one of float16, float32, float64, int8, uint8"):
        Vector(2, bad)


def test_lancedb_accessors() -> None:
    """What LanceDB's fixed size list type tells, this one tells under the same names."""
    vector: Any = Vector(7, "uint8", nullable=False)
    assert (vector.dim(), vector.nullable(), vector.value_arrow_type()) == (7, False, pa.uint8())


def test_repr() -> None:
    """A vector type prints as it is written."""
    shown = [repr(v) for v in (Vector, Vector(3), Vector(2, "int8", nullable=False))]
    assert shown == ["Vector", "Vector(3)", "Vector(2, int8, nullable=False)"]


def test_equal_types_are_one() -> None:
    """Two spellings of one vector type are the same object, so schemas compare equal."""
    assert Vector(3) is Vector(3, pa.float32(), True)


@pytest.mark.parametrize("kind", [Vector, MultiVector, Vector(3), MultiVector(2, "float16")])
def test_types_pickle(kind: Any) -> None:
    """Vector types travel to other processes."""
    assert pickle.loads(pickle.dumps(kind)) is kind


def test_as_annotations() -> None:
    """Sized vectors work bare, optional, in lists and as Annotated metadata."""

    class Forms(BaseModel):
        bare: Vector(2)  # type: ignore[valid-type]
        optional: Optional[Vector(2)] = None  # type: ignore[valid-type]  # noqa: UP045
        union: Vector(2) | None = None  # type: ignore[valid-type]
        listed: list[Vector(2)] = []  # type: ignore[valid-type]
        annotated: Annotated[list[float], Vector(2)]

    row = Forms(bare=(1, 2), listed=[[1, 2], (3, 4)], annotated=np.ones(2))  # type: ignore
    assert (row.listed, row.annotated) == ([[1, 2], [3, 4]], [1, 1])


def test_multi_vector() -> None:
    """A multivector is a list of vectors of one length, as many as the row needs."""
    assert check(MultiVector(2), np.ones((3, 2))) == [[1.0, 1.0]] * 3
    assert check(MultiVector(2), []) == []
    with pytest.raises(ValidationError, match="should have 2 numbers, not 3"):
        check(MultiVector(2), [[1, 2], [1, 2, 3]])


def test_json_schema() -> None:
    """The JSON schema says the length and the kind of number."""
    schema = TypeAdapter(Vector(3, nullable=False)).json_schema()
    assert schema == {
        "type": "array",
        "items": {"type": "number"},
        "minItems": 3,
        "maxItems": 3,
    }


def test_needs_no_arrow() -> None:
    """Naming a vector loads neither pyarrow nor numpy."""
    code = (
        "import sys\n"
        "from embow.schema import Vector, Model\n"
        "class Row(Model):\n    v: Vector(3)\n"
        "Row(v=[1, 2, 3])\n"
        "print(sorted({'pyarrow', 'numpy', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
