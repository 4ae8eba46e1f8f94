"""Vectors of every kind through a table: narrow, packed bits, several a row, within structs."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import embow
from embow.errors import BadVectorError, ConfigurationError, DataError, UnknownColumnError
from embow.pydantic import Vector

Rows = list[dict[str, Any]]
METRICS = ("l2", "cosine", "dot")


class Several(embow.Model):
    """A row of several vectors."""

    id: int
    vectors: list[Vector(2)] | None = None


def distances(query: Any, row: Any, metric: str) -> float:
    """Return the distance of a list of vectors to another by its definition."""
    wide, held = np.asarray(query, np.float64), np.asarray(row, np.float64)
    if metric == "hamming":
        bits = np.unpackbits(wide.astype(np.uint8)[:, None] ^ held.astype(np.uint8), axis=2)
        return float(bits.sum(axis=2).min(axis=1).sum())
    products = wide @ held.T
    if metric == "dot":
        return float((1 - products).min(axis=1).sum())
    if metric == "l2":
        return float(((wide[:, None] - held) ** 2).sum(axis=2).min(axis=1).sum())
    norms = np.linalg.norm(wide, axis=1)[:, None] * np.linalg.norm(held, axis=1)
    cosines = np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)
    return float((1 - cosines).min(axis=1).sum())


def expected(rows: Rows, query: Any, metric: str) -> list[tuple[int, float]]:
    """Return ids and distances of rows that have a vector, nearest first, ties in row order."""
    found = [
        (float(np.float32(distances(query, row["vectors"], metric))), at)
        for at, row in enumerate(rows)
        if row["vectors"]
    ]
    return [(rows[at]["id"], distance) for distance, at in sorted(found)]


def shown(result: Rows) -> list[tuple[int, Any]]:
    """Return ids and distances of a result, to be compared with what is expected."""
    return [(row["id"], pytest.approx(row["_distance"], abs=1e-5, rel=1e-5)) for row in result]


ROWS: Rows = [
    {"id": 0, "vectors": [[1.0, 0.0], [0.0, 1.0]]},
    {"id": 1, "vectors": []},
    {"id": 2, "vectors": None},
    {"id": 3, "vectors": [[3.0, 4.0]]},
    {"id": 4, "vectors": [[-1.0, 0.5], [2.0, 2.0], [0.0, 0.0]]},
]


def _arrow(rows: Rows) -> pa.Table:
    wide = pa.list_(pa.list_(pa.float64()))
    return pa.table(
        {"id": [r["id"] for r in rows], "vectors": pa.array([r["vectors"] for r in rows], wide)}
    )


FORMS = {
    "dicts": lambda rows: rows,
    "matrices": lambda rows: [
        {**r, "vectors": None if r["vectors"] is None else np.array(r["vectors"]).reshape(-1, 2)}
        for r in rows
    ],
    "objects": lambda rows: [Several(**row) for row in rows],
    "columns": lambda rows: {name: [row[name] for row in rows] for name in ("id", "vectors")},
    "arrow": _arrow,
    "arrow in pieces": lambda rows: pa.concat_tables([_arrow(rows)[:2], _arrow(rows)[2:]]),
    "pandas": lambda rows: pd.DataFrame(rows),
    "pandas of matrices": lambda rows: pd.DataFrame(FORMS["matrices"](rows)),
    "polars": lambda rows: pl.DataFrame(rows),
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_several_vectors_come_in_every_form(db: embow.Database, form: str) -> None:
    """Stored alike, empty lists and nulls included, and read back as objects."""
    table = db.create_table("t", schema=Several)
    table.add(FORMS[form](ROWS))
    assert table.schema.field("vectors").type == pa.list_(pa.list_(pa.float32(), 2))
    assert table.search().to_list() == ROWS
    assert table.search().to_pydantic(Several)[4].vectors == ROWS[4]["vectors"]


@pytest.mark.parametrize("metric", METRICS)
def test_a_matrix_is_one_query_where_rows_have_several_vectors(
    db: embow.Database, metric: str
) -> None:
    """One vector is one of one, a list of matrices several; what has no vector is not found."""
    table = db.create_table("t", schema=Several)
    table.add(ROWS)
    query = [[1.0, 2.0], [0.0, -1.0]]
    wanted = expected(ROWS, query, metric)
    assert shown(table.search(np.array(query)).metric(metric).to_list()) == wanted
    assert shown(table.search(query).metric(metric).limit(2).to_list()) == wanted[:2]
    one = table.search([1.0, 2.0]).metric(metric).to_list()
    assert shown(one) == expected(ROWS, query[:1], metric)
    both = table.search([query, query[:1]]).metric(metric).to_pandas()
    assert both["query_index"].tolist() == [0] * 3 + [1] * 3
    assert both["id"].tolist() == [row for row, _ in wanted + expected(ROWS, query[:1], metric)]
    some = table.search(query).metric(metric).where("id <> 0")
    assert [row["id"] for row in some.to_list()] == [row for row, _ in wanted if row != 0]
    low = wanted[1][1]
    near = table.search(query).metric(metric).distance_range(upper_bound=low - 1e-4).to_list()
    assert [row["id"] for row in near] == [wanted[0][0]]


def test_a_matrix_is_several_queries_where_rows_have_one_vector(db: embow.Database) -> None:
    """As with a list of vectors."""
    table = db.create_table("t", [{"id": 1, "vector": [1.0, 2.0]}])
    assert table.search(np.ones((2, 2))).to_pandas()["query_index"].tolist() == [0, 1]
    with pytest.raises(BadVectorError, match="several vectors each"):
        table.search(np.ones((2, 1, 2))).to_list()


numbers = st.integers(-8, 8).map(float)
lists = st.lists(st.lists(numbers, min_size=3, max_size=3), max_size=4)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.none() | lists, min_size=1, max_size=12),
    query=lists.filter(bool),
    metric=st.sampled_from(METRICS),
    pieces=st.integers(1, 3),
)
def test_several_vectors_are_found_as_the_plain_model_finds_them(
    db: embow.Database, rows: list[Any], query: Any, metric: str, pieces: int
) -> None:
    """Whatever the rows and however many commits they came in."""
    every = [{"id": at, "vectors": row} for at, row in enumerate(rows)]
    schema = pa.schema([("id", pa.int64()), ("vectors", pa.list_(pa.list_(pa.float32(), 3)))])
    table = db.create_table("t", schema=schema, mode="overwrite")
    for start in range(pieces):
        table.add(every[start::pieces])
    stored = table.search().to_list()
    found = table.search(query).metric(metric).limit(100).to_list()
    wanted = expected(stored, query, metric)
    assert [row["_distance"] for row in found] == pytest.approx([d for _, d in wanted], abs=1e-5)
    assert {row["id"] for row in found} == {row for row, _ in wanted}


@pytest.mark.parametrize(
    ("value", "bad", "why"),
    [
        (pa.float16(), 70000.0, "70000.0, which does not fit float16"),
        (pa.int8(), 200, "200.0, which does not fit int8, and the column holds whole numbers"),
        (pa.int8(), 0.5, "0.5, which does not fit int8"),
        (pa.uint8(), -1, "-1.0, which does not fit uint8"),
        (pa.float32(), 1e39, "1e\\+39"),
        (pa.int8(), float("nan"), "NaN"),
    ],
)
def test_what_a_narrow_type_cannot_hold_is_named(
    db: embow.Database, value: pa.DataType, bad: float, why: str
) -> None:
    """Nothing is wrapped round, cut or rounded to a whole number, in dicts, Arrow and lists."""
    schema = pa.schema([("id", pa.int64()), ("vector", pa.list_(value, 2))])
    several = pa.schema([("id", pa.int64()), ("vector", pa.list_(pa.list_(value, 2)))])
    table = db.create_table("one", schema=schema)
    lists = db.create_table("several", schema=several)
    wide = pa.array([[1.0, 2.0], [1.0, bad]], pa.list_(pa.float64()))
    for data in ([{"vector": [1, 2]}, {"vector": [1, bad]}], pa.table({"vector": wide})):
        with pytest.raises(DataError, match=f"Row 1.*{why if value != pa.float32() else ''}"):
            table.add(data)
    with pytest.raises(BadVectorError, match=f"Row 1.*{why}"):
        table.add(pa.table({"vector": wide}))
    with pytest.raises(DataError, match="Row 0"):
        lists.add([{"vector": [[1, 2], [1, bad]]}])
    assert (table.count_rows(), lists.count_rows()) == (0, 0)
    table.add(pa.table({"vector": wide}), on_bad_vectors="drop")
    table.add(pa.table({"vector": wide}), on_bad_vectors="null")
    table.add(pa.table({"vector": wide}), on_bad_vectors="fill", fill_value=7)
    assert [row["vector"] for row in table.search().to_list()] == [
        *([1, 2], [1, 2], None),
        *([1, 2], [1, 7]),
    ]


def test_policies_are_applied_to_lists_of_vectors(db: embow.Database) -> None:
    """One bad vector makes the row bad; filling mends each."""
    schema = pa.schema([("vector", pa.list_(pa.list_(pa.float32(), 2)))])
    bad = [[1.0, 2.0], [3.0], None, [float("nan"), 4.0]]
    rows = [{"vector": [[1.0, 2.0]]}, {"vector": bad}, {"vector": []}]
    kept = {
        "drop": [[[1.0, 2.0]], []],
        "null": [[[1.0, 2.0]], None, []],
        "fill": [[[1.0, 2.0]], [[1.0, 2.0], [3.0, 0.0], [0.0, 0.0], [0.0, 4.0]], []],
    }
    with pytest.raises(BadVectorError, match=r"Row 1.*1 has 1 dimensions"):
        db.create_table("t", rows, schema=schema)
    for policy, stored in kept.items():
        table = db.create_table("t", rows, schema=schema, mode="overwrite", on_bad_vectors=policy)
        assert [row["vector"] for row in table.search().to_list()] == stored


def test_a_fill_value_must_fit_the_column(db: embow.Database) -> None:
    """Half of one is no whole number."""
    table = db.create_table("t", schema=pa.schema([("vector", pa.list_(pa.int8(), 2))]))
    with pytest.raises(ConfigurationError, match=r"0\.5 does not fit int8"):
        table.add([{"vector": [1, 1000]}], on_bad_vectors="fill", fill_value=0.5)


def test_packed_bits_are_compared_by_the_bits_that_differ(db: embow.Database) -> None:
    """Where nothing is said; other metrics take them as numbers."""

    class Bits(embow.Model):
        id: int
        code: Vector(3, value_type="uint8")

    codes = np.random.default_rng(0).integers(0, 256, (50, 3)).tolist()
    table = db.create_table("t", schema=Bits)
    table.add([{"id": at, "code": code} for at, code in enumerate(codes)])
    query = [3, 200, 77]
    for metric in ("hamming", *METRICS):
        search = table.search(query).limit(50)
        found = (search if metric == "hamming" else search.metric(metric)).to_list()
        rows = [{"id": at, "vectors": [code]} for at, code in enumerate(codes)]
        assert shown(found) == expected(rows, [query], metric)
    assert "hamming, 3 x uint8" in table.search(query).explain_plan()
    with pytest.raises(BadVectorError, match="0 to 255"):
        table.search([0.5, 1, 2]).to_list()


def test_numbers_have_no_bits_to_compare(db: embow.Database) -> None:
    """The sentence names what can be asked."""
    table = db.create_table("t", [{"vector": [1.0, 2.0]}])
    with pytest.raises(DataError, match="l2, cosine, dot"):
        table.search([1, 2]).metric("hamming").to_list()


def test_wide_numbers_are_searched_with_all_their_digits(db: embow.Database) -> None:
    """A query is not rounded to float32 where the column is not."""
    near, far = 1 + 2**-40, 1 + 2**-30
    schema = pa.schema([("id", pa.int64()), ("vector", pa.list_(pa.float64(), 1))])
    table = db.create_table("t", [{"id": 1, "vector": [far]}, {"id": 2, "vector": [near]}], schema)
    assert [row["id"] for row in table.search([near]).to_list()] == [2, 1]
    assert table.search([far]).to_list()[0]["_distance"] == 0


def test_what_rows_hold_decides_the_kind(db: embow.Database) -> None:
    """Lists of lists become several vectors, narrow numbers stay narrow, ragged lists lists."""
    half, bytes_ = pa.list_(pa.float16()), pa.list_(pa.uint8())
    cases: list[tuple[Any, pa.DataType]] = [
        ([{"vector": [[1.0, 2.0], [3.0, 4.0]]}, {"vector": []}], pa.list_(_one(pa.float32()))),
        ([{"embeddings": np.ones((3, 2))}], pa.list_(_one(pa.float32()))),
        (pa.table({"vector": pa.array([[1, 2]], half)}), _one(pa.float16())),
        (pa.table({"vector": pa.array([[1, 2]], bytes_)}), _one(pa.uint8())),
        ([{"vector": [1, 2]}], _one(pa.float32())),
        ([{"vector": [[1.0], [3.0, 4.0]]}], pa.list_(pa.list_(pa.float64()))),
        ([{"points": [[1.0, 2.0]]}], pa.list_(pa.list_(pa.float64()))),
    ]
    for data, data_type in cases:
        table = db.create_table("t", data, mode="overwrite")
        assert table.schema.field(0).type == data_type


def _one(value: pa.DataType) -> pa.DataType:
    return pa.list_(value, 2)


class Picture(embow.Model):
    """What is nested."""

    url: str
    embedding: Annotated[list[float], Vector(2)] | None = None


class Page(embow.Model):
    """A row with a vector inside."""

    id: int
    image: Picture | None = None


def test_vectors_within_structs_are_searched_by_their_path(db: embow.Database) -> None:
    """Named, or where there is no other; structs and vectors that are null are not found."""
    table = db.create_table("t", schema=Page)
    vectors = [[1.0, 0.0], None, [3.0, 1.0], [0.0, 2.0]]
    rows = [{"id": n, "image": {"url": "u", "embedding": v}} for n, v in enumerate(vectors)]
    table.add([*rows, {"id": 9, "image": None}])
    for column in (None, "image.embedding"):
        search = table.search([3.0, 0.0], vector_column_name=column)
        assert [row["id"] for row in search.to_list()] == [2, 0, 3]
        where = search.where("image.url = 'u' AND id <> 0").select(["id"])
        assert [row["id"] for row in where.to_list()] == [2, 3]
    assert "image.embedding (l2, 2 x float)" in table.search([3.0, 0.0]).explain_plan()
    with pytest.raises(UnknownColumnError, match=r"'image\.url'.*image\.embedding"):
        table.search([1.0, 2.0], vector_column_name="image.url").to_list()
    with pytest.raises(DataError, match=r"Row 0, column .image\.embedding"):
        table.add([{"id": 1, "image": {"url": "u", "embedding": [1.0]}}])


def test_a_column_of_its_own_comes_before_one_within_a_struct(db: embow.Database) -> None:
    """The order of the schema decides only among equals."""
    inner = pa.struct([("v", pa.list_(pa.float32(), 2))])
    schema = pa.schema([("a.b", inner), ("z", pa.list_(pa.float32(), 2))])
    table = db.create_table("t", [{"a.b": {"v": [0, 0]}, "z": [5, 5]}], schema=schema)
    assert table.search([5, 5]).to_list()[0]["_distance"] == 0
    assert table.search([5, 5], vector_column_name="a.b.v").to_list()[0]["_distance"] == 50


def test_kinds_survive_reopening_changes_and_versions(tmp_path: Any) -> None:
    """Update, merge, optimize and an earlier version keep several vectors and packed bits."""
    schema = pa.schema(
        [
            ("id", pa.int64()),
            ("vectors", pa.list_(pa.list_(pa.float16(), 2))),
            ("code", pa.list_(pa.uint8(), 2)),
        ]
    )
    rows = [{"id": n, "vectors": [[n, 1]] * n, "code": [n, 255]} for n in range(6)]
    with embow.connect(tmp_path) as db:
        table = db.create_table("t", rows, schema=schema)
        table.update(where="id = 2", values={"vectors": [[9, 9]]})
        table.merge_insert("id").when_matched_update_all().execute(
            [{"id": 3, "vectors": [[7, 7]], "code": [0, 0]}]
        )
        table.delete("id = 5")
        table.optimize()
    with embow.connect(tmp_path) as db:
        table = db.open_table("t")
        assert table.check().ok
        assert [r["id"] for r in table.search([[9, 9], [7, 7]]).limit(2).to_list()] == [2, 3]
        code = table.search([0, 0], vector_column_name="code").limit(1).to_list()
        assert [(r["id"], r["_distance"]) for r in code] == [(3, 0)]
        old = db.open_table("t", version=1)
        assert old.search([0, 255], vector_column_name="code").to_list()[0]["id"] == 0
        assert [r["vectors"] for r in old.search().to_list()] == [r["vectors"] for r in rows]


def test_a_list_of_texts_is_embedded_in_one_call(words: embow.Table, letters: Any) -> None:
    """And each query has the result it has alone."""
    calls: list[int] = []
    made = letters.compute_query_embeddings

    def counted(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(len(query))
        return made(self, query, *args, **kwargs)

    words.add([{"text": text} for text in ("abc", "bcd", "xyz")])
    texts = ["ab", "z", "cd"]
    alone = [words.search(text).limit(2).to_list() for text in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(letters, "compute_query_embeddings", counted)
        together = words.search(texts).limit(2).to_list()
    assert calls == [3]
    assert [row.pop("query_index") for row in together] == [0, 0, 1, 1, 2, 2]
    assert together == [row for rows in alone for row in rows]


def test_a_list_of_vectors_reads_each_row_once(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many queries there are, a block is scored for all of them together."""
    from embow.engines._local import search

    with embow.connect(tmp_path) as db:
        vectors = np.random.default_rng(0).standard_normal((300, 4))
        table = db.create_table("t", [{"id": n, "vector": v} for n, v in enumerate(vectors)])
        scored: list[int] = []
        score = search.score

        def counted(queries: Any, pieces: Any) -> Any:
            scored.append(sum(piece.count for piece in pieces))
            return score(queries, pieces)

        monkeypatch.setattr(search, "score", counted)
        found = table.search(vectors[:5]).limit(1).to_list()
        assert [row["id"] for row in found] == [0, 1, 2, 3, 4]
        assert sum(scored) == 300
