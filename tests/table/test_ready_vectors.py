"""Vectors that users bring, in every form of rows: all are judged alike and stored alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import embow
from embow.errors import BadVectorError, DataError

Vectors = list[list[Any] | None]


class Row(embow.Model):
    """A row of two columns."""

    id: int
    vector: embow.Vector(2) | None = None


def _dicts(vectors: list[Any]) -> list[dict[str, Any]]:
    return [{"id": at, "vector": each} for at, each in enumerate(vectors)]


def _arrays(vectors: Vectors) -> list[Any]:
    return [None if each is None else np.array(each) for each in vectors]


def _arrow(vectors: Vectors) -> pa.Table:
    ids = list(range(len(vectors)))
    return pa.table({"id": ids, "vector": pa.array(vectors, pa.list_(pa.float64()))})


FORMS: dict[str, Callable[[Vectors], Any]] = {
    "dicts of lists": _dicts,
    "dicts of tuples": lambda vs: _dicts([None if v is None else tuple(v) for v in vs]),
    "dicts of arrays": lambda vs: _dicts(_arrays(vs)),
    "dicts of both": lambda vs: _dicts([*vs[:1], *_arrays(vs[1:])]),
    "columns": lambda vs: {"id": list(range(len(vs))), "vector": vs},
    "pandas of lists": lambda vs: pd.DataFrame(_dicts(vs)),
    "pandas of arrays": lambda vs: pd.DataFrame(_dicts(_arrays(vs))),
    "polars": lambda vs: pl.DataFrame(_dicts(vs), schema_overrides={"vector": pl.List(pl.Float64)}),
    "arrow": _arrow,
    "arrow, chunked": lambda vs: pa.concat_tables([_arrow(vs)[:1], _arrow(vs)[1:]]),
}

form = pytest.mark.parametrize("form", FORMS)


@pytest.fixture
def table(db: embow.Database) -> embow.Table:
    """A table of ids and vectors of two numbers."""
    return db.create_table("ready", schema=Row)


def _stored(table: embow.Table) -> Any:
    return table.to_arrow().column("vector").to_pylist()


@form
def test_vectors_are_stored_as_given(table: embow.Table, form: str) -> None:
    """Numbers, whole ones and missing vectors come back, whatever the form."""
    given: Vectors = [[0.5, 2.0], None, [0.0, 1.0], [-3.0, 1e30]]
    table.add(FORMS[form](given))
    assert _stored(table) == [None if v is None else np.float32(v).tolist() for v in given]


@form
@pytest.mark.parametrize("bad", [[1.0], [1.0, 2.0, 3.0], [1.0, float("nan")]])
def test_a_bad_vector_is_found_in_every_form(
    table: embow.Table, form: str, bad: list[float]
) -> None:
    """A wrong length and NaN are refused, or left out if asked."""
    data = FORMS[form]([[1.0, 2.0], bad, None])
    with pytest.raises(DataError, match="Row 1, column 'vector'"):
        table.add(data)
    table.add(data, on_bad_vectors="drop")
    assert _stored(table) == [[1.0, 2.0], None]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param([True, False], id="truth values"),
        pytest.param(["1", "2"], id="text"),
        pytest.param([1.0, "2"], id="a number and text"),
        pytest.param([1.0, None], id="a number and nothing"),
        pytest.param([1.0, 10**400], id="an integer beyond all floats"),
        pytest.param([[1.0, 2.0]], id="a list of lists"),
    ],
)
def test_what_is_no_number_is_in_no_vector(table: embow.Table, bad: list[Any]) -> None:
    """Python values are not turned into numbers that they are not; the row is named."""
    with pytest.raises(DataError, match="Row 1, column 'vector'"):
        table.add(_dicts([[1.0, 2.0], bad]))
    assert table.count_rows() == 0


def test_what_pandas_takes_for_missing_is_missing(table: embow.Table) -> None:
    """NaN and NA in the place of a vector are no vector."""
    frame = pd.DataFrame({"id": [1, 2, 3, 4]})
    frame["vector"] = pd.Series([[1.0, 2.0], float("nan"), None, pd.NA], dtype=object)
    table.add(frame)
    assert _stored(table) == [[1.0, 2.0], None, None, None]


def test_a_frame_of_vectors_alone_is_read(db: embow.Database) -> None:
    """A table may consist of one vector column, and its rows come from a frame of one."""
    table = db.create_table("bare", schema=pa.schema([("vector", pa.list_(pa.float32(), 2))]))
    table.add(pd.DataFrame({"vector": [[1.0, 2.0], [3.0, 4.0]]}))
    assert _stored(table) == [[1.0, 2.0], [3.0, 4.0]]


def test_frames_longer_than_a_batch_keep_vectors_beside_their_rows(table: embow.Table) -> None:
    """Vectors of a long frame with an index of its own stand where they stood."""
    count = 20_000
    vectors = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    frame = pd.DataFrame({"id": range(count), "vector": list(vectors)})
    table.add(frame.sample(frac=1, random_state=0))
    found = table.to_arrow()
    ids = found.column("id").to_numpy()
    stored = np.array(found.column("vector").to_pylist(), np.float32)
    assert np.array_equal(stored, vectors[ids])


def test_a_number_too_large_for_the_column_is_no_infinity(table: embow.Table) -> None:
    """Arrow's wide floats are not cut to infinity; a policy treats them as such."""
    wide = pa.table({"id": [1], "vector": pa.array([[1e300, 1.0]], pa.list_(pa.float64(), 2))})
    with pytest.raises(BadVectorError, match="1e\\+300, which does not fit float32"):
        table.add(wide)
    table.add(wide, on_bad_vectors="fill", fill_value=7.0)
    assert _stored(table) == [[7.0, 1.0]]
