"""Earlier versions: listing, checking out, restoring, tags, and what optimize keeps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import embow
from embow.engines.contract import OptimizeReport
from embow.errors import CheckedOutError, ConfigurationError, TagError, VersionNotFoundError


@pytest.fixture
def grown(db: embow.Database) -> embow.Table:
    """A table of three versions with one, two and three rows."""
    table = db.create_table("t", [{"n": 1, "s": "a"}])
    table.add([{"n": 2, "s": "b"}])
    table.add([{"n": 3, "s": "c"}])
    return table


def numbers(table: embow.Table) -> list[int]:
    """Return the values of ``n``."""
    return table.to_arrow()["n"].to_pylist()


def test_versions_are_listed_the_oldest_first(grown: embow.Table) -> None:
    """Each has its number, a naive time in UTC, the rows and what made it."""
    listed = grown.list_versions()
    assert [each["version"] for each in listed] == [1, 2, 3]
    assert [each["metadata"]["total_rows"] for each in listed] == ["1", "2", "3"]
    assert listed[0]["metadata"]["operation"] == "create"
    times = [each["timestamp"] for each in listed]
    assert times == sorted(times)
    assert all(time.tzinfo is None for time in times)
    assert abs(datetime.now(UTC).replace(tzinfo=None) - times[-1]) < timedelta(hours=1)


def test_a_version_that_is_checked_out_is_read_and_the_table_goes_on(
    db: embow.Database, grown: embow.Table
) -> None:
    """Rows, counts, searches and the number are those of then, in this object only."""
    grown.checkout(2)
    other = db.open_table("t")
    other.add([{"n": 4, "s": "d"}])
    assert (grown.version, numbers(grown), grown.count_rows("n > 1")) == (2, [1, 2], 1)
    assert grown.search().where("s = 'b'").to_list() == [{"n": 2, "s": "b"}]
    assert other.version == 4
    assert len(grown.list_versions()) == 4
    grown.checkout_latest()
    assert numbers(grown) == [1, 2, 3, 4]


WRITES: list[Callable[[embow.Table], Any]] = [
    lambda t: t.add([{"n": 5, "s": "e"}]),
    lambda t: t.add([{"n": 5, "s": "e"}], mode="overwrite"),
    lambda t: t.delete("n = 1"),
    lambda t: t.delete("n = 100"),
    lambda t: t.update(where="n = 1", values={"s": "z"}),
    lambda t: t.merge_insert("n").when_not_matched_insert_all().execute([{"n": 9, "s": "z"}]),
    lambda t: t.configure(on_error="skip"),
    lambda t: t.optimize(),
    lambda t: t.repair(),
    lambda t: t.retry_failed(),
]


@pytest.mark.parametrize("version", [1, 3])
@pytest.mark.parametrize("write", WRITES)
def test_nothing_is_written_while_a_version_is_checked_out(
    grown: embow.Table, write: Callable[[embow.Table], Any], version: int
) -> None:
    """Also where the latest number is; the error says how to get back."""
    grown.checkout(version)
    with pytest.raises(CheckedOutError, match=r"cannot be modified.*checkout_latest\(\)") as caught:
        write(grown)
    assert isinstance(caught.value, ValueError)
    grown.checkout_latest()
    assert grown.version == 3
    write(grown)


@pytest.mark.parametrize("version", [0, -1, 4, 999, True, "1", "no-such-tag", None, 1.0])
def test_versions_that_are_not_there_are_refused(grown: embow.Table, version: Any) -> None:
    """The table stays at the version it was at."""
    with pytest.raises(VersionNotFoundError):
        grown.checkout(version)
    if version is not None:
        with pytest.raises(VersionNotFoundError):
            grown.restore(version)
    assert grown.version == 3


def test_restore_makes_a_new_version_equal_to_the_old_one(grown: embow.Table) -> None:
    """By checkout or by number; nothing of the history is lost, and the table can be written."""
    grown.checkout(1)
    grown.restore()
    assert (grown.version, numbers(grown)) == (4, [1])
    grown.restore(3)
    assert (grown.version, numbers(grown)) == (5, [1, 2, 3])
    grown.add([{"n": 6, "s": "f"}])
    assert grown.version == 6
    assert [v["version"] for v in grown.list_versions()] == [1, 2, 3, 4, 5, 6]


def test_restore_without_a_version_is_refused(grown: embow.Table) -> None:
    """Nothing is checked out, so there is nothing to make the latest."""
    with pytest.raises(ConfigurationError, match="checkout"):
        grown.restore()
    assert grown.version == 3


def test_restore_brings_the_functions_of_then_back(
    db: embow.Database, words: embow.Table, letters: Any
) -> None:
    """Vectors and the function that made them belong together."""
    words.add([{"text": "fig"}])
    before = words.version
    words.migrate("vector", letters.create(scale=2.0))
    words.restore(before)
    words.add([{"text": "fig"}])
    assert [row["_distance"] for row in words.search("fig").to_list()] == [0.0, 0.0]
    assert words.verify().ok


def test_tags_name_versions(db: embow.Database, grown: embow.Table) -> None:
    """They are made, moved, listed, deleted, and taken wherever a version is."""
    grown.tags.create("first", 1)
    assert grown.tags.list() == {"first": {"version": 1}}
    assert numbers(db.open_table("t", version="first")) == [1]
    grown.tags.update("first", 2)
    assert grown.tags.get_version("first") == 2
    grown.checkout("first")
    assert grown.version == 2
    grown.restore("first")
    assert (grown.version, numbers(grown)) == (4, [1, 2])
    grown.tags.delete("first")
    assert grown.tags.list() == {}


def test_mistakes_with_tags_are_refused(grown: embow.Table) -> None:
    """A tag is made once, and names a version that is there."""
    grown.tags.create("a", 1)
    with pytest.raises(TagError, match="'a'"):
        grown.tags.create("a", 2)
    for call in (lambda: grown.tags.update("b", 1), lambda: grown.tags.delete("b")):
        with pytest.raises(TagError, match="'b'"):
            call()
    with pytest.raises((TagError, VersionNotFoundError), match="'b'"):
        grown.tags.get_version("b")
    for version in (9, True, "a"):
        with pytest.raises(VersionNotFoundError):
            grown.tags.create("c", version)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="A tag is a name"):
        grown.tags.create(5, 1)  # type: ignore[arg-type]
    assert grown.tags.list() == {"a": {"version": 1}}


def test_optimize_keeps_the_latest_version_and_tagged_ones(grown: embow.Table) -> None:
    """With no time to keep, everything else goes; the default keeps all of a young table."""
    assert grown.optimize().versions_removed == 0
    before = grown.version
    grown.tags.create("first", 1)
    report = grown.optimize(cleanup_older_than=timedelta(0))
    assert isinstance(report, OptimizeReport)
    kept = [each["version"] for each in grown.list_versions()]
    assert kept[0] == 1
    assert kept[-1] == grown.version
    with pytest.raises(VersionNotFoundError):
        grown.checkout(2)
    assert before <= grown.version
    grown.checkout("first")
    assert numbers(grown) == [1]


def test_optimize_takes_a_timedelta(grown: embow.Table) -> None:
    """A number of days is no time."""
    with pytest.raises(ConfigurationError, match="timedelta"):
        grown.optimize(cleanup_older_than=7)  # type: ignore[arg-type]


def test_what_changes_nothing_makes_no_version(grown: embow.Table) -> None:
    """A delete or update of nothing and an empty add leave the number alone, and report it."""
    assert grown.delete("n = 100").version == 3
    assert grown.update(where="n = 100", values={"s": "z"}).version == 3
    assert grown.add([]).version == 3
    assert grown.version == 3


def test_reports_name_the_version_of_the_table(db: embow.Database, words: embow.Table) -> None:
    """After each call the number reported is the one the table has."""
    assert words.version == 1
    assert words.last_report is not None
    assert words.last_report.version == 1
    assert words.add([{"text": "fig"}]).version == words.version == 2
    assert words.update(values={"text": "plum"}).version == words.version == 3
    merge = words.merge_insert("text").when_matched_update_all()
    assert merge.execute([{"text": "plum", "tag": "t"}]).version == words.version == 4
    assert words.add([{"text": "a"}], mode="overwrite").version == words.version == 5
    assert words.delete("true").version == words.version == 6


def test_overwriting_a_table_keeps_its_history(db: embow.Database, grown: embow.Table) -> None:
    """It is the next version, with a schema of its own, and the earlier ones can be read."""
    other = db.create_table("t", [{"other": 1.5}], mode="overwrite")
    assert other.version == 4
    assert other.to_arrow().to_pylist() == [{"other": 1.5}]
    assert numbers(db.open_table("t", version=3)) == [1, 2, 3]
    other.restore(2)
    assert numbers(other) == [1, 2]
