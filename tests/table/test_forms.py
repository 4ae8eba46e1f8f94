"""Functions that make several vectors of an input, or whole numbers: through a table and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pytest

import embow
from embow.embeddings import TextEmbeddingFunction, VectorForm, register
from embow.errors import BadInputError, BadOutputError, ConfigurationError, DataError, SchemaError
from embow.pipeline import AddReport, EmbedJob, Pipeline, PipelineOptions, _run
from embow.pipeline._cached import SAMPLE
from embow.pipeline._types import SourceRows
from embow.pydantic import MultiVector, Vector
from embow_testing.vectors import text_vector

NDIMS = 6


@register("tokens")
class Tokens(TextEmbeddingFunction):
    """Makes a vector for each word; a query gets one more, of the question."""

    name: str = "tokens-1"
    most: int | None = None
    sent: ClassVar[list[str]] = []
    spoil: ClassVar[Callable[[list[Any]], Any] | None] = None
    remote: ClassVar[bool] = True

    def ndims(self) -> int:
        """Return the length of each vector."""
        return NDIMS

    def vector_form(self) -> VectorForm:
        """Several vectors of each text."""
        return VectorForm(multi=True)

    def limits(self) -> Any:
        """Return how many tokens a text may have."""
        from embow.embeddings import Limits

        return Limits(max_tokens_per_item=self.most)

    def count_tokens(self, inputs: Any) -> list[int]:
        """Count words."""
        return [len(text.split()) for text in inputs]

    def truncate(self, value: Any, max_tokens: int) -> Any:
        """Keep the first words."""
        return " ".join(value.split()[:max_tokens])

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Embed each word by itself."""
        Tokens.sent.extend(text for text in texts if text != SAMPLE)
        made = [word_vectors(text) for text in texts]
        return made if Tokens.spoil is None else Tokens.spoil(made)

    def compute_query_embeddings(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        """Embed the words and the question mark."""
        return [word_vectors(f"{text} ?") for text in self.sanitize_input(query)]


def word_vectors(text: str) -> Any:
    """Return the vectors of the words of a text."""
    return np.stack([text_vector(f"{word} {self_word}", NDIMS) for word, self_word in _pairs(text)])


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(word, word[::-1]) for word in text.split()]


@pytest.fixture(autouse=True)
def fresh() -> Any:
    """Forget what was sent."""
    Tokens.sent.clear()
    yield
    Tokens.spoil = None


def declared(function: Any) -> Any:
    """Return a model whose text is embedded word by word."""

    class Doc(embow.Model):
        text: str | None = function.SourceField()
        words: list[Vector(NDIMS)] = function.VectorField()

    return Doc


TEXTS = ["a red fox", "blue", "the quick brown fox jumps", "red blue green"]


def ranked(query: str, texts: list[str]) -> list[str]:
    """Return texts by the sum over the query's words of the best cosine, best first."""
    scores = [
        (word_vectors(f"{query} ?") @ word_vectors(text).T).max(axis=1).sum() for text in texts
    ]
    return [texts[at] for at in np.argsort(-np.array(scores), kind="stable")]


def test_words_are_embedded_stored_and_found(db: embow.Database) -> None:
    """Rows have as many vectors as words; a text finds by its best matches, several texts too."""
    table = db.create_table("docs", schema=declared(Tokens.create()))
    report = table.add([{"text": text} for text in TEXTS])
    assert (report.rows, report.embedded) == (4, 4)
    stored = table.search().to_list()
    assert [len(row["words"]) for row in stored] == [3, 1, 5, 3]
    for row in stored:
        np.testing.assert_allclose(row["words"], word_vectors(row["text"]), atol=1e-6)
    for query in ("fox", "green apples", "the blue"):
        found = table.search(query).metric("cosine").to_list()
        assert [row["text"] for row in found] == ranked(query, TEXTS)
    both = table.search(["fox", "the blue"]).metric("cosine").limit(1).to_list()
    assert [row["text"] for row in both] == [ranked(q, TEXTS)[0] for q in ("fox", "the blue")]
    assert table.verify().ok
    assert table.verify(remote=True).columns["words"].drift == pytest.approx(1)


def test_rows_without_text_have_no_vectors_and_brought_ones_stay(db: embow.Database) -> None:
    """A list the user brings is foreign, an empty text has none."""
    table = db.create_table("docs", schema=declared(Tokens.create()))
    own = np.eye(NDIMS)[:2].tolist()
    table.add([{"text": "one two"}, {"text": None}, {"text": "three", "words": own}])
    first, second, third = (row["words"] for row in table.search().to_list())
    assert (len(first), second, third) == (2, None, own)
    report = table.verify().columns["words"]
    assert (report.current, report.empty, len(report.foreign)) == (1, 1, 1)


def test_an_update_embeds_again_and_repair_mends(db: embow.Database) -> None:
    """Vectors follow their text; a row whose vectors are gone gets them back."""
    table = db.create_table("docs", schema=declared(Tokens.create()))
    table.add([{"text": text} for text in TEXTS])
    table.update(where="text = 'blue'", values={"text": "light blue"})
    assert {len(row["words"]) for row in table.search().where("text = 'light blue'").to_list()} == {
        2
    }
    table.merge_insert("text").when_matched_update_all().when_not_matched_insert_all().execute(
        [{"text": "a red fox"}, {"text": "brand new words here"}]
    )
    assert len(table.search().where("text LIKE 'brand%'").to_list()[0]["words"]) == 4
    assert table.verify().ok


def test_what_was_paid_for_comes_from_the_cache(tmp_path: Path) -> None:
    """Another table takes the same vectors, each as many as it has, and nothing is sent."""
    for name in ("one", "two"):
        with embow.connect(tmp_path) as db:
            table = db.create_table(name, schema=declared(Tokens.create()))
            report = table.add([{"text": text} for text in [*TEXTS, "a red fox"]])
            assert (report.cached, report.embedded) == ((0, 4) if name == "one" else (4, 0))
            assert table.verify(remote=True).ok
    with embow.connect(tmp_path) as db:
        both = [db.open_table(name).search().to_list() for name in ("one", "two")]
    assert both[0] == both[1]


def test_a_long_text_is_split_into_all_its_vectors(db: embow.Database) -> None:
    """Where one vector would be the mean of the pieces, several are all of them."""
    table = db.create_table("docs", schema=declared(Tokens.create(most=2)))
    table.add([{"text": "one two three four five"}], on_long="split")
    assert len(table.search().to_list()[0]["words"]) == 5
    assert max(len(text.split()) for text in Tokens.sent) == 2


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda made: made[:-1], "for 0 inputs; expected 1"),
        (lambda made: [each[:, :-1] for each in made], "5 dimensions; expected 6"),
        (lambda made: [each[0] for each in made], "shape"),
        (lambda made: [made[0] * np.nan], "not a finite number"),
        (lambda made: [made[0][:0]], "no vector"),
        (lambda made: 3, "list of arrays"),
    ],
)
def test_an_answer_of_another_form_is_refused(db: embow.Database, spoil: Any, why: str) -> None:
    """Each way of being wrong says what was expected; nothing is stored."""
    table = db.create_table("docs", schema=declared(Tokens.create()))
    Tokens.spoil = spoil
    with pytest.raises(BadOutputError, match=why):
        table.add([{"text": "a"}])
    assert table.count_rows() == 0


def test_a_column_goes_over_to_several_vectors_and_back(
    words: embow.Table, letters: type[TextEmbeddingFunction]
) -> None:
    """A change of model may change what a row holds."""
    table = words
    table.add([{"text": text} for text in TEXTS])
    table.migrate("vector", Tokens.create())
    assert table.schema.field("vector").type == pa.list_(pa.list_(pa.float32(), NDIMS))
    assert [len(row["vector"]) for row in table.search().to_list()] == [3, 1, 5, 3]
    assert table.verify(remote=True).ok
    table.migrate("vector", letters.create())
    assert table.schema.field("vector").type == pa.list_(pa.float32(), 26)


def test_many_vectors_are_made_a_few_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows count for what their vectors will take, so that memory does not grow with them."""
    monkeypatch.setattr(_run, "BATCH_BYTES", 20_000)
    text = "word " * 40
    batch = pa.record_batch({"text": [f"{text}{n}" for n in range(200)]})
    job = EmbedJob(Tokens.create(), "text", "words", NDIMS)
    made = Pipeline(None).embed_batches(
        [SourceRows(batch)], [job], PipelineOptions(cache=False), AddReport()
    )
    sizes = [
        (out.batch.num_rows, sum(each.nbytes for each in out.vectors["words"])) for out in made
    ]
    assert sum(rows for rows, _ in sizes) == 200
    assert max(size for _, size in sizes) < 40_000


def test_rows_that_fail_are_set_aside_and_come_back(
    db: embow.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quarantine, null and repair know nothing of how many vectors a row has."""
    table = db.create_table("docs", schema=declared(Tokens.create()))

    def refuse(made: list[Any]) -> Any:
        if any(len(each) == 2 for each in made):
            raise BadInputError("two words")
        return made

    Tokens.spoil = refuse
    report = table.add([{"text": "one"}, {"text": "one two"}], on_error="quarantine")
    assert (report.rows, [each.row for each in report.failed]) == (1, [1])
    table.add([{"text": "three four"}], on_error="null")
    Tokens.spoil = None
    assert table.verify().columns["words"].missing == [1]
    table.repair()
    table.retry_failed()
    assert [len(row["words"]) for row in table.search().to_list()] == [1, 2, 2]
    assert table.verify().ok


def test_a_second_column_of_several_vectors_is_filled(
    words: embow.Table, letters: type[TextEmbeddingFunction]
) -> None:
    """Beside one of one vector a row; going back from a change of model brings its type back."""
    words.add([{"text": text} for text in TEXTS])
    words.add_embedding("tokens", "text", Tokens.create())
    assert words.schema.field("tokens").type == pa.list_(pa.list_(pa.float32(), NDIMS))
    assert [len(row["tokens"]) for row in words.search().to_list()] == [3, 1, 5, 3]
    words.migrate("vector", Tokens.create())
    words.rollback("vector")
    assert words.schema.field("vector").type == pa.list_(pa.float32(), 26)
    assert words.verify(remote=True).ok


@register("coded")
class Coded(TextEmbeddingFunction):
    """Makes whole numbers: int8, or bits packed into bytes."""

    kind: Literal["int8", "uint8", "fraction", "huge"] = "int8"

    def ndims(self) -> int:
        """Return the numbers of a vector."""
        return 4

    def vector_form(self) -> VectorForm:
        """Return what the numbers are."""
        if self.kind == "huge":
            return VectorForm()
        return VectorForm("uint8" if self.kind == "uint8" else "int8")

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Make numbers of the first letters."""
        made = np.array([[ord(c) for c in f"{text:\0<4}"[:4]] for text in texts], np.float32)
        return made * {"fraction": 0.5, "huge": 1000.0}.get(self.kind, 1)


def coded(db: embow.Database, kind: Any, data_type: Any, form: Any = Vector) -> embow.Table:
    """Return a table whose texts are coded into a column of some type."""
    function = Coded.create(kind=kind)

    class Row(embow.Model):
        text: str = function.SourceField()
        code: form(4, data_type) = function.VectorField()

    return db.create_table("codes", schema=Row, mode="overwrite")


@pytest.mark.parametrize(
    ("kind", "data_type"), [("int8", "int8"), ("int8", "float16"), ("uint8", "uint8")]
)
def test_whole_numbers_are_stored_where_a_function_makes_them(
    db: embow.Database, kind: str, data_type: str
) -> None:
    """Exactly, zeros too; packed bits are compared by the bits that differ."""
    table = coded(db, kind, data_type)
    table.add([{"text": text} for text in ("abcd", "abce", "\0")])
    assert [row["code"] for row in table.search().to_list()] == [
        [97, 98, 99, 100],
        [97, 98, 99, 101],
        [0, 0, 0, 0],
    ]
    found = table.search("abcd").to_list()
    assert [row["text"] for row in found] == ["abcd", "abce", "\0"]
    assert [row["_distance"] for row in found][:2] == [0, 1]
    assert table.verify(remote=True).ok


@pytest.mark.parametrize(
    ("kind", "data_type", "form", "why"),
    [
        ("huge", "int8", Vector, "would cut"),
        ("huge", "uint8", Vector, "would cut"),
        ("uint8", "float32", Vector, r'makes uint8.*Vector\(4, "uint8"\)'),
        ("uint8", "int8", Vector, "makes uint8"),
        ("int8", "uint8", Vector, r'makes int8.*Vector\(4, "int8"\)'),
        ("int8", "float32", MultiVector, "list of vectors a row, and its .* makes one"),
    ],
)
def test_a_column_that_cannot_hold_what_is_made_is_refused(
    db: embow.Database, kind: str, data_type: str, form: Any, why: str
) -> None:
    """When the table is made, with the type to declare."""
    with pytest.raises(SchemaError, match=why):
        coded(db, kind, data_type, form)


def test_numbers_that_are_not_what_was_declared_are_refused(db: embow.Database) -> None:
    """Neither fractions in whole numbers nor what a narrow float cannot hold get in."""
    with pytest.raises(BadOutputError, match="no int8"):
        coded(db, "fraction", "int8").add([{"text": "abc"}])
    with pytest.raises(DataError, match=r"97000\.0, which does not fit float16"):
        coded(db, "huge", "float16").add([{"text": "abc"}])
    table = coded(db, "int8", "int8")
    with pytest.raises(ConfigurationError, match="no mean"):
        table.add([{"text": "abc"}], on_long="split")
