"""Python values to Arrow and back: what comes out is what went in."""

import dataclasses
import datetime as dt
import enum
import ipaddress
import string
import uuid
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, Field, create_model

from embow.schema import (
    Model,
    MultiVector,
    Vector,
    model_from_arrow,
    models_to_batch,
    row_to_model,
    rows_to_batch,
)


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Mixed(enum.Enum):
    ONE = 1
    TWO = ("two", 2)


class Point(BaseModel):
    x: int
    tags: list[Mixed] = []
    at: "Point2 | None" = None


class Point2(BaseModel):
    name: Annotated[str, pa.field("odd name", pa.utf8(), nullable=False)]
    kinds: dict[str, Mixed] = {}


@dataclasses.dataclass
class Size:
    width: float
    kind: Mixed


class Pair(NamedTuple):
    left: int
    right: Mixed


int64 = st.integers(-(2**63), 2**63 - 1)
finite = st.floats(allow_nan=False)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
points = st.builds(
    Point,
    x=int64,
    tags=st.lists(st.sampled_from(Mixed), max_size=3),
    at=st.none()
    | st.builds(Point2, name=text, kinds=st.dictionaries(text, st.sampled_from(Mixed), max_size=3)),
)
money = st.decimals(-999, 999, places=2)

KINDS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, int64),
    (float, finite),
    (bool, st.booleans()),
    (str, text),
    (bytes, st.binary(max_size=20)),
    (dt.date, st.dates()),
    (dt.datetime, st.datetimes()),
    (AwareDatetime, st.datetimes(timezones=st.just(dt.UTC))),
    (dt.time, st.times()),
    (dt.timedelta, st.timedeltas(dt.timedelta(days=-99999), dt.timedelta(days=99999))),
    (Annotated[Decimal, Field(max_digits=5, decimal_places=2)], money),
    (Annotated[Decimal, Field(max_digits=60, decimal_places=2)], money),
    (uuid.UUID, st.uuids()),
    (PurePosixPath, st.text(string.ascii_letters + "/", min_size=1).map(PurePosixPath)),
    (ipaddress.IPv4Address, st.ip_addresses(v=4)),
    (Color, st.sampled_from(Color)),
    (Mixed, st.sampled_from(Mixed)),
    (Literal["a", "b"], st.sampled_from(["a", "b"])),
    (list[str], st.lists(text, max_size=4)),
    (list[int | None], st.lists(st.none() | int64, max_size=4)),
    (list[list[float]], st.lists(st.lists(finite, max_size=3), max_size=3)),
    (set[int], st.sets(int64, max_size=4)),
    (frozenset[Mixed], st.frozensets(st.sampled_from(Mixed))),
    (tuple[int, ...], st.lists(int64, max_size=4).map(tuple)),
    (tuple[Mixed, Mixed], st.tuples(st.sampled_from(Mixed), st.sampled_from(Mixed))),
    (dict[str, int], st.dictionaries(text, int64, max_size=4)),
    (dict[int, list[Mixed]], st.dictionaries(int64, st.lists(st.sampled_from(Mixed)), max_size=2)),
    (Point, points),
    (list[Point], st.lists(points, max_size=3)),
    (Size, st.builds(Size, width=finite, kind=st.sampled_from(Mixed))),
    (Pair, st.builds(Pair, left=int64, right=st.sampled_from(Mixed))),
    (Vector(3), st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3)),
    (Vector(2, "float16"), st.lists(st.floats(width=16, allow_nan=False), min_size=2, max_size=2)),
    (Vector(2, "uint8"), st.lists(st.integers(0, 255), min_size=2, max_size=2)),
    (
        MultiVector(2),
        st.lists(
            st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=2), max_size=3
        ),
    ),
    (Annotated[int, pa.int16()], st.integers(-(2**15), 2**15 - 1)),
    (Annotated[int, pa.uint64()], st.integers(0, 2**64 - 1)),
    (Annotated[str, pa.large_utf8()], text),
    (Annotated[str, pa.dictionary(pa.int32(), pa.utf8())], text),
    (Annotated[list[int], pa.list_(pa.int64(), 2)], st.lists(int64, min_size=2, max_size=2)),
    (Annotated[bytes, pa.binary(2)], st.binary(min_size=2, max_size=2)),
    (
        Annotated[dt.datetime, pa.timestamp("ns")],
        st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)),
    ),
    (Annotated[dt.date, pa.date64()], st.dates()),
]
if hasattr(pa, "uuid"):  # pyarrow 18 and later
    KINDS.append((Annotated[uuid.UUID, pa.uuid()], st.uuids()))


def there_and_back(kind: Any, values: list[Any]) -> None:
    model = create_model("Row", __base__=Model, value=(kind, ...), maybe=(kind | None, None))
    objects = [model(value=value, maybe=value if i % 2 else None) for i, value in enumerate(values)]
    schema = model.to_arrow_schema()
    batch = models_to_batch(objects, schema)
    batch.validate(full=True)
    assert batch.schema.equals(schema)
    assert [row_to_model(model, row) for row in batch.to_pylist()] == objects
    # The rows as plain dicts, and a model made from the Arrow schema alone, give the same batch.
    assert rows_to_batch([dict(obj) for obj in objects], schema).equals(batch)
    other = model_from_arrow(schema)
    assert other.to_arrow_schema().equals(schema)
    again = [row_to_model(other, row) for row in batch.to_pylist()]
    assert models_to_batch(again, schema).equals(batch)


@pytest.mark.parametrize(("kind", "values"), KINDS, ids=lambda v: str(v)[:50])
def test_round_trip(kind: Any, values: st.SearchStrategy[Any]) -> None:
    """Objects become Arrow and come back equal, null or not, for every supported type."""

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(values, max_size=5))
    def run(rows: list[Any]) -> None:
        there_and_back(kind, rows)

    run()


@given(st.lists(st.none() | st.floats(width=32), max_size=20))
def test_floats_match_arrow(values: list[float | None]) -> None:
    """Floats, NaN and infinities are what pyarrow itself makes of them."""
    batch = rows_to_batch([{"v": v} for v in values], pa.schema([("v", pa.float32())]))
    expected = pa.array(values, pa.float32())
    assert [repr(v) for v in batch["v"].to_pylist()] == [repr(v) for v in expected.to_pylist()]


SCALARS = st.sampled_from(
    [
        pa.int8(), pa.uint32(), pa.int64(), pa.float16(), pa.float32(), pa.float64(), pa.bool_(),
        pa.utf8(), pa.large_utf8(), pa.binary(), pa.large_binary(), pa.binary(4), pa.date32(),
        pa.date64(), pa.time32("s"), pa.time64("ns"), pa.timestamp("s"), pa.timestamp("ns", "UTC"),
        pa.duration("ms"), pa.decimal128(7, 3), pa.decimal256(50, 0), pa.null(),
        pa.dictionary(pa.int8(), pa.utf8()),
    ]
)  # fmt: skip
names = st.sampled_from(["a", "b", "a b", "class", "_hidden", "copy", "é", "1st", "a.b", "A"])


def fields(types: st.SearchStrategy[pa.DataType]) -> st.SearchStrategy[pa.Field]:
    return st.builds(
        lambda name, kind, nullable: pa.field(name, kind, nullable or pa.types.is_null(kind)),
        names,
        types,
        st.booleans(),
    )


def nested(types: st.SearchStrategy[pa.DataType]) -> st.SearchStrategy[pa.DataType]:
    children = fields(types)
    return st.one_of(
        children.map(pa.list_),
        children.map(pa.large_list),
        st.builds(pa.list_, children, st.integers(1, 3)),
        st.lists(children, min_size=1, max_size=3, unique_by=lambda f: f.name).map(pa.struct),
        st.builds(lambda v: pa.map_(pa.utf8(), v.with_name("value")), children),
    )


@settings(max_examples=200, deadline=None)
@given(
    st.lists(fields(st.recursive(SCALARS, nested, max_leaves=4)), max_size=4,
             unique_by=lambda f: f.name)
)  # fmt: skip
def test_any_schema(columns: list[pa.Field]) -> None:
    """A model made from any Arrow schema has exactly that schema."""
    schema = pa.schema(columns)
    assert model_from_arrow(schema).to_arrow_schema().equals(schema)


@given(st.integers(1, 6), st.integers(0, 6), st.randoms())
def test_vector_forms_agree(dim: int, rows: int, random: Any) -> None:
    """Arrays, lists and a mix of both with nulls give the same column."""
    vectors = [np.float32([random.random() for _ in range(dim)]) for _ in range(rows)]
    schema = pa.schema([("v", pa.list_(pa.float32(), dim))])
    arrays = [v if random.random() < 0.7 else None for v in vectors]
    lists = [None if v is None else v.tolist() for v in arrays]
    mixed = [v if random.random() < 0.5 else w for v, w in zip(arrays, lists, strict=True)]
    batches = [rows_to_batch([{"v": v} for v in form], schema) for form in (arrays, lists, mixed)]
    assert batches[0].equals(batches[1])
    assert batches[0].equals(batches[2])
    assert batches[0]["v"].to_pylist() == lists
