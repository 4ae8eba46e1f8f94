"""Update, delete and merge: which rows change, and what is embedded for it."""

from __future__ import annotations

from typing import Any

import pytest

import embow
from embow.errors import ConfigurationError, DataError, EmbeddingError, UnknownColumnError


def _state(table: embow.Table) -> dict[str, str | None]:
    return {row["text"]: row["tag"] for row in table.to_arrow().to_pylist()}


@pytest.fixture
def stocked(words: embow.Table, letters: Any) -> embow.Table:
    """Three rows, and a clean record of what is sent after them."""
    words.add([{"text": t, "tag": t[0]} for t in ("apple", "pear", "plum")])
    letters.sent.clear()
    return words


def test_a_dry_run_tells_what_an_add_would_take(stocked: embow.Table, rows_sent: Any) -> None:
    """Nothing is sent or stored; mistakes are found as in the add itself."""
    rows = [{"text": text} for text in ("fig", "fig", "cherry", None)]
    given = [row for row in rows if row["text"]]
    told = stocked.add(given, dry_run=True)
    assert (told.inputs, told.distinct, told.requests) == (3, 2, 1)
    assert told.tokens > 0
    assert rows_sent() == []
    assert len(stocked) == 3
    with pytest.raises(UnknownColumnError):
        stocked.add([{"txt": "fig"}], dry_run=True)
    with pytest.raises(ConfigurationError, match="Did you mean 'on_error'"):
        stocked.add(given, dry_run=True, on_eror="skip")  # type: ignore[call-overload]
    assert stocked.add(given).requests == told.requests


def test_update_of_the_source_embeds_again(stocked: embow.Table, rows_sent: Any) -> None:
    """Exactly the changed row is sent, and the vector is the new text's."""
    result = stocked.update(where="text = 'pear'", values={"text": "grape"})
    assert result.rows_updated == 1
    assert rows_sent() == ["grape"]
    assert stocked.search("grape").limit(1).to_list()[0]["_distance"] == 0.0
    assert stocked.verify().ok


def test_update_of_another_column_embeds_nothing(stocked: embow.Table, rows_sent: Any) -> None:
    """Vectors are carried over where the source stays."""
    stocked.update(where="text like 'p%'", values={"tag": "new"})
    assert _state(stocked) == {"apple": "a", "pear": "new", "plum": "new"}
    assert rows_sent() == []
    assert stocked.verify().ok


def test_update_to_the_same_text_embeds_nothing(stocked: embow.Table, rows_sent: Any) -> None:
    """A value that does not change costs nothing."""
    stocked.update(where="text = 'pear'", values={"text": "pear", "tag": "x"})
    assert rows_sent() == []


def test_update_by_expression(stocked: embow.Table, rows_sent: Any) -> None:
    """Values may be computed from the row."""
    stocked.update(where="text = 'plum'", values_sql={"text": "upper(text)"})
    assert "PLUM" in _state(stocked)
    assert rows_sent() == ["PLUM"]


def test_update_without_matches_changes_nothing(stocked: embow.Table) -> None:
    """No row, no commit."""
    before = stocked.version
    assert stocked.update(where="text = 'kiwi'", values={"tag": "x"}).rows_updated == 0
    assert stocked.version == before


def test_update_that_cannot_be_embedded_changes_nothing(stocked: embow.Table, letters: Any) -> None:
    """The row keeps its text and vector."""
    letters.refuse.add("bad")
    with pytest.raises(EmbeddingError, match="bad"):
        stocked.update(where="text = 'pear'", values={"text": "bad"})
    assert "pear" in _state(stocked)
    assert stocked.verify().ok


def test_update_with_null_policy_keeps_the_row(stocked: embow.Table, letters: Any) -> None:
    """A stored row is never left out, whatever the policy; its vector is missing until repaired."""
    letters.refuse.add("bad")
    for policy in ("null", "skip", "quarantine"):
        stocked.update(where="text = 'pear'", values={"text": "bad"}, on_error=policy)
        assert "bad" in _state(stocked)
        assert len(stocked.verify().columns["vector"].missing) == 1
        stocked.update(where="text = 'bad'", values={"text": "pear"})
    letters.refuse.clear()
    assert stocked.verify().ok


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, ConfigurationError),
        ({"values": {"tag": "a"}, "values_sql": {"tag": "'a'"}}, ConfigurationError),
        ({"values": {"tg": "a"}}, UnknownColumnError),
        ({"values": {"tag": b"x"}}, DataError),
        ({"values": {"text": None}}, DataError),
    ],
)
def test_bad_updates_are_refused(
    stocked: embow.Table, arguments: dict[str, Any], error: type[Exception]
) -> None:
    """Each mistake is an error and changes nothing."""
    before = stocked.to_arrow()
    with pytest.raises(error):
        stocked.update(**arguments)
    assert stocked.to_arrow() == before


def test_delete_removes_what_matches(stocked: embow.Table) -> None:
    """The count is returned, and the rows are not found again."""
    assert stocked.delete("tag = 'p'").num_deleted_rows == 2
    assert list(_state(stocked)) == ["apple"]
    assert [row["text"] for row in stocked.search("plum").to_list()] == ["apple"]


def test_merge_updates_inserts_and_embeds_only_what_changed(
    stocked: embow.Table, rows_sent: Any
) -> None:
    """Of a known key only changed sources are sent, of a new key all."""
    result = (
        stocked.merge_insert("tag")
        .when_matched_update_all("target.text = 'apple'")
        .when_not_matched_insert_all()
        .execute([{"tag": "a", "text": "avocado"}, {"tag": "k", "text": "kiwi"}])
    )
    assert (result.num_updated_rows, result.num_inserted_rows) == (1, 1)
    assert sorted(rows_sent()) == ["avocado", "kiwi"]
    assert _state(stocked) == {"pear": "p", "plum": "p", "avocado": "a", "kiwi": "k"}
    assert stocked.verify().ok


def test_merge_of_unchanged_rows_embeds_nothing(stocked: embow.Table, rows_sent: Any) -> None:
    """Merging what is there already is free."""
    stocked.merge_insert("text").when_matched_update_all().execute(
        [{"text": "apple", "tag": "new"}, {"text": "kiwi", "tag": "k"}]
    )
    assert rows_sent() == []
    assert _state(stocked) == {"apple": "new", "pear": "p", "plum": "p"}


def test_merge_deletes_what_the_data_lacks(stocked: embow.Table) -> None:
    """Only rows that satisfy the condition go."""
    result = (
        stocked.merge_insert("text")
        .when_not_matched_by_source_delete("tag = 'p'")
        .execute([{"text": "plum"}])
    )
    assert result.num_deleted_rows == 1
    assert set(_state(stocked)) == {"apple", "plum"}


def test_merge_refuses_a_key_that_comes_twice(stocked: embow.Table) -> None:
    """Which of the two would win is not guessed."""
    with pytest.raises(DataError, match="same key 'kiwi'"):
        stocked.merge_insert("text").when_not_matched_insert_all().execute(
            [{"text": "kiwi"}, {"text": "kiwi"}]
        )


def test_merge_that_does_nothing_is_refused(stocked: embow.Table) -> None:
    """A merge without a clause is a mistake."""
    with pytest.raises(ConfigurationError, match="when_matched_update_all"):
        stocked.merge_insert("text").execute([{"text": "kiwi"}])


def test_merge_of_model_objects_keeps_the_vectors(
    db: embow.Database, letters: Any, rows_sent: Any
) -> None:
    """An object that brings no vector leaves the stored one, or has it made again."""
    function = letters.create()

    class Fruit(embow.Model):
        name: str
        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()

    table = db.create_table("fruit", [Fruit(name=n, text=n) for n in "abc"], Fruit)
    letters.sent.clear()
    merge = table.merge_insert("name").when_matched_update_all().when_not_matched_insert_all()
    merge.execute([Fruit(name=n, text=t) for n, t in ("aa", "bx", "dd")])
    assert sorted(rows_sent()) == ["d", "x"]
    assert table.verify().columns["vector"].current == 4
