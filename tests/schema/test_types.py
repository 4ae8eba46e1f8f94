"""Which Arrow type each Python type becomes, and what is refused."""

import collections
import dataclasses
import datetime as dt
import enum
import ipaddress
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    TypeVar,
    Union,
)

import numpy as np
import pyarrow as pa
import pytest
from pydantic import (
    AnyUrl,
    AwareDatetime,
    BaseModel,
    Field,
    HttpUrl,
    Json,
    NaiveDatetime,
    PositiveInt,
    RootModel,
    SecretStr,
    conint,
    create_model,
)
from typing_extensions import TypeAliasType, TypedDict

from embow.errors import UnsupportedTypeError
from embow.schema import Model, MultiVector, Vector


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mixed(enum.Enum):
    ONE = 1
    TWO = "two"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Point(BaseModel):
    x: int
    y: float | None = None


class Options(TypedDict):
    key: str
    extra: NotRequired[int]


@dataclasses.dataclass
class Size:
    width: int
    color: Color


class Pair(NamedTuple):
    left: int
    right: str


class Tags(RootModel[list[str]]):
    pass


class Tree(BaseModel):
    children: list["Tree"] = []


Name = NewType("Name", str)
Score = TypeAliasType("Score", float)
MaybeScore = TypeAliasType("MaybeScore", Score | None)

INT, TEXT = pa.int64(), pa.utf8()
POINT = pa.struct([pa.field("x", INT, False), pa.field("y", pa.float64())])


def listed(item: pa.DataType) -> pa.DataType:
    return pa.list_(item)


def mapped(key: pa.DataType, value: pa.DataType, nullable: bool = False) -> pa.DataType:
    return pa.map_(key, pa.field("value", value, nullable))


TYPES: list[tuple[Any, pa.DataType, bool]] = [
    (int, INT, False),
    (float, pa.float64(), False),
    (bool, pa.bool_(), False),
    (str, TEXT, False),
    (bytes, pa.binary(), False),
    (dt.date, pa.date32(), False),
    (dt.datetime, pa.timestamp("us"), False),
    (AwareDatetime, pa.timestamp("us", tz="UTC"), False),
    (NaiveDatetime, pa.timestamp("us"), False),
    (dt.time, pa.time64("us"), False),
    (dt.timedelta, pa.duration("us"), False),
    (Decimal, pa.decimal128(38, 9), False),
    (Annotated[Decimal, Field(max_digits=10, decimal_places=2)], pa.decimal128(10, 2), False),
    (Annotated[Decimal, Field(decimal_places=0)], pa.decimal128(38, 0), False),
    (Annotated[Decimal, Field(max_digits=4)], pa.decimal128(4, 4), False),
    (Annotated[Decimal, Field(max_digits=50, decimal_places=1)], pa.decimal256(50, 1), False),
    (
        list[Annotated[Decimal, Field(max_digits=5, decimal_places=2)]],
        listed(pa.decimal128(5, 2)),
        False,
    ),
    (uuid.UUID, TEXT, False),
    (Path, TEXT, False),
    (AnyUrl, TEXT, False),
    (HttpUrl, TEXT, False),
    (ipaddress.IPv4Address, TEXT, False),
    (Color, TEXT, False),
    (Level, INT, False),
    (Access, INT, False),
    (Mixed, TEXT, False),
    (Literal["a", "b"], TEXT, False),
    (Literal[1, 2], INT, False),
    (Literal["a", None], TEXT, True),
    (Literal[Color.RED], TEXT, False),
    (int | None, INT, True),
    (Optional[str], TEXT, True),  # noqa: UP045
    (Union[None, dt.date], pa.date32(), True),  # noqa: UP007
    (Path | str, TEXT, False),
    (list[str], listed(TEXT), False),
    (list[int | None], listed(INT), False),
    (Sequence[float], listed(pa.float64()), False),
    (set[str], listed(TEXT), False),
    (frozenset[int], listed(INT), False),
    (collections.deque[int], listed(INT), False),
    (tuple[int, ...], listed(INT), False),
    (tuple[float, float], listed(pa.float64()), False),
    (list[list[int]], listed(listed(INT)), False),
    (dict[str, int], mapped(TEXT, INT), False),
    (Mapping[int, str | None], mapped(INT, TEXT, True), False),
    (Point, POINT, False),
    (list[Point], listed(POINT), False),
    (Point | None, POINT, True),
    (Options, pa.struct([pa.field("key", TEXT, False), pa.field("extra", INT)]), False),
    (Size, pa.struct([pa.field("width", INT, False), pa.field("color", TEXT, False)]), False),
    (Pair, pa.struct([pa.field("left", INT, False), pa.field("right", TEXT, False)]), False),
    (Tags, listed(TEXT), False),
    (Name, TEXT, False),
    (Score, pa.float64(), False),
    (MaybeScore, pa.float64(), True),
    (PositiveInt, INT, False),
    (conint(ge=3), INT, False),
    (Vector(4), pa.list_(pa.float32(), 4), True),
    (Vector(4, "uint8", nullable=False), pa.list_(pa.uint8(), 4), False),
    (Annotated[list[float], Vector(4)], pa.list_(pa.float32(), 4), True),
    (MultiVector(4), pa.list_(pa.list_(pa.float32(), 4)), True),
    (Annotated[int, pa.int32()], pa.int32(), False),
    (Annotated[int, pa.int32()] | None, pa.int32(), True),
    (Annotated[int | None, pa.int8()], pa.int8(), True),
    (Annotated[str, pa.large_utf8()], pa.large_utf8(), False),
    (list[Annotated[int, pa.uint8()]], listed(pa.uint8()), False),
]


@pytest.mark.parametrize(("annotation", "arrow", "nullable"), TYPES, ids=lambda v: str(v)[:60])
def test_type(annotation: Any, arrow: pa.DataType, nullable: bool) -> None:
    """Each supported type becomes this Arrow type with this nullability."""
    model = create_model("Row", __base__=Model, value=(annotation, ...))
    field = model.to_arrow_schema().field("value")
    assert (field.type, field.nullable) == (arrow, nullable)


T = TypeVar("T")

REFUSED: list[tuple[Any, str]] = [
    (Any, "Name the type the column holds"),
    (object, "Name the type the column holds"),
    (dict, r"dict\[str, float\]"),
    (list, r"list\[str\]"),
    (set, r"set\[str\]"),
    (tuple, r"tuple\[float, \.\.\.\]"),
    (tuple[int, str], "nested Model where the parts differ"),
    (complex, "two float fields"),
    (int | str, "Choose one type"),
    (int | float, "Choose one type"),
    (Size | Point, "Choose one type"),
    (Literal["a", 1], "literals of one type"),
    (SecretStr, "Secrets are not stored"),
    (Json[dict[str, int]], r"dict\[str, \.\.\.\]"),
    (dict[str | None, int], "keys of a map cannot be None"),
    (Tree, "holds itself"),
    (list[dict[str, Any]], "Name the type"),
    (T, r"Model\[int\]"),
    (Vector, "dimension is not known"),
    (type, "nested Model"),
]


@pytest.mark.parametrize(("annotation", "hint"), REFUSED, ids=lambda v: str(v)[:60])
def test_refused(annotation: Any, hint: str) -> None:
    """A type without Arrow counterpart is refused by model and field, with what to use."""
    model = create_model("Row", __base__=Model, value=(annotation, ...))
    with pytest.raises(UnsupportedTypeError, match=rf"Row\.value.*{hint}"):
        model.to_arrow_schema()


def test_refused_array() -> None:
    """A numpy array as annotation is refused with the vector types to use."""
    model = create_model(
        "Row", __config__={"arbitrary_types_allowed": True}, value=(np.ndarray, ...)
    )
    from embow.schema import pydantic_to_schema

    with pytest.raises(UnsupportedTypeError, match=r"ndarray.*Vector\(dim\)"):
        pydantic_to_schema(model)


def test_refused_names_the_nested_field() -> None:
    """The message leads to the field inside the nested class."""

    class Inner(BaseModel):
        odd: complex

    class Outer(Model):
        inner: list[Inner]

    with pytest.raises(UnsupportedTypeError, match=r"Outer\.inner\.item\.odd: .* complex"):
        Outer.to_arrow_schema()


def test_time_zone_from_schema_extra() -> None:
    """A time zone is given as LanceDB users give it, and reaches datetimes inside."""

    class Row(Model):
        at: dt.datetime = Field(json_schema_extra={"tz": "Europe/Berlin"})
        all: list[dt.datetime] = Field(json_schema_extra={"tz": "UTC"})

    schema = Row.to_arrow_schema()
    assert schema.field("at").type == pa.timestamp("us", tz="Europe/Berlin")
    assert schema.field("all").type.value_type == pa.timestamp("us", tz="UTC")


def test_arrow_field_override() -> None:
    """A pa.Field in the annotation sets name, type, nullability and metadata."""
    given = pa.field("odd name", pa.int16(), nullable=True, metadata={"unit": "mm"})

    class Row(Model):
        size: Annotated[int, given]

    assert Row.to_arrow_schema().field("odd name").equals(given, check_metadata=True)


def test_default_none_is_nullable() -> None:
    """A field whose default is None may be null, whatever its annotation says."""
    model = create_model("Row", __base__=Model, value=(str, None))
    assert model.to_arrow_schema().field("value").nullable


def test_model_from_a_type_without_python_counterpart() -> None:
    """A column that no Python type holds is named."""
    from embow.schema import model_from_arrow

    schema = pa.schema([("gap", pa.month_day_nano_interval())])
    with pytest.raises(UnsupportedTypeError, match=r"Row\.gap: no Python type for Arrow's month"):
        model_from_arrow(schema)


def test_annotations_that_cannot_be_read() -> None:
    """A dataclass with annotations that name nothing is refused with the way to mend it."""
    hidden = dataclasses.make_dataclass("Hidden", [("x", "Nowhere")])
    model = create_model("Row", __base__=Model)
    from embow.schema._columns import nested_struct
    from embow.schema._resolve import Site, resolve

    with pytest.raises(UnsupportedTypeError, match=r"'Nowhere' is not defined.*module level"):
        resolve(hidden, Site(model.__name__, "value", nested_struct))
