"""Calls that end once their time is over."""

from __future__ import annotations

from typing import Any

import pytest

import embow
from embow.errors import TimeLimitError


def test_a_call_within_its_time_is_as_without(db: embow.Database) -> None:
    """Reading and writing; ``None`` is no limit."""
    table = db.create_table("t", [{"a": 1}])
    for seconds in (600, None):
        with embow.time_limit(seconds):
            table.add([{"a": 2}])
            assert table.search().limit(1).to_list() == [{"a": 1}]


def test_nothing_is_read_or_written_once_the_time_is_over(db: embow.Database) -> None:
    """A read, an add and a merge raise; the table is as it was."""
    table = db.create_table("t", [{"a": 1}])
    merge = table.merge_insert("a").when_not_matched_insert_all()
    for call in (table.to_arrow, lambda: table.add([{"a": 2}]), lambda: merge.execute([{"a": 3}])):
        with pytest.raises(TimeLimitError, match="time limit of 0 s"), embow.time_limit(0):
            call()
    assert table.to_arrow()["a"].to_pylist() == [1]


def test_an_add_stops_between_requests(db: embow.Database, letters: Any) -> None:
    """A time that ends while embedding sends nothing more and commits nothing."""
    function = embow.get_registry().get("letters").create()

    class Words(embow.Model):
        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()

    table = db.create_table("t", schema=Words)
    with pytest.raises(TimeoutError), embow.time_limit(0):
        table.add([{"text": "a"}])
    assert letters.sent == []
    assert table.count_rows() == 0


def test_limits_nest(db: embow.Database) -> None:
    """The tighter one holds, whichever is outside; after it calls run again."""
    table = db.create_table("t", [{"a": 1}])
    for outer, inner in ((0, 600), (600, 0)):
        with (
            pytest.raises(TimeLimitError, match="limit of 0 s"),
            embow.time_limit(outer),
            embow.time_limit(inner),
        ):
            table.to_arrow()
    assert len(table) == 1
