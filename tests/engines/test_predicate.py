"""Filters: what parses, what is refused, and that every answer is SQL's."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embow.engines.predicate import evaluate, parse_predicate
from embow.errors import PredicateError
from embow_testing._engine_filters import BATCH, FILTERS


def passing(sql: str) -> list[int]:
    """Return the positions of the rows of `BATCH` that pass."""
    mask = evaluate(parse_predicate(sql, BATCH.schema), BATCH)
    return [position for position, passes in enumerate(mask.tolist()) if passes]


@pytest.mark.parametrize(("sql", "rows"), FILTERS)
def test_a_filter_passes_the_rows_sql_says(sql: str, rows: list[int]) -> None:
    """Each form of the dialect, with NULLs among the rows."""
    assert passing(sql) == rows


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("i =", r"does not parse near '='.*column 3"),
        ("(i = 1", r"does not parse"),
        ("s = 'abc", r"a quote is not closed"),
        ("", r"The filter is empty"),
        ("i = 1; DROP TABLE x", r"one condition, without ';'"),
        ("stt = 1", r"Did you mean 'st'\? Columns: i, u, f"),
        ('s = "ab"', r"Text is written in single quotes"),
        ("st.b = 1", r"'st.b'.*Columns: a\."),
        ("i.a = 1", r"'i' is int32, so it has no field 'a'"),
        ("i = 'a'", r"column 'i' \(int32\) with 'a' \(string\)"),
        ("s = 1", r"column 's' \(string\) with 1 \(int64\)"),
        ("v = 1", r"column 'v' \(fixed_size_list"),
        ("d = 'soon'", r"'soon' is not a date"),
        ("i + 1", r"needs true or false, not the result of \+ \(int64\)"),
        ("b AND i", r"AND needs true or false, not column 'i'"),
        ("s + 1 = 2", r"'\+' needs a number, not column 's'"),
        ("i IN (SELECT 1)", r"IN with a subquery, which is not supported"),
        ("CASE WHEN b THEN i ELSE s END = 1", r"CASE cannot give column 'i'.*column 's'"),
        ("coalesce(i, s) = 1", r"CASE cannot give column 'i'.*column 's'"),
        ("foo(i) = 1", r"foo, which is not supported"),
        ("count(*) > 1", r"count\(\) is an aggregate.*DuckDB"),
        ("i = 1 x", r"an alias, which is not supported"),
        ("s LIKE s", r"LIKE needs a literal text"),
        ("i IN (1, u)", r"IN takes a list of literals"),
        ("regexp_match(s, '(')", r"pattern '\(' is not valid"),
        ("CAST(i AS interval) = 1", r"CAST to"),
        ("bin = x'0'", r"not whole hexadecimal bytes"),
    ],
)
def test_a_filter_that_cannot_be_used_says_why(sql: str, message: str) -> None:
    """The message names the place, the column, the types or the unsupported part."""
    with pytest.raises(PredicateError, match=message):
        parse_predicate(sql, BATCH.schema)


@pytest.mark.parametrize("sql", ["i + 9223372036854775807 > 0", "CAST(s AS int) = 1"])
def test_a_value_that_cannot_be_computed_is_an_error(sql: str) -> None:
    """Overflow and failing casts are not passed over."""
    with pytest.raises(PredicateError, match="fails on a row"):
        passing(sql)


@pytest.mark.parametrize(("sql", "rows"), [('"A b" = 1', [0]), ("`a b` <> 1", [1])])
def test_a_name_that_is_no_word_is_quoted(sql: str, rows: list[int]) -> None:
    """In double quotes or backticks, whatever its case."""
    batch = pa.record_batch({"A b": [1, 2]})
    assert np.flatnonzero(evaluate(parse_predicate(sql, batch.schema), batch)).tolist() == rows


def test_two_columns_that_differ_in_case_must_be_written_exactly() -> None:
    """An ambiguous name is not guessed."""
    schema = pa.schema({"Name": pa.string(), "name": pa.string()})
    with pytest.raises(PredicateError, match="'Name', 'name'"):
        parse_predicate("NAME = 'a'", schema)


def test_columns_lists_each_column_once() -> None:
    """The top-level columns that must be read, in order of first use."""
    assert parse_predicate("st.a.x > i AND i < u", BATCH.schema).columns == ("st", "i", "u")


class Expected:
    """A condition as SQL text and as a Python function with NULL as ``None``."""

    def __init__(self, sql: str, value: Callable[[dict[str, Any]], bool | None]) -> None:
        self.sql = sql
        self.value = value


COMPARISONS = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
TEXT = st.text("ab%_'\\\n\u00e9", max_size=3)


def comparison(column: str, sign: str, value: Any) -> Expected:
    """Return a comparison of a column with a literal."""
    literal = "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)
    compare = COMPARISONS[sign]
    return Expected(
        f"{column} {sign} {literal}",
        lambda row: None if row[column] is None else compare(row[column], value),
    )


def conjunction(one: Expected, two: Expected) -> Expected:
    """Return AND in three-valued logic."""

    def value(row: dict[str, Any]) -> bool | None:
        sides = (one.value(row), two.value(row))
        return False if False in sides else None if None in sides else True

    return Expected(f"({one.sql} AND {two.sql})", value)


def disjunction(one: Expected, two: Expected) -> Expected:
    """Return OR in three-valued logic."""

    def value(row: dict[str, Any]) -> bool | None:
        sides = (one.value(row), two.value(row))
        return True if True in sides else None if None in sides else False

    return Expected(f"({one.sql} OR {two.sql})", value)


def negation(one: Expected) -> Expected:
    """Return NOT in three-valued logic."""

    def value(row: dict[str, Any]) -> bool | None:
        inner = one.value(row)
        return None if inner is None else not inner

    return Expected(f"NOT {one.sql}", value)


def membership(values: list[int | None]) -> Expected:
    """Return IN, which is NULL where only a NULL member could have matched."""

    def value(row: dict[str, Any]) -> bool | None:
        if row["i"] is None:
            return None
        return True if row["i"] in values else None if None in values else False

    members = ", ".join("NULL" if each is None else str(each) for each in values)
    return Expected(f"i IN ({members})", value)


LEAVES = (
    st.builds(comparison, st.just("i"), st.sampled_from(list(COMPARISONS)), st.integers(-300, 300))
    | st.builds(
        comparison, st.just("i"), st.sampled_from(list(COMPARISONS)), st.sampled_from([0.5, 2.0])
    )
    | st.builds(comparison, st.just("s"), st.sampled_from(list(COMPARISONS)), TEXT)
    | st.builds(membership, st.lists(st.none() | st.integers(-2, 2), min_size=1, max_size=4))
    | st.sampled_from(
        [
            Expected("s IS NULL", lambda row: row["s"] is None),
            Expected("b", lambda row: row["b"]),
            Expected(
                "i % 2 = 1",
                lambda row: None if row["i"] is None else row["i"] % 2 == 1 and row["i"] > 0,
            ),
        ]
    )
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(conjunction, inner, inner)
        | st.builds(disjunction, inner, inner)
        | st.builds(negation, inner)
    ),
    max_leaves=6,
)
DATA = st.lists(
    st.fixed_dictionaries(
        {
            "i": st.none() | st.integers(-128, 127),
            "s": st.none() | TEXT,
            "b": st.none() | st.booleans(),
        }
    ),
    max_size=8,
)


@given(condition=CONDITIONS, rows=DATA)
def test_filters_agree_with_python(condition: Expected, rows: list[dict[str, Any]]) -> None:
    """Any combination of conditions passes exactly the rows for which it is true."""
    schema = pa.schema({"i": pa.int8(), "s": pa.string(), "b": pa.bool_()})
    batch = pa.RecordBatch.from_pylist(rows, schema=schema)
    found = evaluate(parse_predicate(condition.sql, schema), batch).tolist()
    assert found == [condition.value(row) is True for row in rows]


@given(text=TEXT, pattern=st.text("ab%_\u00e9", max_size=3))
def test_like_agrees_with_python(text: str, pattern: str) -> None:
    """``%`` is any text, ``_`` any one character, the rest itself."""
    batch = pa.record_batch({"s": pa.array([text])})
    found = evaluate(parse_predicate(f"s LIKE '{pattern}'", batch.schema), batch).tolist()
    assert found == [_like(text, pattern)]


def _like(text: str, pattern: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(_like(text[skip:], pattern[1:]) for skip in range(len(text) + 1))
    return bool(text) and pattern[0] in ("_", text[0]) and _like(text[1:], pattern[1:])


LONG = [
    ("i IN ({})", range(1000)),
    ("i IN ( {} )", [-1, *range(2, 300), 1.5]),
    ("f IN ({}) OR s = 'it''s in (1'", [0.5, -0.0, *range(300)]),
    ("s NOT IN ({})", [f"'{word}''s'" for word in range(300)]),
    ("d IN ({})", [f"'2024-01-{day % 28 + 1:02}'" for day in range(300)]),
    ("ts in({})", [f"'2024-01-01T00:00:{n % 60:02}'" for n in range(300)]),
    ("i IN ({}) /* , i IN (1 */ AND '--' <> s", range(500)),
]


@pytest.mark.parametrize(("sql", "constants"), LONG, ids=[sql for sql, _ in LONG])
def test_a_long_list_is_read_like_a_short_one(sql: str, constants: Any) -> None:
    """What is taken out of the text before it is parsed gives the rows of the parsed list."""
    whole = parse_predicate(sql.format(", ".join(map(str, constants))), BATCH.schema)
    split = [
        parse_predicate(
            sql.format(", ".join(map(str, constants[start : start + 150]))), BATCH.schema
        )
        for start in range(0, len(constants), 150)
    ]
    masks = [evaluate(each, BATCH) for each in split]
    combine = np.logical_and if "NOT IN" in sql else np.logical_or
    assert evaluate(whole, BATCH).tolist() == combine.reduce(masks).tolist()


def test_a_long_list_of_another_type_is_refused_like_a_short_one() -> None:
    """Also where one constant of many is unlike the column, and where one is no constant."""
    numbers = ", ".join(map(str, range(300)))
    with pytest.raises(PredicateError, match=r"IN cannot compare column 'i' \(int32\) with 'x'"):
        parse_predicate(f"i IN ({numbers}, 'x')", BATCH.schema)
    with pytest.raises(PredicateError, match="IN takes a list of literals, not column 'u'"):
        parse_predicate(f"i IN ({numbers}, u)", BATCH.schema)
    with pytest.raises(PredicateError, match="no value of that name"):
        parse_predicate(f"i IN ({numbers}) OR i IN (:list_0)", BATCH.schema)


def test_a_long_chain_is_no_deep_one() -> None:
    """Thousands of conditions joined by OR or AND are computed like a few."""
    chain = " OR ".join(f"i = {number}" for number in range(3000))
    assert passing(chain) == passing("i >= 0 AND i < 3000")
    assert passing(" AND ".join(["i > 0"] * 3000)) == passing("i > 0")


@pytest.mark.parametrize("moment", ["NOW()", "current_timestamp", "Current_Timestamp()"])
def test_the_moment_is_that_of_each_reading(moment: str) -> None:
    """A text that was read before is read again where it asks for the time."""
    schema = pa.schema({"t": pa.timestamp("us", "UTC")})
    first, second = (parse_predicate(f"t < {moment}", schema) for _ in range(2))
    assert first != second


def test_a_text_that_was_read_before_is_read_for_another_schema() -> None:
    """The same words mean another column, or none."""
    whole = parse_predicate("a = 1", pa.schema({"a": pa.int64()}))
    assert parse_predicate("a = 1", pa.schema({"a": pa.float32()})) != whole
    with pytest.raises(PredicateError, match="'a'"):
        parse_predicate("a = 1", pa.schema({"b": pa.int64()}))
    assert parse_predicate("a = 1", pa.schema({"a": pa.int64()})) == whole
