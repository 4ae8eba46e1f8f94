"""Vectors that stay true: verify, repair, quarantine, change of model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import embow
from embow._table.writing.quarantine import Quarantine
from embow._table.writing.staging import Writer
from embow.errors import (
    CommitConflictError,
    ConfigurationError,
    DataError,
    EmbeddingError,
    IdentityMismatchError,
    SchemaError,
)

WORDS = ["apple", "pear", "plum"]


@pytest.fixture
def stocked(words: embow.Table, letters: Any) -> embow.Table:
    """Three embedded rows."""
    words.add([{"text": text} for text in WORDS])
    letters.sent.clear()
    return words


@pytest.fixture
def stored_columns() -> Any:
    """The physical columns of a table."""
    return lambda table: table._handle.look().stored.names


# -- policies ---------------------------------------------------------------------------------


def test_raise_stores_nothing_and_names_the_row(words: embow.Table, letters: Any) -> None:
    """The default policy commits all rows or none."""
    letters.refuse.add("pear")
    with pytest.raises(EmbeddingError) as caught:
        words.add([{"text": text} for text in WORDS])
    assert caught.value.row == 1
    assert "letters" in str(caught.value)
    assert words.count_rows() == 0


def test_skip_leaves_the_bad_row_out(words: embow.Table, letters: Any) -> None:
    """The others are stored, and the report names the one that failed."""
    letters.refuse.add("pear")
    report = words.add([{"text": text} for text in WORDS], on_error="skip")
    assert [(f.row, f.column, f.kind) for f in report.failed] == [(1, "text", "bad_input")]
    assert words.to_arrow()["text"].to_pylist() == ["apple", "plum"]


def test_null_stores_the_bad_row_without_vector(words: embow.Table, letters: Any) -> None:
    """A failed row differs from an empty one: verify calls it missing."""
    letters.refuse.add("pear")
    words.add([{"text": text} for text in [*WORDS, ""]], on_error="null")
    state = words.verify().columns["vector"]
    assert (state.current, len(state.missing), state.empty) == (2, 1, 1)


def test_quarantine_keeps_the_row_until_it_can_be_embedded(
    words: embow.Table, letters: Any
) -> None:
    """Failed rows wait beside the table, with the reason, and come in on retry."""
    letters.refuse.add("pear")
    words.add([{"text": text, "tag": text[0]} for text in WORDS], on_error="quarantine")
    assert words.count_rows() == 2
    waiting = words.failed_rows().to_pylist()
    assert [(row["text"], row["tag"], row["error_kind"]) for row in waiting] == [
        ("pear", "p", "bad_input")
    ]
    assert words.retry_failed().rows == 0
    assert len(words.failed_rows()) == 1
    letters.refuse.clear()
    assert words.retry_failed().rows == 1
    assert len(words.failed_rows()) == 0
    assert sorted(words.to_arrow()["text"].to_pylist()) == WORDS


def test_a_policy_kept_with_the_table_applies_to_every_add(
    words: embow.Table, letters: Any
) -> None:
    """configure sets the default of add; an argument still wins."""
    words.configure(on_error="skip")
    letters.refuse.add("pear")
    assert words.add([{"text": "pear"}]).rows == 0
    with pytest.raises(EmbeddingError):
        words.add([{"text": "pear"}], on_error="raise")


@pytest.mark.parametrize(
    "setting", [{"on_error": "ignore"}, {"on_long": "cut"}, {"on_eror": "null"}]
)
def test_unknown_settings_are_refused(words: embow.Table, setting: dict[str, Any]) -> None:
    """A misspelt policy must not silently be the default."""
    with pytest.raises(ConfigurationError):
        words.add([{"text": "a"}], **setting)


@pytest.mark.parametrize("later", ["optimize", "overwrite", "quarantine"])
def test_an_overwrite_that_died_leaves_no_hidden_table(
    words: embow.Table, letters: Any, monkeypatch: pytest.MonkeyPatch, later: str
) -> None:
    """The rows that failed before it go with the next call that comes upon them."""
    letters.refuse.add("pear")
    words.add([{"text": "pear"}], on_error="quarantine")
    (hidden,) = _quarantines(words)
    with monkeypatch.context() as patched:
        patched.setattr(Quarantine, "drop", _die)
        with pytest.raises(_DiedError):
            words.add([{"text": "plum"}], mode="overwrite")
    assert (words.count_rows(), _quarantines(words)) == (1, [hidden])
    if later == "optimize":
        words.optimize()
    elif later == "overwrite":
        words.add([{"text": "fig"}], mode="overwrite")
    else:
        words.add([{"text": "pear"}], on_error="quarantine")
    assert hidden not in _quarantines(words)
    assert words.failed_rows().num_rows == (later == "quarantine")


class _DiedError(Exception):
    """The process ended here."""


def _die(_: Any) -> None:
    raise _DiedError


def _quarantines(table: embow.Table) -> list[str]:
    names = table._handle.engine.table_names()
    return [name for name in names if "quarantine" in name]


# -- verify and repair ------------------------------------------------------------------------


def test_fresh_rows_are_current(stocked: embow.Table, letters: Any) -> None:
    """Verifying calls no provider."""
    report = stocked.verify()
    assert report.ok
    assert report.columns["vector"].current == 3
    assert letters.sent == []


def test_vectors_of_the_user_are_foreign(words: embow.Table) -> None:
    """A vector the function did not make is told apart, and is not repaired."""
    words.add([{"text": "apple", "vector": [1.0] * 26}, {"text": "pear"}])
    state = words.verify().columns["vector"]
    assert (len(state.foreign), state.current) == (1, 1)
    words.repair()
    assert words.to_arrow()["vector"].to_pylist()[0] == [1.0] * 26


def test_a_stale_vector_is_found_and_mended(
    words: embow.Table, letters: Any, rows_sent: Any
) -> None:
    """What a rollback leaves of rows changed since is found, and mended by repair."""
    words.add([{"text": text} for text in WORDS])
    words.migrate("vector", letters.create(scale=2.0))
    words.update("text = 'apple'", {"text": "avocado"})
    words.add([{"text": "kiwi"}])
    words.rollback("vector")
    found = words.verify().columns["vector"]
    assert (found.current, len(found.stale), len(found.missing)) == (2, 1, 1)
    letters.sent.clear()
    words.repair()
    assert words.verify().ok
    assert sorted(rows_sent()) == ["avocado", "kiwi"]
    assert words.repair().version == words.version


def test_a_changed_model_behind_one_name_is_found(stocked: embow.Table, letters: Any) -> None:
    """verify(remote=True) embeds a sample of stored rows again."""
    assert stocked.verify(remote=True).columns["vector"].drift == pytest.approx(1.0)
    original = letters.generate_embeddings
    try:
        letters.generate_embeddings = lambda self, texts: np.ones((len(texts), 26), np.float32)
        report = stocked.verify(remote=True)
    finally:
        letters.generate_embeddings = original
    assert not report.ok
    assert report.columns["vector"].drift < 0.999


def test_a_sample_is_of_vectors_the_function_made(words: embow.Table, letters: Any) -> None:
    """Vectors of the user and rows without one are not compared, and few rows are sent."""
    vector = [1.0] * 26
    words.add([{"text": f"mine {n}", "vector": vector} for n in range(5)])
    assert words.verify(remote=True).columns["vector"].drift is None
    words.add([{"text": f"made {n}"} for n in range(20)])
    letters.sent.clear()
    assert words.verify(remote=True).columns["vector"].drift == pytest.approx(1.0)
    assert letters.sent == [f"made {n}" for n in range(8)]


# -- identity -----------------------------------------------------------------------------------


def _schema(function: Any) -> type[embow.Model]:
    class Words(embow.Model):
        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()
        tag: str | None = None

    return Words


def test_opening_with_another_model_is_refused_by_name(
    db: embow.Database, stocked: embow.Table, letters: Any
) -> None:
    """The error names both models, for create_table and open_table alike."""
    other = _schema(letters.create(name="letters-2"))
    for opening in (
        lambda: db.create_table("words", schema=other, exist_ok=True),
        lambda: db.open_table("words", schema=other),
    ):
        with pytest.raises(IdentityMismatchError, match=r"letters/letters-1.*letters/letters-2"):
            opening()


def test_opening_with_the_same_model_gives_the_table(
    db: embow.Database, stocked: embow.Table, letters: Any
) -> None:
    """exist_ok opens, and adds and embeds nothing."""
    again = db.create_table(
        "words", [{"text": "kiwi"}], schema=_schema(letters.create()), exist_ok=True
    )
    assert again.count_rows() == 3
    assert letters.sent == []


def test_a_variable_that_changes_the_model_is_found_at_use(
    db: embow.Database, letters: Any
) -> None:
    """Settings that resolve to another model than the stored one are refused."""
    registry = embow.get_registry()
    registry.set_var("letters_name", "one")
    table = db.create_table("t", schema=_schema(letters.create(name="$var:letters_name")))
    table.add([{"text": "apple"}])
    registry.set_var("letters_name", "two")
    with pytest.raises(IdentityMismatchError, match=r"'one'.*'two'"):
        db.open_table("t").search("apple").to_list()
    with pytest.raises(IdentityMismatchError):
        db.open_table("t").add([{"text": "pear"}])


# -- change of model ----------------------------------------------------------------------------


def test_a_new_vector_column_is_filled(stocked: embow.Table, letters: Any) -> None:
    """add_embedding backfills every row and binds the column."""
    stocked.add_embedding("double", "text", letters.create(scale=2.0))
    row = stocked.search("pear", vector_column_name="double").limit(1).to_list()[0]
    assert row["_distance"] == 0.0
    assert max(row["double"]) == 2 * max(row["vector"])
    stocked.add([{"text": "kiwi"}])
    assert stocked.verify().ok
    assert stocked.verify().columns["double"].current == 4


def test_migrate_switches_and_rollback_goes_back(stocked: embow.Table, letters: Any) -> None:
    """All vectors are the new model's after one commit, and the old ones can be had again."""
    before = stocked.to_arrow()["vector"].to_pylist()
    report = stocked.migrate("vector", letters.create(scale=2.0))
    assert report.embedded == 3
    assert stocked.verify().ok
    after = stocked.to_arrow()["vector"].to_pylist()
    assert after == [[2 * x for x in vector] for vector in before]
    stocked.rollback("vector")
    assert stocked.to_arrow()["vector"].to_pylist() == before
    assert stocked.search("plum").limit(1).to_list()[0]["_distance"] == 0.0
    assert stocked.verify().ok


def test_a_dry_run_estimates_and_changes_nothing(stocked: embow.Table, letters: Any) -> None:
    """The estimate counts inputs and calls nobody."""
    before = stocked.version
    estimate = stocked.migrate("vector", letters.create(scale=2.0), dry_run=True)
    assert (estimate.inputs, letters.sent, stocked.version) == (3, [], before)


def test_rows_added_during_a_migration_are_migrated_too(
    db: embow.Database, stocked: embow.Table, letters: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second writer in the middle of it loses nothing and leaves nothing behind."""
    from embow._table.truth.backfill import Backfill

    other = db.open_table("words")
    check = Backfill.check
    added: list[int] = []

    def late(self: Any, snapshot: Any) -> None:
        check(self, snapshot)
        if len(added) < 3:
            added.append(0)
            other.add([{"text": "kiwi" * len(added)}])

    monkeypatch.setattr(Backfill, "check", late)
    report = stocked.migrate("vector", letters.create(scale=2.0))
    assert report.version == stocked.version
    assert (report.rows, stocked.count_rows()) == (6, 6)
    assert stocked.verify().columns["vector"].current == 6
    rows = {r["text"]: max(r["vector"]) for r in stocked.to_arrow().to_pylist()}
    assert (rows["kiwi"], rows["kiwikiwikiwi"]) == (4.0, 12.0)


def test_rows_embedded_by_the_old_model_are_refused_after_the_switch(
    stocked: embow.Table, letters: Any
) -> None:
    """An add that began before the switch stores nothing of the old model."""
    new = letters.create(scale=2.0)

    def rows() -> Any:
        yield {"text": "kiwi"}
        stocked.migrate("vector", new)

    with pytest.raises(CommitConflictError, match="add the rows again"):
        stocked.add(rows())
    assert stocked.count_rows() == 3
    assert stocked.verify().ok


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A call of ``migrate`` that ends before the switch."""
    from embow._table.truth.backfill import Backfill

    def broken(*_: Any) -> None:
        raise KeyboardInterrupt

    def migrate(table: embow.Table, function: Any) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Backfill, "check", broken)
            with pytest.raises(KeyboardInterrupt):
                table.migrate("vector", function)

    return migrate


def test_an_interrupted_migration_is_taken_up(
    stocked: embow.Table, letters: Any, cut_off: Any
) -> None:
    """The second call pays only for what is missing: rows that changed or came in since."""
    cut_off(stocked, letters.create(scale=2.0))
    assert stocked.schema.names == ["text", "vector", "tag"]
    assert stocked.verify().ok
    stocked.update("text = 'pear'", {"text": "grape"})
    stocked.update("text = 'plum'", {"tag": "x"})
    stocked.add([{"text": "kiwi"}])
    letters.sent.clear()
    report = stocked.migrate("vector", letters.create(scale=2.0))
    assert report.embedded == 2
    assert stocked.verify().columns["vector"].current == 4
    assert {max(row["vector"]) for row in stocked.to_arrow().to_pylist()} == {2.0, 4.0}


def test_an_equivalent_function_can_take_over_without_embedding(
    stocked: embow.Table, letters: Any
) -> None:
    """rebind compares a sample, and refuses a function that makes other vectors."""
    assert stocked.rebind("vector", letters.create(name="letters-renamed")) > 0.999
    assert stocked.embedding_functions["vector"].function.name == "letters-renamed"

    @embow.register("ones")
    class Ones(embow.TextEmbeddingFunction):
        def ndims(self) -> int:
            return 26

        def generate_embeddings(self, texts: list[str]) -> Any:
            return np.ones((len(texts), 26), np.float32)

    with pytest.raises(IdentityMismatchError, match="migrate"):
        stocked.rebind("vector", Ones.create())


@pytest.mark.parametrize(
    "call",
    [
        lambda t, f: t.migrate("vector", f.create()),
        lambda t, f: t.migrate("tag", f.create(scale=2.0)),
        lambda t, f: t.add_embedding("vector", "text", f.create(scale=2.0)),
        lambda t, f: t.add_embedding("v2", "txt", f.create(scale=2.0)),
        lambda t, f: t.rollback("vector"),
    ],
)
def test_bad_changes_of_model_are_refused(stocked: embow.Table, letters: Any, call: Any) -> None:
    """Same model, no function, taken name, unknown source, nothing to go back to."""
    before = stocked.version
    with pytest.raises((ConfigurationError, SchemaError, DataError)):
        call(stocked, letters)
    assert stocked.version == before


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_retry_that_is_cut_off_adds_a_row_once(
    words: embow.Table, letters: Any, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Cut off on either side of its commit, the next call ends what was begun."""
    letters.refuse.add("pear")
    words.add([{"text": "apple"}, {"text": "pear"}], on_error="quarantine")
    letters.refuse.clear()
    commit = Writer.commit

    def cut(self: Any, plan: Any) -> Any:
        def planned(snapshot: Any) -> Any:
            plan(snapshot)
            raise KeyboardInterrupt

        if when == "after":
            commit(self, plan)
            raise KeyboardInterrupt
        self.handle.transact(planned)

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "commit", cut)
        with pytest.raises(KeyboardInterrupt):
            words.retry_failed()
    words.retry_failed()
    assert sorted(words.to_arrow()["text"].to_pylist()) == ["apple", "pear"]
    assert len(words.failed_rows()) == 0
    assert words.retry_failed().version == words.version
    assert words.verify().ok


def test_a_row_added_again_waits_once(words: embow.Table, letters: Any) -> None:
    """Equal rows of one call are all kept; the same call once more keeps no more of them."""
    letters.refuse.add("pear")
    rows = [{"text": "pear", "tag": tag} for tag in ("a", "a", "b")]
    for _ in range(2):
        words.add(rows, on_error="quarantine")
        assert sorted(words.failed_rows()["tag"].to_pylist()) == ["a", "a", "b"]


def test_a_migration_given_up_for_another_leaves_nothing_behind(
    stocked: embow.Table, letters: Any, cut_off: Any, stored_columns: Any
) -> None:
    """The hidden columns of the first model go with the switch to the second."""
    before = stored_columns(stocked)
    cut_off(stocked, letters.create(scale=2.0))
    assert len(stored_columns(stocked)) == len(before) + 2
    stocked.migrate("vector", letters.create(scale=3.0))
    assert len(stored_columns(stocked)) == len(before) + 2  # The old vectors are kept.
    stocked.migrate("vector", letters.create(scale=4.0), keep_old=False)
    assert len(stored_columns(stocked)) == len(before)
    assert stocked.verify().ok


def test_without_the_old_vectors_there_is_no_way_back(stocked: embow.Table, letters: Any) -> None:
    """``keep_old=False`` drops them, those of an earlier migration too."""
    stocked.migrate("vector", letters.create(scale=2.0))
    stocked.migrate("vector", letters.create(scale=3.0), keep_old=False)
    with pytest.raises(SchemaError, match="no earlier vectors"):
        stocked.rollback("vector")


def test_going_back_to_a_model_takes_up_its_vectors(stocked: embow.Table, letters: Any) -> None:
    """Migrating to the model from before the last migration embeds nothing anew."""
    stocked.migrate("vector", letters.create(scale=2.0))
    stocked.migrate("vector", letters.create(scale=3.0))
    letters.sent.clear()
    report = stocked.migrate("vector", letters.create(scale=2.0))
    assert report.embedded == 0
    assert stocked.verify().ok
    stocked.rollback("vector")
    assert max(stocked.search("plum").limit(1).to_list()[0]["vector"]) == 3.0
