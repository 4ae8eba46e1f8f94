"""A database of the former format, through the faces of this one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import embow

FIXTURE = Path(__file__).parents[1] / "engines" / "fixtures" / "format1" / "db"


@pytest.fixture
def former(tmp_path: Path, letters: Any) -> Iterator[embow.Database]:
    """A copy of it; one row waits in quarantine, and a column was migrated."""
    shutil.copytree(FIXTURE, tmp_path / "db")
    with embow.connect(tmp_path / "db") as database:
        yield database


@pytest.mark.parametrize("name", ["words", "terms"])
def test_its_failed_rows_come_in_once(former: embow.Database, letters: Any, name: str) -> None:
    """They are found under the name of their table, also after that has a new one."""
    if name != "words":
        former.rename_table("words", name)
    words = former[name]
    before = len(words)
    assert words.failed_rows().select(["text", "error_kind"]).to_pylist() == [
        {"text": "refused", "error_kind": "bad_input"}
    ]
    letters.refuse.update({"refused", "more"})
    words.add([{"text": "more", "length": 4}])
    assert words.retry_failed().rows == 0
    letters.refuse.clear()
    assert [words.retry_failed().rows for _ in range(2)] == [2, 0]
    assert (len(words), len(words.failed_rows())) == (before + 2, 0)


def test_a_dropped_table_takes_its_failed_rows_along(former: embow.Database) -> None:
    """A new table of that name has none."""
    schema = former["words"].schema
    former.drop_table("words")
    assert len(former.create_table("words", schema=schema).failed_rows()) == 0


def test_its_migrated_column_can_go_back_and_on(former: embow.Database, letters: Any) -> None:
    """The earlier vectors are kept under the name that the former format gave them."""
    words = former["words"]
    words.rollback("vector")
    assert words.embedding_functions["vector"].function.scale == 1.0
    assert words.repair().rows == 3  # Those that came in after the migration.
    words.migrate("vector", letters.create(scale=3.0))
    words.rollback("vector")
    assert words.verify().ok
