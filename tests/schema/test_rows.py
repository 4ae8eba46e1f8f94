"""Rows to Arrow: what is taken, and how each refusal names row and column."""

from __future__ import annotations

import datetime as dt
import enum
import subprocess
import sys
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import BaseModel

from embow.errors import BadVectorError, DataError, MissingColumnError, UnknownColumnError
from embow.schema import Model, models_to_batch, rows_to_batch


class Color(enum.Enum):
    RED = "red"


class Inner(BaseModel):
    x: int


POINT = pa.struct([pa.field("x", pa.int64(), nullable=False), pa.field("y", pa.utf8())])

TAKEN: list[tuple[pa.DataType, Any, Any]] = [
    (pa.int64(), 3.0, 3),
    (pa.int64(), np.int32(3), 3),
    (pa.int64(), True, 1),
    (pa.float32(), 3, 3.0),
    (pa.float64(), np.float16(0.5), 0.5),
    (pa.float64(), Decimal("0.5"), 0.5),
    (pa.bool_(), np.True_, True),
    (pa.utf8(), Color.RED, "red"),
    (pa.utf8(), Path("/a"), "/a"),
    (pa.utf8(), uuid.UUID(int=1), str(uuid.UUID(int=1))),
    (pa.utf8(), np.str_("x"), "x"),
    (pa.utf8(), pa.scalar("x"), "x"),
    (pa.utf8(), "naïve 日本 🙂", "naïve 日本 🙂"),
    (pa.binary(), bytearray(b"x"), b"x"),
    (pa.binary(16), uuid.UUID(int=1), uuid.UUID(int=1).bytes),
    (pa.date32(), dt.datetime(2020, 1, 2), dt.date(2020, 1, 2)),
    (
        pa.timestamp("us"),
        dt.datetime(2020, 1, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        dt.datetime(2020, 1, 1),
    ),
    (pa.decimal128(5, 2), 3, Decimal("3.00")),
    (pa.decimal128(5, 2), Decimal("1E+2"), Decimal("100.00")),
    (pa.list_(pa.int64()), np.array([1, 2]), [1, 2]),
    (pa.list_(pa.int64()), (1, 2), [1, 2]),
    (pa.list_(pa.utf8()), {"a"}, ["a"]),
    (pa.list_(pa.utf8()), pa.array(["a", None]), ["a", None]),
    (pa.list_(pa.float32(), 2), [1, 2.5], [1.0, 2.5]),
    (pa.list_(pa.float32(), 2), np.array([1, 2], dtype=np.int64), [1.0, 2.0]),
    (pa.list_(pa.int8(), 2), np.array([1, 2], dtype=np.int64), [1, 2]),
    (POINT, {"x": 1}, {"x": 1, "y": None}),
    (pa.map_(pa.utf8(), pa.int64()), {"a": 1}, [("a", 1)]),
    (pa.map_(pa.utf8(), pa.int64()), [("a", 1)], [("a", 1)]),
    (pa.struct([("x", pa.int64())]), Inner(x=1), {"x": 1}),
    (pa.null(), None, None),
]


@pytest.mark.parametrize(("kind", "value", "stored"), TAKEN, ids=lambda v: str(v)[:40])
def test_taken(kind: pa.DataType, value: Any, stored: Any) -> None:
    """Values that mean the same without loss are taken, beside nulls."""
    batch = rows_to_batch([{"v": None}, {"v": value}], pa.schema([("v", kind)]))
    batch.validate(full=True)
    assert batch["v"].to_pylist() == [None, stored]


UTC = pa.timestamp("us", tz="UTC")
REFUSED: list[tuple[pa.DataType, Any, str]] = [
    (pa.int64(), "1", "str given where a whole number is needed"),
    (pa.int64(), 1.5, "1.5 is not a whole number"),
    (pa.int64(), float("nan"), "nan is not a whole number"),
    (pa.int64(), 2**63, "9223372036854775808 does not fit int64"),
    (pa.int8(), 200, "200 does not fit int8"),
    (pa.uint8(), -1, "-1 does not fit uint8"),
    (pa.float64(), "1.0", "str given where a number is needed"),
    (pa.float64(), True, "bool given where a number is needed"),
    (pa.float64(), 10**400, "too large"),
    (pa.float32(), 1e300, "does not fit float32"),
    (pa.float16(), 70000.0, "does not fit float16"),
    (pa.bool_(), 1, "int given where a bool is needed"),
    (pa.utf8(), b"x", "bytes given where text is needed"),
    (pa.utf8(), "\ud800", "not valid Unicode"),
    (pa.binary(), "x", "str given where bytes is needed"),
    (pa.binary(2), b"x", "1 bytes given where 2 are needed"),
    (pa.date32(), "2020-01-01", "str given where a date is needed"),
    (pa.date32(), dt.datetime(2020, 1, 1, 1), "has a time of day"),
    (UTC, dt.datetime(2020, 1, 1), "has no time zone"),
    (UTC, dt.date(2020, 1, 1), "date given where a datetime is needed"),
    (pa.timestamp("s"), dt.datetime(2020, 1, 1, 0, 0, 0, 1), "finer than the column's unit"),
    (pa.timestamp("ns"), dt.datetime(9999, 1, 1), "does not fit timestamp"),
    (pa.time64("us"), dt.time(1, tzinfo=dt.UTC), "has a time zone"),
    (pa.duration("us"), 5, "int given where a timedelta is needed"),
    (pa.decimal128(5, 2), Decimal("1.234"), "set max_digits and decimal_places"),
    (pa.decimal128(5, 2), Decimal(1000), "does not fit decimal128"),
    (pa.decimal128(5, 2), Decimal("NaN"), "NaN cannot be held"),
    (pa.decimal128(5, 2), 0.5, "float given where a Decimal is needed"),
    (pa.list_(pa.utf8()), "abc", "str given where a list is needed"),
    (pa.list_(pa.utf8()), {"a": 1}, "dict given where a list is needed"),
    (pa.list_(pa.int64()), [1, "2"], "str given where a whole number is needed"),
    (POINT, 5, "int given where a dict or model is needed"),
    (POINT, {"x": 1, "z": 2}, "unknown field 'z'"),
    (pa.map_(pa.utf8(), pa.int64()), [1, 2], "list given where a dict is needed"),
    (pa.null(), 5, "int given where no row had a value"),
]


@pytest.mark.parametrize(("kind", "value", "reason"), REFUSED, ids=lambda v: str(v)[:40])
def test_refused(kind: pa.DataType, value: Any, reason: str) -> None:
    """A value that would be changed or lost is refused, by row and column."""
    rows = [{"v": None}, {"v": None}, {"v": value}]
    with pytest.raises(DataError, match=rf"^Row 12, column 'v': .*{reason}"):
        rows_to_batch(rows, pa.schema([("v", kind)]), first_row=10)


@pytest.mark.parametrize(
    ("vector", "reason"),
    [
        ([1.0, 2.0], "2 numbers given where 3 are needed"),
        (np.zeros(4), "4 numbers given where 3 are needed"),
        ([1.0, 2.0, "x"], "str given where a number is needed"),
        ([[1.0], [2.0], [3.0]], "list given where a number is needed"),
        (np.array([0, 1e300, 0]), "1e\\+300 does not fit float32"),
        ("abc", "str given where a list is needed"),
    ],
)
def test_bad_vectors(vector: Any, reason: str) -> None:
    """A vector that does not fit is named by its row, whatever form its neighbours have."""
    good = np.ones(3, dtype=np.float32)
    rows = [{"v": good}, {"v": None}, {"v": [1, 2, 3]}, {"v": vector}, {"v": good}]
    with pytest.raises(BadVectorError, match=rf"^Row 3, column 'v': {reason}"):
        rows_to_batch(rows, pa.schema([("v", pa.list_(pa.float32(), 3))]))


def test_nested_path() -> None:
    """The message names the nested field and the row that holds it, through lists and maps."""
    deep = pa.struct([("m", pa.map_(pa.utf8(), pa.list_(POINT)))])
    good = {"m": {"a": [{"x": 1}, {"x": 2}]}}
    bad = {"m": {"a": [], "b": [{"x": 1}, {"x": "no"}]}}
    with pytest.raises(DataError, match=r"^Row 2, column 'v\.m\.value\.x': str given"):
        rows_to_batch([{"v": good}, {"v": None}, {"v": bad}], pa.schema([("v", deep)]))


def test_missing_nested_value() -> None:
    """A struct field that must have a value is missed below a struct, not below a null."""
    schema = pa.schema([("v", POINT)])
    assert rows_to_batch([{"v": None}], schema)["v"].to_pylist() == [None]
    with pytest.raises(DataError, match=r"column 'v\.x': a value is needed"):
        rows_to_batch([{"v": {"y": "a"}}], schema)


def test_null_in_a_list_without_nulls() -> None:
    """A list of values that cannot be None refuses one."""
    schema = pa.schema([("v", pa.list_(pa.field("item", pa.utf8(), nullable=False)))])
    with pytest.raises(DataError, match="Row 1, column 'v': a value is needed"):
        rows_to_batch([{"v": ["a"]}, {"v": [None]}], schema)


def test_null_fixed_list_without_null_items() -> None:
    """A missing list of fixed size is a null, though its items cannot be."""
    kind = pa.list_(pa.field("item", pa.utf8(), nullable=False), 2)
    batch = rows_to_batch([{"v": None}, {"v": ["a", "b"]}], pa.schema([("v", kind)]))
    assert batch["v"].to_pylist() == [None, ["a", "b"]]


SCHEMA = pa.schema(
    [
        pa.field("text", pa.utf8(), nullable=False),
        pa.field("size", pa.int64()),
        pa.field("vector", pa.list_(pa.float32(), 2)),
    ]
)


def test_missing_column() -> None:
    """A missing value is named by row and column; a nullable column may be left out."""
    with pytest.raises(MissingColumnError, match="Row 1, column 'text': a value is needed"):
        rows_to_batch([{"text": "a", "vector": [1, 2]}, {"vector": [1, 2]}], SCHEMA)
    batch = rows_to_batch([{"text": "a", "vector": [1, 2]}], SCHEMA)
    assert batch["size"].to_pylist() == [None]


def test_unknown_column() -> None:
    """A key that is no column is refused with the one that was meant."""
    with pytest.raises(UnknownColumnError, match=r"Row 0: .*'txt'\. Did you mean 'text'"):
        rows_to_batch([{"txt": "a"}], SCHEMA)


def test_models_with_an_unknown_field() -> None:
    """A model with a field the table lacks is refused in the same way."""

    class Other(Model):
        text: str
        sizes: int

    with pytest.raises(UnknownColumnError, match=r"'sizes'\. Did you mean 'size'"):
        models_to_batch([Other(text="a", sizes=1)], SCHEMA)


def test_models_of_several_classes() -> None:
    """Objects of several classes, LanceDB's refused plain BaseModel included, share a batch."""

    class Short(BaseModel):
        text: str

    class Long(Model):
        text: str
        size: int

    batch = models_to_batch([Short(text="a"), Long(text="b", size=2)], SCHEMA)
    assert batch.select(["text", "size"]).to_pylist() == [
        {"text": "a", "size": None},
        {"text": "b", "size": 2},
    ]


@pytest.mark.parametrize("rows", [[], [{}] * 3])
def test_no_rows_and_empty_rows(rows: list[dict[str, Any]]) -> None:
    """No rows give an empty batch of the schema; empty rows give nulls."""
    schema = pa.schema([pa.field("a", pa.utf8()), pa.field("v", pa.list_(pa.float32(), 2))])
    batch = rows_to_batch(rows, schema)
    batch.validate(full=True)
    assert batch.num_rows == len(rows)
    assert batch.schema.equals(schema)


def test_does_not_import_pandas() -> None:
    """The first row of a process does not wait for pandas, which pyarrow would import."""
    pytest.importorskip("pandas")
    code = (
        "import sys, datetime, decimal\n"
        "from embow.schema import Model, Vector, models_to_batch\n"
        "class Row(Model):\n"
        "    text: str\n    at: datetime.datetime\n    tags: list[str]\n"
        "    price: decimal.Decimal\n    more: dict[str, int]\n    v: Vector(2)\n"
        "row = Row(text='a', at=datetime.datetime(2020, 1, 1), tags=['x'], price=1,\n"
        "          more={'a': 1}, v=[1, 2])\n"
        "models_to_batch([row], Row.to_arrow_schema())\n"
        "print('pandas' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_column_over_two_gigabytes() -> None:
    """A column too long for its offsets is refused by the row where it overflows."""
    from embow.schema._arrays import offsets_of
    from embow.schema._cells import CellError

    with pytest.raises(CellError, match="over 127 bytes or items; add fewer rows") as caught:
        offsets_of([b"x" * 60, b"x" * 60, b"x" * 60], np.int8)
    assert caught.value.position == 2


def test_type_that_cannot_be_made() -> None:
    """An Arrow type without builder is named, with the way out."""
    schema = pa.schema([("v", pa.month_day_nano_interval())])
    with pytest.raises(DataError, match="month_day_nano_interval cannot be made from Python"):
        rows_to_batch([{"v": 1}], schema)
