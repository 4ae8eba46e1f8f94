"""What must happen together: rows with their quarantine, functions with the rows they made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import embow
from embow._table.truth.backfill import Backfill
from embow._table.writing import merge
from embow._table.writing.staging import Writer
from embow.embeddings import EmbeddingFunctionConfig
from embow.errors import CommitConflictError, DataError, StorageError, TableNotFoundError


def test_a_failed_add_leaves_nothing_in_quarantine(
    words: embow.Table, letters: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are set aside with the commit or not at all, so that a second try doubles nothing."""
    letters.refuse.add("bad")
    stored = type(words._handle.stored)
    write = stored.write

    def full_disk(self: Any, batches: Any, **options: Any) -> Any:
        def then_fail() -> Any:
            yield from batches
            raise StorageError("the disk is full")

        return write(self, then_fail(), **options)

    with monkeypatch.context() as patch:
        patch.setattr(stored, "write", full_disk)
        with pytest.raises(StorageError):
            words.add([{"text": "good"}, {"text": "bad"}], on_error="quarantine")
    assert (len(words), words.failed_rows().num_rows) == (0, 0)


@pytest.mark.parametrize("how", ["create_table", "add"])
def test_overwriting_takes_the_quarantined_rows_along(
    db: embow.Database, words: embow.Table, letters: Any, how: str
) -> None:
    """Rows that failed for the old contents do not turn up in the new."""
    letters.refuse.add("bad")
    words.add([{"text": "bad"}], on_error="quarantine")
    if how == "add":
        words.add([{"text": "new"}], mode="overwrite")
    else:
        words = db.create_table("words", [{"text": "new"}], mode="overwrite")
    assert words.failed_rows().num_rows == 0
    assert words._handle.engine.table_names() == ["words"]


def test_an_open_table_follows_its_new_name(
    db: embow.Database, words: embow.Table, letters: Any
) -> None:
    """Rows that fail later are found under the new name, from every handle."""
    letters.refuse.update({"bad", "worse"})
    words.add([{"text": "bad"}], on_error="quarantine")
    db.rename_table("words", "terms")
    words.add([{"text": "worse"}], on_error="quarantine")
    assert words.name == "terms"
    assert db["terms"].failed_rows().column("text").to_pylist() == ["bad", "worse"]


def test_the_quarantine_is_reached_through_its_table_only(
    db: embow.Database, words: embow.Table, letters: Any
) -> None:
    """The hidden table can be neither opened nor dropped nor renamed by name."""
    letters.refuse.add("bad")
    words.add([{"text": "bad"}], on_error="quarantine")
    hidden = next(n for n in words._handle.engine.table_names() if n.startswith("_embow"))
    for call in (db.open_table, db.drop_table, lambda name: db.rename_table(name, "x")):
        with pytest.raises(TableNotFoundError):
            call(hidden)


def test_a_users_column_named_like_a_reason_stays(db: embow.Database, letters: Any) -> None:
    """Both the user's ``error`` and the reason of the failure are shown."""
    functions = [EmbeddingFunctionConfig("vector", "text", letters.create())]
    schema = pa.schema([("text", pa.string()), ("error", pa.string())])
    table = db.create_table("t", schema=schema, embedding_functions=functions)
    letters.refuse.add("bad")
    table.add([{"text": "bad", "error": "mine"}], on_error="quarantine")
    row = table.failed_rows().to_pylist()[0]
    assert (row["error"], row["_error"]) == ("mine", "refused 'bad'")


def test_rows_retried_during_a_migration_get_vectors_of_the_new_model(
    words: embow.Table, letters: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the old model embedded is not stored once the table has another."""
    letters.refuse.add("bad")
    words.add([{"text": "good"}, {"text": "bad"}], on_error="quarantine")
    letters.refuse.clear()
    stage = Writer.stage
    moved: list[bool] = []

    def migrated_after(*args: Any) -> Any:
        staged = stage(*args)
        if not moved:
            moved.append(True)
            words.migrate("vector", letters.create(scale=2.0))
        return staged

    monkeypatch.setattr(Writer, "stage", migrated_after)
    words.retry_failed()
    rows = {row["text"]: max(row["vector"]) for row in words.to_arrow().to_pylist()}
    assert rows == {"good": 4.0, "bad": 2.0}
    assert len(words.failed_rows()) == 0


def test_of_two_merges_that_insert_a_key_one_updates(
    words: embow.Table, monkeypatch: pytest.MonkeyPatch, rows_sent: Any
) -> None:
    """A key that another merge brings while this one embeds is updated, not inserted again."""
    match = merge.match_rows
    merged: list[bool] = []

    def upsert(rows: list[dict[str, str]]) -> None:
        both = words.merge_insert("tag").when_matched_update_all().when_not_matched_insert_all()
        both.execute(rows)

    def merged_after(*args: Any) -> Any:
        found = match(*args)
        if not merged:
            merged.append(True)
            upsert([{"text": "first", "tag": "k"}])
        return found

    monkeypatch.setattr(merge, "match_rows", merged_after)
    upsert([{"text": "second", "tag": "k"}])
    assert [row["text"] for row in words.to_arrow().to_pylist()] == ["second"]


def test_rows_staged_for_a_plan_are_embedded_once(
    words: embow.Table, monkeypatch: pytest.MonkeyPatch, rows_sent: Any
) -> None:
    """A plan that is made again and is the same embeds nothing again."""
    words.add([{"text": "one", "tag": "1"}, {"text": "two", "tag": "2"}])
    stored = type(words._handle.stored)
    commit = stored.commit
    refused: list[bool] = []

    def too_late(self: Any, change: Any) -> Any:
        if len(refused) < 3:
            refused.append(True)
            raise CommitConflictError("others were faster")
        return commit(self, change)

    monkeypatch.setattr(stored, "commit", too_late)
    assert words.update("tag = '1'", {"text": "three"}).rows_updated == 1
    assert rows_sent() == ["one", "two", "three"]


def test_a_row_added_between_check_and_switch_is_embedded(
    words: embow.Table, letters: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration takes in the last row too, and never stops for it."""
    words.add([{"text": "one"}])
    find = Backfill.catch_up
    added: list[bool] = []

    def late(self: Any, snapshot: Any) -> Any:
        found = find(self, snapshot)
        if not added:
            added.append(True)
            words.add([{"text": "two"}])
        return found

    monkeypatch.setattr(Backfill, "catch_up", late)
    words.migrate("vector", letters.create(scale=2.0))
    assert words.verify().columns["vector"].current == 2


def _strict(db: embow.Database, letters: Any, numbers: pa.DataType) -> embow.Table:
    vector = pa.field("vector", pa.list_(numbers, 26), nullable=False)
    schema = pa.schema([vector, pa.field("text", pa.string())])
    functions = [EmbeddingFunctionConfig("vector", "text", letters.create())]
    return db.create_table("t", [{"text": "one"}], schema, embedding_functions=functions)


@pytest.mark.parametrize("numbers", [pa.float16(), pa.float32(), pa.float64()], ids=str)
def test_a_migration_keeps_the_column_as_it_was_declared(
    db: embow.Database, letters: Any, numbers: pa.DataType
) -> None:
    """Number type, place and nullability stay, so that rows go on fitting."""
    table = _strict(db, letters, numbers)
    declared = table.schema.remove_metadata()
    table.migrate("vector", letters.create(scale=2.0))
    assert table.schema.remove_metadata() == declared
    table.add([{"text": "two"}])
    assert table.verify().ok


def test_a_column_that_may_not_be_null_is_not_switched_to_nulls(
    db: embow.Database, letters: Any
) -> None:
    """A row that the new function cannot embed stops the migration."""
    table = _strict(db, letters, pa.float32())
    letters.refuse.add("one")
    with pytest.raises(DataError, match="may not be null"):
        table.migrate("vector", letters.create(scale=2.0), on_error="null")
    assert table.verify().ok


def test_rollback_keeps_the_vectors_of_rows_whose_text_is_the_same(
    words: embow.Table, letters: Any
) -> None:
    """Of rows changed since the migration only those with another text are stale."""
    words.add([{"text": "one", "tag": "1"}, {"text": "two", "tag": "2"}])
    words.migrate("vector", letters.create(scale=2.0))
    words.update("tag = '1'", {"tag": "3"})
    words.update("tag = '2'", {"text": "other"})
    words.rollback("vector")
    found = words.verify().columns["vector"]
    assert (found.current, len(found.stale), len(found.missing)) == (1, 1, 0)


def test_the_model_class_still_opens_a_migrated_table(db: embow.Database, letters: Any) -> None:
    """A class with the new function agrees with the table, whatever the order of its fields."""

    def declare(function: Any) -> type[embow.Model]:
        class Words(embow.Model):
            text: str = function.SourceField()
            vector: embow.Vector = function.VectorField()
            tag: str | None = None

        return Words

    table = db.create_table("w", [{"text": "a"}], declare(letters.create()))
    new = letters.create(scale=2.0)
    table.migrate("vector", new)
    assert db.open_table("w", schema=declare(new)).schema.names == ["text", "vector", "tag"]


ONE_COMMIT = {
    "add": lambda t: t.add([{"text": "x"}, {"text": "y"}]),
    "overwrite": lambda t: t.add([{"text": "x"}], mode="overwrite"),
    "update": lambda t: t.update("tag = '1'", {"text": "new"}),
    "delete": lambda t: t.delete("tag = '1'"),
    "merge": lambda t: (
        t.merge_insert("tag")
        .when_matched_update_all()
        .when_not_matched_insert_all()
        .when_not_matched_by_source_delete()
        .execute([{"text": "a", "tag": "1"}, {"text": "b", "tag": "3"}])
    ),
    "quarantine": lambda t: t.add([{"text": "x"}, {"text": "bad"}], on_error="quarantine"),
}
NO_COMMIT = {
    "add": lambda t: t.add([]),
    "update": lambda t: t.update("tag = 'none'", {"text": "new"}),
    "delete": lambda t: t.delete("tag = 'none'"),
    "merge": lambda t: t.merge_insert("tag").when_matched_update_all().execute([]),
    "repair": lambda t: t.repair(),
    "retry": lambda t: t.retry_failed(),
    "quarantine": lambda t: t.add([{"text": "bad"}], on_error="quarantine"),
}


@pytest.mark.parametrize("call", ONE_COMMIT)
def test_a_call_is_one_commit(words: embow.Table, letters: Any, call: str) -> None:
    """Creating is version 1, and each call makes one more, the one it reports."""
    letters.refuse.add("bad")
    assert words.version == 1
    words.add([{"text": "one", "tag": "1"}, {"text": "two", "tag": "2"}])
    result = ONE_COMMIT[call](words)
    assert (result.version, words.version) == (3, 3)
    assert words.verify().ok


@pytest.mark.parametrize("call", NO_COMMIT)
def test_a_call_that_changes_nothing_makes_no_version(
    words: embow.Table, letters: Any, call: str
) -> None:
    """The version it reports is the one there is."""
    letters.refuse.add("bad")
    words.add([{"text": "one", "tag": "1"}])
    result = NO_COMMIT[call](words)
    assert (result.version, words.version) == (2, 2)


def test_creating_with_rows_and_mending_are_one_commit_each(
    db: embow.Database, letters: Any
) -> None:
    """Rows, schema and functions come together, and so do all vectors that are mended."""
    functions = [EmbeddingFunctionConfig("vector", "text", letters.create())]
    rows = [{"text": "one"}, {"text": "bad"}]
    letters.refuse.add("bad")
    table = db.create_table("t", rows, embedding_functions=functions, on_error="null")
    assert (table.version, table.last_report.version, len(table)) == (1, 1, 2)
    letters.refuse.clear()
    assert (table.repair().version, table.version) == (2, 2)
    table = db.create_table("t", rows, mode="overwrite", embedding_functions=functions)
    assert (table.version, table.last_report.version, table.last_report.rows) == (3, 3, 2)


def test_rows_that_fail_at_creation_wait_beside_the_table(db: embow.Database, letters: Any) -> None:
    """They come in on retry, as those of a later add do."""
    functions = [EmbeddingFunctionConfig("vector", "text", letters.create())]
    letters.refuse.add("bad")
    rows = [{"text": "one"}, {"text": "bad"}]
    table = db.create_table("t", rows, embedding_functions=functions, on_error="quarantine")
    assert (len(table), table.failed_rows()["text"].to_pylist()) == (1, ["bad"])
    letters.refuse.clear()
    assert (table.retry_failed().rows, len(table), len(table.failed_rows())) == (1, 2, 0)


def test_rows_that_fail_at_creation_are_kept_before_the_table_is(
    db: embow.Database, letters: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies in between loses none; where there will be no table, none are kept."""
    functions = [EmbeddingFunctionConfig("vector", "text", letters.create())]
    engine = db._context.engine
    create, there = engine.create_table, []

    def refused(name: str, schema: Any, batches: Any = (), **options: Any) -> Any:
        if name != "t":
            return create(name, schema, batches, **options)
        list(batches)
        there.extend(engine.table_names())
        raise StorageError("No space left.")

    monkeypatch.setattr(engine, "create_table", refused)
    letters.refuse.add("bad")
    rows = [{"text": "one"}, {"text": "bad"}]
    with pytest.raises(StorageError):
        db.create_table("t", rows, embedding_functions=functions, on_error="quarantine")
    assert (len(there), engine.table_names()) == (1, [])


def test_a_row_that_failed_for_a_shorter_model_comes_in_for_a_longer_one(
    db: embow.Database, letters: Any
) -> None:
    """A vector column of another length keeps no failed row out."""

    @embow.register("pairs")
    class Pairs(embow.TextEmbeddingFunction):
        def ndims(self) -> int:
            return 2

        def generate_embeddings(self, texts: list[str]) -> Any:
            return np.array([[len(text), 1] for text in texts], np.float32)

    functions = [EmbeddingFunctionConfig("vector", "text", letters.create())]
    schema = pa.schema([("text", pa.string())])
    table = db.create_table("t", schema=schema, embedding_functions=functions)
    letters.refuse.update({"one", "two"})
    table.add([{"text": "one"}], on_error="quarantine")
    table.migrate("vector", Pairs.create())
    assert table.retry_failed().rows == 1
    table.rollback("vector")
    table.add([{"text": "two"}], on_error="quarantine")
    assert table.failed_rows()["text"].to_pylist() == ["two"]


def test_columns_of_any_name_go_through_every_call(db: embow.Database, letters: Any) -> None:
    """Names that no store can hold are the user's to use, also after a change of model."""
    functions = [EmbeddingFunctionConfig("the vector", "the text!", letters.create())]
    rows = [{"the text!": "one", "Größe": 1}, {"the text!": "bad", "Größe": 2}]
    letters.refuse.add("bad")
    table = db.create_table("t", rows, embedding_functions=functions, on_error="quarantine")
    letters.refuse.clear()
    assert table.retry_failed().rows == 1
    table.update("`Größe` = 2", {"the text!": "two"})
    table.merge_insert("Größe").when_matched_update_all("target.`Größe` = 1").execute(
        [{"Größe": 1, "the text!": "uno"}]
    )
    stored = table._handle.look().stored.names
    table.migrate("the vector", letters.create(scale=2.0))
    table.add([{"the text!": "three"}])
    assert table.schema.names == ["the text!", "Größe", "the vector"]
    assert sorted(table.to_arrow()["the text!"].to_pylist()) == ["three", "two", "uno"]
    assert table.verify(remote=True).ok
    table.rollback("the vector")
    assert table._handle.look().stored.names == stored
    table.migrate("the vector", letters.create(scale=3.0), keep_old=False)
    assert len(table._handle.look().stored.names) == len(stored)
    assert table.delete("`Größe` is null").num_deleted_rows == 1
    assert table.verify().ok
