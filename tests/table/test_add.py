"""Adding rows in every form they may come in, and what is refused."""

from __future__ import annotations

import asyncio
import datetime as dt
import enum
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pydantic import Field

import embow
from embow.errors import (
    BadVectorError,
    ConfigurationError,
    DataError,
    MissingColumnError,
    SchemaError,
    UnknownColumnError,
)

ROWS = [{"text": "apple"}, {"text": "pear"}]
VECTOR = [1.0] * 26


def _generator() -> Any:
    yield from ROWS


FORMS: dict[str, Callable[[], Any]] = {
    "dicts": lambda: ROWS,
    "columns": lambda: {"text": ["apple", "pear"]},
    "one dict of lists": lambda: [{"text": ["apple", "pear"]}],
    "pandas": lambda: pd.DataFrame(ROWS),
    "polars": lambda: pl.DataFrame(ROWS),
    "polars lazy": lambda: pl.LazyFrame(ROWS),
    "arrow table": lambda: pa.table({"text": ["apple", "pear"]}),
    "arrow batch": lambda: pa.record_batch({"text": ["apple", "pear"]}),
    "arrow reader": lambda: pa.table({"text": ["apple", "pear"]}).to_reader(),
    "batches": lambda: pa.table({"text": ["apple", "pear"]}).to_batches(max_chunksize=1),
    "generator": _generator,
    "generator of frames": lambda: (pd.DataFrame([row]) for row in ROWS),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_rows_is_stored_and_embedded(words: embow.Table, form: str) -> None:
    """Each accepted form gives the same rows, with vectors."""
    report = words.add(FORMS[form]())
    assert report.rows == 2
    stored = words.to_arrow().to_pylist()
    assert [row["text"] for row in stored] == ["apple", "pear"]
    assert all(len(row["vector"]) == 26 for row in stored)


def test_model_objects_are_stored(db: embow.Database) -> None:
    """Objects of the schema's class go in and come out."""

    class Fruit(embow.Model):
        name: str
        weight: float

    table = db.create_table("fruit", schema=Fruit)
    table.add([Fruit(name="apple", weight=0.2)])
    assert table.search().to_pydantic(Fruit) == [Fruit(name="apple", weight=0.2)]


@pytest.mark.parametrize("data", [[], (), iter(()), pa.table({"text": pa.array([], pa.string())})])
def test_no_rows_are_no_error_and_no_call(words: embow.Table, data: Any, rows_sent: Any) -> None:
    """Adding nothing stores nothing and embeds nothing."""
    assert words.add(data).rows == 0
    assert words.count_rows() == 0
    assert rows_sent() == []


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        ({"text": "apple"}, DataError, "For one row pass a list"),
        ("apple", DataError, "cannot be added"),
        (5, DataError, "cannot be added"),
        (["apple"], DataError, "cannot be added"),
        ([None], DataError, "cannot be added"),
        (pd.Series(["apple"]), DataError, "DataFrame"),
        ([{"tag": "x"}], MissingColumnError, "'text' is missing"),
        ([{"txt": "apple"}], UnknownColumnError, "Did you mean 'text'"),
        ([{"text": b"x"}], DataError, "Row 0, column 'text'"),
        ([{"text": "a"}, {"text": None}], DataError, "Row 1"),
        ([{"text": "a"}, 5], DataError, "Row 1 is int"),
        ({"text": ["a"], "tag": ["b", "c"]}, DataError, "different lengths"),
    ],
)
def test_bad_rows_are_refused_and_nothing_is_stored(
    words: embow.Table, data: Any, error: type[Exception], says: str, rows_sent: Any
) -> None:
    """Each kind of bad input gives its error, and the table is as before."""
    words.add(ROWS)
    before = words.version
    with pytest.raises(error, match=says):
        words.add(data)
    assert (words.version, words.count_rows()) == (before, 2)
    assert len(rows_sent()) == 2


@pytest.mark.parametrize(
    ("vector", "says"),
    [
        ([1.0] * 25, "25"),
        ([float("nan")] + [1.0] * 25, "NaN"),
        ([float("inf")] + [1.0] * 25, "NaN or infinity"),
    ],
)
def test_a_bad_vector_is_refused_by_row_and_column(
    words: embow.Table, vector: list[float], says: str
) -> None:
    """Wrong length and unusable numbers are found before anything is stored."""
    with pytest.raises(BadVectorError, match=rf"Row 1, column 'vector'.*{says}"):
        words.add([{"text": "a", "vector": VECTOR}, {"text": "b", "vector": vector}])
    assert words.count_rows() == 0


def test_bad_vectors_can_be_dropped_filled_or_nulled(db: embow.Database) -> None:
    """Each policy does to the bad row what it says, and leaves the good one alone."""
    schema = pa.schema([("id", pa.int64()), ("vector", pa.list_(pa.float32(), 2))])
    data = [{"id": 0, "vector": [1, 2]}, {"id": 1, "vector": [3]}, {"id": 2, "vector": [4, np.nan]}]
    expected = {
        "drop": [[1, 2]],
        "fill": [[1, 2], [3, 9], [4, 9]],
        "null": [[1, 2], None, None],
    }
    for policy, vectors in expected.items():
        table = db.create_table(policy, schema=schema)
        table.add(data, on_bad_vectors=policy, fill_value=9.0)  # type: ignore[arg-type]
        assert table.to_arrow()["vector"].to_pylist() == vectors


def test_an_unknown_policy_is_refused_before_any_row_is_read(words: embow.Table) -> None:
    """A misspelt policy is an error even where no vector is bad."""
    with pytest.raises(ConfigurationError, match="on_bad_vectors"):
        words.add(ROWS, on_bad_vectors="ignore")  # type: ignore[arg-type]


def test_a_vector_the_user_brings_is_kept_and_not_paid_for(
    words: embow.Table, rows_sent: Any
) -> None:
    """Only rows without a vector are embedded."""
    words.add([{"text": "apple", "vector": VECTOR}, {"text": "pear"}])
    assert rows_sent() == ["pear"]
    assert words.to_arrow()["vector"].to_pylist()[0] == VECTOR


@pytest.mark.parametrize("empty", ["", "  \n", None])
def test_nothing_to_embed_gives_no_vector_and_no_call(
    db: embow.Database, letters: Any, empty: str | None
) -> None:
    """Null and empty text store the row with a null vector."""
    function = letters.create()

    class Note(embow.Model):
        text: str | None = function.SourceField()
        vector: embow.Vector = function.VectorField()

    table = db.create_table("notes", schema=Note)
    report = table.add([{"text": empty}])
    assert (report.rows, report.requests, letters.sent) == (1, 0, [])
    assert table.to_arrow()["vector"].to_pylist() == [None]


def test_overwrite_keeps_columns_and_functions(words: embow.Table, rows_sent: Any) -> None:
    """Rows are replaced; the table still embeds."""
    words.add(ROWS)
    words.add([{"text": "plum"}], mode="overwrite")
    assert [row["text"] for row in words.search("plum").to_list()] == ["plum"]
    assert rows_sent() == ["apple", "pear", "plum", "plum"]


def test_a_generator_that_fails_stores_nothing(words: embow.Table) -> None:
    """The user's own exception comes through, and no row is kept."""

    def rows() -> Any:
        yield {"text": "apple"}
        raise RuntimeError("source went away")

    with pytest.raises(RuntimeError, match="source went away"):
        words.add(rows())
    assert words.count_rows() == 0


def test_equal_texts_of_one_call_are_sent_once(words: embow.Table, rows_sent: Any) -> None:
    """Deduplication shows in the report and in what is sent."""
    report = words.add([{"text": "apple"}] * 3 + [{"text": "pear"}])
    assert rows_sent() == ["apple", "pear"]
    assert (report.rows, report.embedded, report.deduplicated) == (4, 2, 2)


def test_real_rows_with_lists_are_not_taken_apart(db: embow.Database) -> None:
    """One dict whose columns are list columns is one row."""
    schema = pa.schema([("tags", pa.list_(pa.string()))])
    table = db.create_table("t", schema=schema)
    table.add([{"tags": ["a", "b"]}])
    assert table.to_arrow().to_pylist() == [{"tags": ["a", "b"]}]


def test_observers_see_each_request(tmp_path: Any, letters: Any) -> None:
    """An observer given to connect gets one event a provider request."""
    events: list[Any] = []
    function = letters.create()

    class Words(embow.Model):
        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()

    with embow.connect(tmp_path, observers=[events.append]) as db:
        table = db.create_table("words", schema=Words)
        table.add([{"text": "apple"}])
        table.search("pear").to_list()
    assert [(e.provider, e.role, e.outcome) for e in events] == [
        ("letters", "document", "ok"),
        ("letters", "query", "ok"),
    ]


FRESH = """
import sys, numpy as np, embow

@embow.register("lengths-of-texts")
class Lengths(embow.TextEmbeddingFunction):
    def ndims(self):
        return 2
    def generate_embeddings(self, texts):
        return np.array([[len(text), 1] for text in texts], np.float32)

function = Lengths.create()

class Words(embow.Model):
    text: str | None = function.SourceField()
    vector: embow.Vector = function.VectorField()
    n: int | None = None

rows = [{"text": "a", "n": 1}, {"text": None, "n": None}]
table = embow.connect(sys.argv[1]).create_table("t", schema=Words)
table.add([{"text": "b", "n": 2, "vector": [1.0, 2.0]}, {"text": "c"}, *rows])
table.update("n = 1", {"text": "d"})
table.merge_insert("n").when_matched_update_all().when_not_matched_insert_all().execute(rows)
table.add([{"text": 1, "n": 3}, {"text": 2.5, "n": 4}, {"text": True, "n": 5}])
table.search("a").limit(1).to_list()

class Page(embow.Model):
    name: str
    part: int

pages = embow.connect(sys.argv[1]).create_table("pages", schema=Page, primary_key=["name", "part"])
pages.add([{"name": "a", "part": 1}, {"name": "a", "part": 2}, {"name": "b", "part": 1}])
pages.get([{"name": "b", "part": 1}, {"name": "a", "part": 2}])
pages.upsert([{"name": "a", "part": 1}, {"name": "c", "part": 1}])
print([name for name in sys.modules if name.split(".")[0] == "pandas"][:1])
"""


def test_no_call_imports_pandas(tmp_path: Path) -> None:
    """A first add, update, merge and search do without it, nulls, casts and keys included."""
    run = subprocess.run(
        [sys.executable, "-c", FRESH, str(tmp_path / "db")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stdout, run.stderr) == ("[]\n", "")


class Grade(enum.Enum):
    """What a default may be."""

    GOOD = "good"


class Nested(embow.Model):
    """What a default may hold."""

    x: int = 1


class Defaults(embow.Model):
    """Fields with constant defaults, and one whose default is none."""

    text: str
    n: int = 3
    maybe: int | None = 4
    tags: list[str] = []  # noqa: RUF012
    grade: Grade = Grade.GOOD
    day: dt.date = dt.date(2024, 2, 29)
    nested: Nested = Nested()
    words: dict[str, int] = Field(default_factory=dict)
    empty: str | None = None
    vector: embow.Vector(2) = [0.0, 1.0]  # type: ignore[valid-type]  # noqa: RUF012


@pytest.mark.parametrize("opened", ["made", "with its class", "by its name"])
@pytest.mark.parametrize(
    "given",
    [
        [{"text": "a"}],
        [{"text": "b", "n": 5, "maybe": None, "tags": ["x"]}, {"text": "a"}],
        pa.table({"text": ["a"]}),
        pd.DataFrame({"text": ["a"]}),
    ],
    ids=["dict", "dicts", "arrow", "pandas"],
)
def test_what_a_row_leaves_out_is_the_default_of_its_field(
    db: embow.Database, given: Any, opened: str
) -> None:
    """In every form, by everyone who opens the table; an explicit null stays one."""
    table = db.create_table("t", schema=Defaults)
    if opened != "made":
        table = db.open_table("t", schema=Defaults if opened == "with its class" else None)
    table.add(given)
    *rest, last = table.search().to_pydantic(Defaults)
    assert last == Defaults(text="a")
    assert [(row.n, row.maybe, row.tags) for row in rest] in ([], [(5, None, ["x"])])
    table.update("n = 3", {"text": "c"})
    merge = table.merge_insert("text").when_matched_update_all().when_not_matched_insert_all()
    merge.execute([{"text": "new"}])
    assert table.search().where("text = 'new'").to_pydantic(Defaults) == [Defaults(text="new")]
    assert table.schema.metadata is None


def test_a_default_that_does_not_fit_is_found_when_the_table_is_made(db: embow.Database) -> None:
    """pydantic does not look at defaults."""

    class Wrong(embow.Model):
        n: int = "three"  # type: ignore[assignment]

    with pytest.raises(SchemaError, match=r"Wrong: a default does not fit its field: .*'n'"):
        db.create_table("t", schema=Wrong)


LONE = "a\ud83d"


@pytest.mark.parametrize(
    ("on_error", "stored"),
    [
        ("skip", [("good", True)]),
        ("null", [("good", True), ("a\ufffd", False)]),
        ("quarantine", [("good", True)]),
    ],
)
@pytest.mark.parametrize("form", ["dicts", "objects", "columns"])
def test_a_half_surrogate_pair_fails_its_row_alone(
    words: embow.Table, on_error: Any, stored: list[tuple[str, bool]], form: str
) -> None:
    """What is no text follows ``on_error``, and the other rows are stored."""

    class Words(embow.Model):
        text: str
        tag: str | None = None

    rows: Any = [{"text": LONE, "tag": None}, {"text": "good", "tag": "x"}]
    if form == "objects":
        rows = [Words.model_construct(**row) for row in rows]
    if form == "columns":
        rows = {name: [row[name] for row in rows] for name in ("text", "tag")}
    report = words.add(rows, on_error=on_error)
    assert [(f.row, f.column, f.kind) for f in report.failed] == [(0, "text", "bad_input")]
    found = [(row["text"], row["vector"] is not None) for row in words.to_arrow().to_pylist()]
    assert found == stored
    if on_error == "quarantine":
        (kept,) = words.failed_rows().to_pylist()
        assert (kept["text"], kept["error_kind"]) == ("a\ufffd", "bad_input")


@pytest.mark.parametrize(
    "row", [{"text": LONE}, {"text": "a", "tag": LONE}, {"text": "a", "more": {"deep": [LONE]}}]
)
def test_a_half_surrogate_pair_is_named(db: embow.Database, row: dict[str, Any]) -> None:
    """By row and column where errors are raised; nested text is mended like the rest."""
    more = pa.field("more", pa.struct([("deep", pa.list_(pa.string()))]))
    table = db.create_table(
        "t", schema=pa.schema([("text", pa.string()), ("tag", pa.string()), more])
    )
    with pytest.raises(DataError, match=rf"Row 1, column '{list(row)[-1]}.*not valid Unicode"):
        table.add([{"text": "good"}, row])
    assert len(table) == 0
    table.add([{"text": "good"}, row], on_error="null")
    assert "\ufffd" in str(table.to_arrow().to_pylist()[1])


@pytest.mark.parametrize("form", FORMS)
def test_progress_counts_the_rows_that_were_given(words: embow.Table, form: str) -> None:
    """The last update has every row once, and the total where the data says how many there are."""
    updates: list[Any] = []
    words.add(FORMS[form](), progress=updates.append)
    last = updates[-1]
    known = form in ("dicts", "pandas", "polars", "arrow table", "arrow batch")
    assert (last.rows, last.total, last.done) == (2, 2 if known else None, True)


def test_progress_is_told_of_rows_that_embed_nothing(db: embow.Database) -> None:
    """A table without functions says when it is done, as any other."""
    updates: list[Any] = []
    table = db.create_table("plain", [{"id": 1}])
    table.add([{"id": 2}, {"id": 3}], progress=updates.append)
    assert (updates[-1].rows, updates[-1].total, updates[-1].done) == (2, 2, True)


def test_what_providers_asked_for_can_be_forgotten(db: embow.Database) -> None:
    """A database has the way out of a pause that a server asked for."""
    db.reset_limits()


def test_a_warning_of_cut_texts_points_to_the_users_line(db: embow.Database) -> None:
    """Whoever reads it finds the call that embeds, not a line of embow's."""

    @embow.embeddings.register("short-texts")
    class Short(embow.embeddings.TextEmbeddingFunction):
        def ndims(self) -> int:
            return 2

        def limits(self) -> embow.embeddings.Limits:
            return embow.embeddings.Limits(max_tokens_per_item=2)

        def generate_embeddings(self, texts: list[str]) -> Any:
            return np.ones((len(texts), 2))

    function = Short()
    config = embow.embeddings.EmbeddingFunctionConfig(
        vector_column="vector", source_column="text", function=function
    )
    table = db.create_table(
        "short", schema=pa.schema([("text", pa.string())]), embedding_functions=[config]
    )
    with pytest.warns(embow.pipeline.InputTruncatedWarning) as caught:
        table.add([{"text": "much longer than that"}])
    assert caught[0].filename == __file__

    async def add() -> None:
        database = await embow.connect_async("memory://")
        awaited = await database.create_table(
            "short", schema=pa.schema([("text", pa.string())]), embedding_functions=[config]
        )
        await awaited.add([{"text": "much longer than that, too"}])
        await (await awaited.search("a query that is longer")).to_list()

    with pytest.warns(embow.pipeline.InputTruncatedWarning) as caught:
        asyncio.run(add())
    assert [warning.filename for warning in caught] == [__file__] * 2
