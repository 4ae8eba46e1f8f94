"""Expressions: every function against what Python says, and both ways of writing them."""

from __future__ import annotations

import calendar
import datetime as dt
import math
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embow.engines.predicate import evaluate_expression
from embow.engines.predicate._functions import FUNCTIONS
from embow.errors import PredicateError
from embow.expr import Condition, Expr, col, func, lit, sql
from embow_testing._engine_filters import BATCH

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
MOMENTS = st.datetimes(dt.datetime(20, 2, 1), dt.datetime(9980, 1, 1))
WHOLE = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=True, allow_infinity=True)


def column(values: list[Any], arrow_type: pa.DataType) -> pa.RecordBatch:
    """Return rows with one column ``x``, as a slice of more rows, as engines hand them over."""
    array = pa.array([*values[:1], *values, *values[:1]], arrow_type)
    rows = pa.RecordBatch.from_arrays([array], names=["x"])
    return rows.slice(min(1, len(values)), len(values))


def computed(expression: Condition, rows: pa.RecordBatch) -> list[Any]:
    """Return the value of an expression for each row."""
    return evaluate_expression(expression, rows.schema, rows).to_pylist()


def agrees(expression: Condition, rows: pa.RecordBatch, model: Callable[[Any], Any]) -> None:
    """Check an expression over ``x`` against Python's; NULL gives NULL."""
    given_values = rows.column("x").to_pylist()
    expected = [None if value is None else model(value) for value in given_values]
    found = computed(expression, rows)
    assert all(map(same, found, expected)), (found, expected)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal; NaN is NaN."""
    both = isinstance(one, float) and isinstance(other, float)
    return one == other or (both and math.isnan(one) and math.isnan(other))


def nullable(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Return lists of values, some of them null."""
    return st.lists(st.none() | values, max_size=6)


@given(nullable(TEXT), st.integers(-3, 8), st.integers(0, 8), TEXT.filter(bool), TEXT)
def test_functions_of_text_agree_with_python(
    values: list[str | None], start: int, count: int, part: str, new: str
) -> None:
    """Positions count characters from one, and reach beyond the text without an error."""
    rows = column(values, pa.string())
    first = max(0, start - 1)
    model: dict[Expr, Callable[[str], Any]] = {
        sql("substr(x, ?, ?)", start, count): lambda s: s[first : max(0, start - 1 + count)],
        sql("substr(x, ?)", start): lambda s: s[first:],
        sql("left(x, ?)", start): lambda s: s[:start],
        sql("right(x, ?)", count): lambda s: s[len(s) - min(count, len(s)) :],
        sql("replace(x, ?, ?)", part, new): lambda s: s.replace(part, new),
        sql("strpos(x, ?)", part): lambda s: s.find(part) + 1,
        sql("trim(x)"): lambda s: s.strip(" "),
        sql("ltrim(x, ?)", part): lambda s: s.lstrip(part),
        sql("reverse(x)"): lambda s: s[::-1],
        sql("length(x)"): len,
        sql("split_part(x, ?, 2)", part): lambda s: [*s.split(part), ""][1],
        sql("coalesce(x, ?) || ?", new, part): lambda s: s + part,
        sql("contains(x, ?)", part): lambda s: part in s,
        sql("concat(x, ?, x)", new): lambda s: s + new + s,
    }
    for expression, expected in model.items():
        shown = [None if v is None else expected(v) for v in values]
        if "concat" in str(expression):
            shown = [new if v is None else expected(v) for v in values]
        if "coalesce" in str(expression):
            shown = [(new if v is None else v) + part for v in values]
        assert computed(expression, rows) == shown, expression


@given(nullable(FLOATS))
def test_functions_of_numbers_agree_with_numpy(values: list[float | None]) -> None:
    """Also for NaN, infinities, and where there is no real result."""
    rows = column(values, pa.float64())
    names = {"abs": abs, "ceil": np.ceil, "floor": np.floor, "trunc": np.trunc, "sign": np.sign}
    for name, model in names.items():
        agrees(f"{name}(x)", rows, lambda v, model=model: float(model(v)))
    agrees("sqrt(x)", rows, lambda v: math.sqrt(v) if v >= 0 else math.nan)
    agrees("x * 2 - x / 4", rows, lambda v: v * 2 - v / 4)
    agrees("mod(x, 3)", rows, lambda v: math.nan if math.isinf(v) else math.fmod(v, 3))


@given(nullable(st.decimals(-(10**6), 10**6, places=3)), st.integers(0, 2))
def test_rounding_is_half_away_from_zero(values: list[Decimal | None], digits: int) -> None:
    """As SQL has it, not half to even as Python has it."""
    rows = column(values, pa.decimal128(12, 3))
    step = Decimal(1).scaleb(-digits)
    agrees(sql("round(x, ?)", digits), rows, lambda v: v.quantize(step, ROUND_HALF_UP))


@given(nullable(WHOLE), WHOLE.filter(bool))
def test_whole_numbers_are_exact_or_refused(values: list[int | None], other: int) -> None:
    """A result that 64 bits do not hold is an error, and no number at all."""
    rows = column(values, pa.int64())
    for text, model in {
        "x + ?": lambda v: v + other,
        "x * ?": lambda v: v * other,
        "abs(x)": abs,
        "-x": lambda v: -v,
    }.items():
        expected = [None if v is None else model(v) for v in values]
        expression = sql(text, other) if "?" in text else sql(text)
        if all(v is None or -(2**63) <= v < 2**63 for v in expected):
            assert computed(expression, rows) == expected
        else:
            with pytest.raises(PredicateError, match="fails on a row"):
                computed(expression, rows)


def moved(moment: dt.datetime, months: int) -> dt.datetime:
    """Return a moment some months on, on the last day where the month is too short."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))


@given(nullable(MOMENTS), st.integers(-11, 100), st.timedeltas(dt.timedelta(-9), dt.timedelta(9)))
def test_sums_of_moments_agree_with_python(
    values: list[dt.datetime | None], months: int, length: dt.timedelta
) -> None:
    """Months keep the day where there is one; lengths of time are exact."""
    rows = column(values, pa.timestamp("us"))
    agrees(f"x + interval '{months} months'", rows, lambda v: moved(v, months))
    agrees(f"x - interval '{months} months'", rows, lambda v: moved(v, -months))
    agrees(sql("x + ?", length), rows, lambda v: v + length)
    agrees(col("x") - length, rows, lambda v: v - length)
    epoch = dt.datetime(1970, 1, 1)
    agrees(sql("x - ?", epoch), rows, lambda v: v - epoch)
    agrees(sql("x - ? > ?", epoch, length), rows, lambda v: v - epoch > length)


@given(nullable(MOMENTS), st.sampled_from(["us", "ms", "s"]))
def test_parts_of_moments_agree_with_python(values: list[dt.datetime | None], unit: str) -> None:
    """Before 1970 too, and in coarser units."""
    keep = {"us": 1, "ms": 1000, "s": 1_000_000}[unit]
    cut = [v and v.replace(microsecond=v.microsecond // keep * keep) for v in values]
    rows = column(cut, pa.timestamp(unit))
    for part in ("year", "month", "day", "hour", "minute", "second"):
        agrees(f"extract({part} from x)", rows, lambda v, part=part: getattr(v, part))
    agrees("date_part('dow', x)", rows, lambda v: v.isoweekday() % 7)
    agrees("date_part('week', x)", rows, lambda v: v.isocalendar()[1])
    agrees("date_part('doy', x)", rows, lambda v: v.timetuple().tm_yday)
    agrees("date_part('microsecond', x)", rows, lambda v: v.second * 10**6 + v.microsecond)
    midnight = {"hour": 0, "minute": 0, "second": 0, "microsecond": 0}
    agrees("date_trunc('day', x)", rows, lambda v: v.replace(**midnight))
    agrees("date_trunc('year', x)", rows, lambda v: v.replace(month=1, day=1, **midnight))
    monday = "date_trunc('week', x)"
    agrees(monday, rows, lambda v: v.replace(**midnight) - dt.timedelta(v.weekday()))


def test_moments_with_a_zone_are_computed_in_utc() -> None:
    """A bound instant with another offset is the same instant; parts are those of UTC."""
    noon = dt.datetime(2024, 3, 31, 0, 30, tzinfo=dt.UTC)
    rows = column([noon, None], pa.timestamp("ms", "Europe/Berlin"))
    there = noon.astimezone(dt.timezone(dt.timedelta(hours=-8)))
    assert computed(sql("x = ?", there), rows) == [True, None]
    assert computed("extract(hour from x)", rows) == [0, None]
    assert computed("x + interval '1 day'", rows)[0] == dt.datetime(2024, 4, 1, 0, 30)
    assert computed("x", rows)[0] == noon
    assert computed("x < now() and x > current_date - interval '100 years'", rows) == [True, None]


LISTS = nullable(st.lists(st.none() | st.integers(-3, 3), max_size=4))


@given(LISTS, st.integers(-5, 5), st.integers(-3, 3), st.booleans())
def test_functions_of_lists_agree_with_python(
    values: list[list[int | None] | None], at: int, wanted: int, large: bool
) -> None:
    """Elements count from one, or from the end; beyond it there is none."""
    rows = column(values, (pa.large_list if large else pa.list_)(pa.int64()))

    def element(items: list[int | None]) -> int | None:
        place = at - 1 if at > 0 else len(items) + at
        return items[place] if at and 0 <= place < len(items) else None

    agrees(col("x")[at], rows, element)
    agrees(f"x[{at}]", rows, element)
    agrees("array_length(x)", rows, len)
    agrees(sql("array_has(x, ?)", wanted), rows, lambda v: wanted in v)
    agrees(sql("array_has(x, x[1])"), rows, lambda v: True if v and v[0] is not None else None)
    agrees(sql("array_has_any(x, ?)", [wanted, 9]), rows, lambda v: wanted in v)
    agrees(sql("array_has_all(x, ?)", [wanted, 1]), rows, lambda v: {wanted, 1} <= set(v))


@given(nullable(st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=2)))
def test_vectors_are_lists_too(values: list[list[float] | None]) -> None:
    """Lists of fixed length have elements, a length, and nulls."""
    rows = column(values, pa.list_(pa.float32(), 2))
    agrees("x[2]", rows, lambda v: v[1])
    agrees("array_length(x)", rows, len)


@given(nullable(st.integers(-4, 4)))
def test_case_takes_the_first_that_holds(values: list[int | None]) -> None:
    """Of both forms, and of what is made of it; a NULL condition does not hold."""
    rows = column(values, pa.int32())
    assert computed("CASE WHEN x > 0 THEN 'up' WHEN x < 0 THEN 'down' END", rows) == [
        None if not v else "up" if v > 0 else "down" for v in values
    ]
    assert computed("CASE x WHEN 1 THEN 10 ELSE x END", rows) == [
        10 if v == 1 else v for v in values
    ]
    assert computed("coalesce(x, 7)", rows) == [7 if v is None else v for v in values]
    assert computed("nullif(x, 2)", rows) == [None if v == 2 else v for v in values]
    assert computed("if(x > 0, 1.5, x)", rows) == [
        1.5 if v is not None and v > 0 else v for v in values
    ]


def test_what_a_case_does_not_take_is_not_computed() -> None:
    """A cast that would fail is guarded by the condition before it."""
    rows = column(["7", "seven", None], pa.string())
    guarded = "CASE WHEN regexp_match(x, '^[0-9]+$') THEN CAST(x AS int) ELSE 0 END"
    assert computed(guarded, rows) == [7, 0, 0]
    with pytest.raises(PredicateError, match="fails on a row"):
        computed("CAST(x AS int)", rows)


@given(
    st.one_of(
        st.tuples(st.just(pa.int64()), st.lists(WHOLE, min_size=1, max_size=3)),
        st.tuples(st.just(pa.float64()), st.lists(st.floats(), min_size=1, max_size=3)),
        st.tuples(st.just(pa.string()), st.lists(TEXT, min_size=1, max_size=3)),
        st.tuples(st.just(pa.binary()), st.lists(st.binary(), min_size=1, max_size=3)),
        st.tuples(st.just(pa.bool_()), st.lists(st.booleans(), min_size=1, max_size=3)),
        st.tuples(st.just(pa.date32()), st.lists(st.dates(), min_size=1, max_size=3)),
        st.tuples(st.just(pa.timestamp("us")), st.lists(MOMENTS, min_size=1, max_size=3)),
        st.tuples(st.just(pa.time64("us")), st.lists(st.times(), min_size=1, max_size=3)),
        st.tuples(
            st.just(pa.decimal128(30, 5)),
            st.lists(st.decimals(-(10**20), 10**20, places=5), min_size=1, max_size=3),
        ),
    )
)
def test_a_bound_value_is_that_value(example: tuple[pa.DataType, list[Any]]) -> None:
    """Whatever it holds, in each of the ways to bind it."""
    arrow_type, values = example
    rows, wanted = column([*values, None], arrow_type), values[0]
    expected = [v == wanted for v in values] + [None]
    ways = (sql("x = ?", wanted), sql("x = :it", it=wanted), col("x") == wanted)
    for way in (*ways, col("x").is_in([wanted]), sql("x IN (?)", [wanted])):
        assert computed(way, rows) == expected, way
    assert computed(sql("x IN (?)", []), rows) == [False] * len(expected)
    assert computed(sql("x IN :some", some=[None, wanted]), rows) == [
        found or None for found in expected
    ]


def test_a_bound_value_never_becomes_text() -> None:
    """Quotes, placeholders and comments in values are values; those in text are text."""
    nasty = "' OR 1=1 -- ? :x"
    rows = column([nasty, "a?b:c"], pa.string())
    assert computed(sql("x = ?", nasty), rows) == [True, False]
    assert computed(sql("x = 'a?b:c' /* ? */ OR x = :end -- ?", end="no"), rows) == [False, True]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (sql("x = ?"), r"1 placeholders '\?', and 0 values"),
        (sql("x = 1", 2), r"0 placeholders '\?', and 1 values"),
        (sql("x = :user", users=1), r"no value of that name is given. Did you mean 'users'"),
        (sql("x = 1", unused=1), r"no ':unused'"),
        (sql("x = ?", object()), r"type object cannot be bound"),
        (sql("x IN (?)", [1, "a"]), r"A list holds constants of one kind"),
        (sql("x = ?", "\ud800"), r"not valid Unicode"),
        (col("nope") == 1, r"column 'nope', which is not there"),
        (col("x") & True, r"AND needs true or false, not column 'x'"),
        (func("lowr", "a"), r"lowr, which is not supported. Did you mean 'lower'"),
        (func("sum", col("x")), r"sum\(\) is an aggregate"),
        (func("substr", "a", col("x")), r"substr\(\) needs a literal whole number"),
        (col("x")[1], r"needs a list or a struct, not column 'x'"),
        (col("x").cast("nope"), r"CAST to nope is not supported"),
        (sql("x + interval '1 day'"), r"'\+' cannot join"),
        (sql("interval '1 fortnight'"), r"Units: year"),
        (sql("interval '1 month'"), r"no value by itself"),
        (sql("date_trunc('mnth', now())"), r"Did you mean 'month'"),
        (sql("abs(x, x)"), r"abs\(\) takes 1 arguments, not 2"),
        (sql("array_has(x, 1)"), r"needs a list, not column 'x'"),
    ],
)
def test_an_expression_that_cannot_be_used_says_why(expression: Expr, message: str) -> None:
    """The message names the place, and what would do."""
    with pytest.raises(PredicateError, match=message):
        computed(expression, column([1], pa.int64()))


def test_an_expression_has_no_truth_in_python() -> None:
    """``and``, ``not`` and chained comparisons would leave out a part in silence."""
    with pytest.raises(TypeError, match="Join conditions with"):
        bool(col("x") == 1)
    with pytest.raises(TypeError, match="no elements"):
        list(col("x"))


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<>": lambda a, b: a != b,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "%": lambda a, b: a % b,
}


@given(nullable(st.integers(-9, 9)), st.sampled_from(sorted(OPERATORS)), st.integers(-9, 9))
def test_python_and_sql_say_the_same(values: list[int | None], name: str, other: int) -> None:
    """Each operator, with the column on either side, also negated and joined."""
    rows, make = column(values, pa.int64()), OPERATORS[name]
    assert computed(make(col("x"), other), rows) == computed(f"x {name} {other}", rows)
    assert computed(make(lit(other), col("x")), rows) == computed(f"{other} {name} x", rows)
    negated = ~(col("x") == other) | (col("x") > 2) & sql("x < ?", 5)
    assert computed(negated, rows) == computed(f"NOT x = {other} OR (x > 2 AND x < 5)", rows)
    assert computed(-col("x"), rows) == computed("-x", rows)


def test_thousands_of_joined_conditions_are_no_deep_ones() -> None:
    """A chain that a loop made is computed like a few."""
    chain = col("x") == 0
    for number in range(3000):
        chain |= col("x") == number
    assert computed(chain, column([2999, 3000], pa.int64())) == [True, False]


def test_fields_of_structs_and_their_lists() -> None:
    """With a dot or in brackets, through lists, and null where a part of the way is."""
    inner = {"g": 1, "l": [{"k": 5}, None]}
    values = [{"f": inner}, {"f": None}, None]
    rows = column(values, pa.array(values).type)
    for way in ("x.f.g", "x['f']['g']", "x['f'].g", col("x")["f"]["g"], col("x.f.g")):
        assert computed(way, rows) == [1, None, None], way
    assert computed("x.f.l[1].k", rows) == [5, None, None]
    with pytest.raises(PredicateError, match="no field 'q'"):
        computed(col("x")["q"], rows)


def test_no_rows_are_no_error() -> None:
    """Every function computes nothing of nothing, and says its type."""
    for text, arrow_type in {
        "x[1]": pa.int64(),
        "array_has(x, 1)": pa.bool_(),
        "CASE WHEN x[1] > 0 THEN now() END": pa.timestamp("us"),
        "coalesce(x[1], 1.5)": pa.float64(),
        "[1.0, 2.0]": pa.list_(pa.float64()),
    }.items():
        rows = column([], pa.list_(pa.int64()))
        assert evaluate_expression(text, rows.schema, rows).type == arrow_type


def test_a_number_beyond_all_decimals_still_compares() -> None:
    """With columns of decimals, written or bound."""
    rows = column([Decimal("1.50"), None], pa.decimal128(10, 2))
    assert computed("x < 1e300", rows) == [True, None]
    assert computed(col("x") >= Decimal("1e40"), rows) == [False, None]


@given(nullable(st.integers(-4, 4)), st.integers(-4, 4))
def test_the_greatest_and_the_least_leave_out_null(values: list[int | None], other: int) -> None:
    """As in other databases; a number beats no number, and all of one kind are taken."""
    rows = column(values, pa.int64())
    for name, model in (("greatest", max), ("least", min)):
        expected = [model(v for v in (value, other) if v is not None) for value in values]
        assert computed(func(name, col("x"), None, other), rows) == expected
        assert computed(f"{name}('a', 'b')", rows) == [model("a", "b")] * len(values)
        both = sql(f"{name}(x / 2.0, :none)", none=math.nan)
        assert computed(both, rows) == pytest.approx(
            [math.nan if v is None else v / 2 for v in values], nan_ok=True
        )
    with pytest.raises(PredicateError, match="cannot give column 'x'"):
        computed("greatest(x, 'a')", rows)


@given(nullable(st.integers(0, 3)), st.integers(0, 3))
def test_null_is_distinct_from_all_but_null(values: list[int | None], other: int) -> None:
    """As Python compares with None."""
    rows = column(values, pa.int64())
    held = rows.column("x").to_pylist()
    assert computed(f"x IS DISTINCT FROM {other}", rows) == [each != other for each in held]
    assert computed("x IS NOT DISTINCT FROM null", rows) == [each is None for each in held]
    assert computed("x IS DISTINCT FROM nullif(x, 1)", rows) == [each == 1 for each in held]


@given(nullable(st.sampled_from(["7", "-12", "x", "", "1.5", " 3", "99999999999999999999"])))
def test_a_cast_that_is_tried_is_null_where_it_fails(values: list[str | None]) -> None:
    """The other rows have what the cast gives them."""

    def model(text: str) -> int | None:
        try:
            return computed("CAST(x AS bigint)", column([text], pa.string()))[0]
        except PredicateError:
            return None

    agrees("TRY_CAST(x AS bigint)", column(values, pa.string()), model)


def test_a_constant_that_is_no_moment_is_null_where_it_is_tried() -> None:
    """What no row could be cast to is still refused."""
    rows = column([1, 2], pa.int64())
    assert computed("TRY_CAST('nonsense' AS date)", rows) == [None, None]
    with pytest.raises(PredicateError, match="CAST"):
        computed("TRY_CAST(x AS nonsense)", rows)


@pytest.mark.parametrize(
    ("spelled", "plain"),
    [
        ("TRIM(BOTH 'x' FROM x)", "trim(x, 'x')"),
        ("TRIM(LEADING FROM x)", "ltrim(x)"),
        ("TRIM(TRAILING 'x' FROM x)", "rtrim(x, 'x')"),
        ("SUBSTRING(x FROM 2 FOR 3)", "substr(x, 2, 3)"),
        ("SUBSTRING(x FROM 2)", "substr(x, 2)"),
        ("SUBSTRING(x FOR 2)", "substr(x, 1, 2)"),
        ("POSITION('l' IN x)", "strpos(x, 'l')"),
    ],
)
def test_what_the_standard_spells_in_words_is_a_function(spelled: str, plain: str) -> None:
    """Both give the same value."""
    rows = column(["xhellox", " x ", None, ""], pa.string())
    assert computed(spelled, rows) == computed(plain, rows)


LITERALS = [
    *("1", "-1", "0", "2.5", "1e300", "9223372036854775807", "null", "true"),
    *("'a'", "''", "'%'", "'day'", "'2020-01-01'", "x'00'", "[1,2]", "['a']", "[]"),
    *("date '2020-01-01'", "interval '1 day'", "interval '1 month 3 hours'", "now()"),
]
ATOMS = st.sampled_from([*BATCH.schema.names, *LITERALS])
SYMBOLS = st.sampled_from([*OPERATORS, "and", "or", "||", "like"])


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return texts of expressions made of others, whether they make sense or not."""
    calls = st.tuples(st.sampled_from(sorted(FUNCTIONS)), st.lists(inner, max_size=3))
    return st.one_of(
        st.tuples(inner, SYMBOLS, inner).map(lambda parts: f"({' '.join(parts)})"),
        calls.map(lambda call: f"{call[0]}({', '.join(call[1])})"),
        st.tuples(inner, inner, inner).map(
            lambda parts: f"CASE WHEN {parts[0]} THEN {parts[1]} ELSE {parts[2]} END"
        ),
        st.tuples(inner, st.sampled_from(["1", "-1", "'a'"])).map(lambda x: f"{x[0]}[{x[1]}]"),
        st.tuples(inner, st.sampled_from(["int", "text", "double", "date", "decimal(10, 2)"])).map(
            lambda x: f"TRY_CAST({x[0]} AS {x[1]})"
        ),
        st.tuples(inner, st.sampled_from(["IS DISTINCT FROM", "IS NOT DISTINCT FROM"]), inner).map(
            lambda parts: f"({' '.join(parts)})"
        ),
        st.tuples(inner, st.sampled_from(["int", "text", "double", "date", "decimal(10, 2)"])).map(
            lambda x: f"CAST({x[0]} AS {x[1]})"
        ),
        inner.map(lambda text: f"({text} IS NULL)"),
    )


@settings(max_examples=300)
@given(st.recursive(ATOMS, larger, max_leaves=4))
def test_any_expression_has_a_value_for_each_row_or_says_why_not(text: str) -> None:
    """No error of a library comes through, whatever meets whatever, and no warning."""
    for rows in (BATCH, BATCH.slice(1, 2), BATCH.slice(0, 0)):
        try:
            values = evaluate_expression(text, rows.schema, rows)
        except PredicateError:
            continue
        assert len(values) == rows.num_rows
