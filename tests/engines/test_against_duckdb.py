"""Expressions against DuckDB, where that is installed: an implementation that is not ours."""

from __future__ import annotations

import datetime as dt
import decimal
import math
from typing import Any

import pyarrow as pa
import pytest

from embow.engines.predicate import evaluate_expression

duckdb = pytest.importorskip("duckdb")

ROWS = pa.table(
    {
        "x": pa.array([1.5, -2.5, None, 0.0, 2.5]),
        "i": pa.array([1, 2, None, -7, 0], pa.int64()),
        "s": ["hello world", " ab ", None, "", "éa"],
        "b": [True, False, None, True, None],
        "t": pa.array(
            [
                dt.datetime(2020, 1, 31, 12, 30, 15, 250),
                dt.datetime(1960, 5, 5, 1, 2, 3, 4),
                None,
                dt.datetime(2024, 2, 29, 23, 59, 59),
                dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
            ],
            pa.timestamp("us"),
        ),
        "d": pa.array(
            [
                dt.date(2020, 1, 31),
                dt.date(1969, 2, 1),
                None,
                dt.date(2024, 2, 29),
                dt.date(2021, 1, 3),
            ]
        ),
        "l": pa.array([[1, 2], [], None, [None, 3], [2, 2]]),
        "st": pa.array([{"f": 1}, None, {"f": None}, {"f": 3}, {"f": 4}]),
    }
)
NUMBERS = [
    "abs(x)",
    "ceil(x)",
    "floor(x)",
    "round(x)",
    "round(x,0)",
    "trunc(x)",
    "sign(x)",
    "x % 2",
    "i % 2",
    "-i % 3",
    "i % -3",
    "power(i,2)",
    "sqrt(abs(x))",
    "exp(x)",
    "log10(abs(x)+1)",
    "log(2, 8)",
    "ln(2)",
    "log(100)",
    "log2(8)",
    "sin(x)",
    "atan2(x,i)",
]

TEXTS = [
    "upper(s)",
    "lower(s)",
    "length(s)",
    "substr(s,2,3)",
    "substr(s,0,2)",
    "left(s,-2)",
    "right(s,-2)",
    "left(s,3)",
    "right(s,3)",
    "trim(s)",
    "ltrim(s)",
    "rtrim(s)",
    "reverse(s)",
    "strpos(s,'o')",
    "split_part(s,' ',1)",
    "split_part(s,' ',-1)",
    "split_part(s,' ',5)",
    "concat(s,'x',s)",
    "concat(s,null)",
    "s || null",
    "s || 'a'",
    "starts_with(s,'h')",
    "contains(s,'')",
    "s like '_a%'",
    "s ilike 'H%'",
    "cast(i as text)",
    "cast(d as text)",
    "cast(b as text)",
    "s IS DISTINCT FROM ''",
    "TRY_CAST(s AS int)",
    "TRIM(BOTH 'h' FROM s)",
    "TRIM(LEADING FROM s)",
    "TRIM(TRAILING 'd' FROM s)",
    "SUBSTRING(s FROM 2 FOR 3)",
    "SUBSTRING(s FROM 3)",
    "POSITION('o' IN s)",
]

LOGIC = [
    "coalesce(i,0)",
    "coalesce(null,i,x)",
    "nullif(i,2)",
    "nullif(x,null)",
    "case when b then 1 when i=2 then 2 end",
    "case i when 1 then 'a' when null then 'n' else 'z' end",
    "b and null",
    "b or null",
    "not b",
    "b is not true",
    "i in (1,null)",
    "i not in (1,null)",
    "i between 0 and 2",
    "cast(b as int)",
    "cast(i as boolean)",
    "cast(x as decimal(10,1))",
    "cast('1.5' as double)",
    "i IS DISTINCT FROM 2",
    "i IS NOT DISTINCT FROM NULL",
    "TRY_CAST('7' AS int)",
    "TRY_CAST(i AS tinyint)",
]

MOMENTS = [
    "cast(t as date)",
    "cast(d as timestamp)",
    "cast('2020-01-01' as date)",
    "t + interval '1 month'",
    "t - interval '1 month'",
    "t - interval '13 months 2 days'",
    "d + interval '1 day'",
    "t + interval '90 minutes'",
    "d - interval '1 year'",
    "extract(year from t)",
    "extract(dow from t)",
    "extract(doy from d)",
    "extract(week from d)",
    "extract(quarter from t)",
    "extract(second from t)",
    "date_part('millisecond',t)",
    "date_part('microsecond',t)",
    "date_part('epoch',t)",
    "date_trunc('month',t)",
    "date_trunc('week',t)",
    "date_trunc('quarter',t)",
    "date_trunc('hour',t)",
    "date_trunc('second',t)",
    "t > d",
    "d = '2020-01-31'",
    "t - t",
    "year(d)",
    "hour(t)",
    "t < timestamp '1965-01-01'",
]

NESTED = [
    "replace(s,'l','')",
    "regexp_replace(s,'[lo]','_')",
    "regexp_replace(s,'(l)(o)?','<\\1>','g')",
    "l[1]",
    "l[-1]",
    "l[5]",
    "l[0]",
    "list_contains(l,2)",
    "array_length(l)",
    "len(l)",
    "array_has(l,3)",
    "st.f",
    "st['f']",
    "st.f + 1",
    "[1,2][1]",
    "array_has_all(l,[2])",
    "array_has_any(l,[1,3])",
    "greatest(1,2)",
]

OURS = {
    "i / 2": [0, 1, None, -3, 0],
    "i / 0": [None] * 5,
    "x / 0": [None] * 5,
    "CAST(x AS int)": [1, -2, None, 0, 2],
    "substr(s, -1)": ["hello world", " ab ", None, "", "éa"],
}
"""Where SQL's implementations differ and we follow PostgreSQL's, or what is documented."""


def comparable(value: Any) -> Any:
    """Return a value so that equal ones of both are equal: dates as moments, decimals as floats."""
    if isinstance(value, decimal.Decimal):
        value = float(value)
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
    if isinstance(value, float):
        return "nan" if math.isnan(value) else round(value, 9)
    return value


def ours(expression: str) -> list[Any]:
    """Return what an expression is here, for each row."""
    (batch,) = ROWS.to_batches()
    return evaluate_expression(expression, batch.schema, batch).to_pylist()


@pytest.mark.parametrize("expression", [*NUMBERS, *TEXTS, *LOGIC, *MOMENTS, *NESTED])
def test_an_expression_is_what_duckdb_says(expression: str) -> None:
    """Value by value, nulls included."""
    with duckdb.connect() as other:
        found = other.from_arrow(ROWS).project(f"{expression} AS r").fetchall()
    expected = [comparable(row[0]) for row in found]
    assert list(map(comparable, ours(expression))) == expected


@pytest.mark.parametrize(("expression", "expected"), OURS.items())
def test_where_we_differ_it_is_on_purpose(expression: str, expected: list[Any]) -> None:
    """Whole numbers divide into whole ones, by zero into NULL, and casts cut off."""
    assert ours(expression) == expected
