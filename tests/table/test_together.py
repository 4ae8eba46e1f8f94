"""What must happen together: rows with their quarantine, functions with the rows they made."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

import embow
from embow.embeddings import EmbeddingFunctionConfig
from embow.errors import DataError, StorageError, TableNotFoundError
from embow.table import changes
from embow.table.backfill import Backfill
from embow.table.merge import MergeInsert


def test_a_failed_add_leaves_nothing_in_quarantine(
    words: embow.Table, letters: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are set aside with the commit or not at all, so that a second try doubles nothing."""
    letters.refuse.add("bad")
    append = words._engine_table.append

    def full_disk(batches: Any, **options: Any) -> Any:
        def then_fail() -> Any:
            yield from batches
            raise StorageError("the disk is full")

        return append(then_fail(), **options)

    monkeypatch.setattr(words._engine_table, "append", full_disk)
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
    hidden = "_embow_quarantine.words"
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
    append = changes.append_guarded
    moved: list[bool] = []

    def migrated_before(*args: Any) -> Any:
        if not moved:
            moved.append(True)
            words.migrate("vector", letters.create(scale=2.0))
        return append(*args)

    monkeypatch.setattr(changes, "append_guarded", migrated_before)
    words.retry_failed()
    rows = {row["text"]: max(row["vector"]) for row in words.to_arrow().to_pylist()}
    assert rows == {"good": 4.0, "bad": 2.0}


def test_an_insert_of_a_merge_sees_keys_added_meanwhile(
    words: embow.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that comes in while the merge embeds is updated, not inserted again."""
    match = MergeInsert._match
    added: list[bool] = []

    def added_after(self: MergeInsert, incoming: pa.RecordBatch) -> Any:
        found = match(self, incoming)
        if not added:
            added.append(True)
            words.add([{"text": "first", "tag": "k"}])
        return found

    monkeypatch.setattr(MergeInsert, "_match", added_after)
    merge = words.merge_insert("tag").when_matched_update_all().when_not_matched_insert_all()
    merge.execute([{"text": "merged", "tag": "k"}])
    assert [row["text"] for row in words.to_arrow().to_pylist()] == ["merged"]


def test_a_row_added_between_check_and_switch_is_embedded(
    words: embow.Table, letters: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration takes in the last row too, and never stops for it."""
    words.add([{"text": "one"}])
    fill = Backfill.fill_rows_added_since
    added: list[bool] = []

    def late(self: Any, report: Any) -> int:
        count = fill(self, report)
        if not added:
            added.append(True)
            words.add([{"text": "two"}])
        return count

    monkeypatch.setattr(Backfill, "fill_rows_added_since", late)
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


def test_the_fixed_text_is_kept_by_an_update_too(words: embow.Table, letters: Any) -> None:
    """A first vector that an update makes brings the fixed text, once."""
    words.add([{"text": ""}])
    words.update(values={"text": "one"})
    words.update(values={"text": "two"})
    assert letters.sent.count("The quick brown fox jumps over the lazy dog.") == 1
