"""A model that changed behind its name is noticed before its vectors meet the former one's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import embow
from embow.embeddings import TextEmbeddingFunction, register
from embow.embeddings.types import Limits
from embow.errors import BadInputError, IdentityMismatchError

Open = Callable[[], embow.Table]


class Served(TextEmbeddingFunction):
    """A vendor's model; ``served`` says which one answers by its name today."""

    remote: ClassVar[bool] = True
    served: ClassVar[int] = 0
    at_most: ClassVar[int | None] = None
    asked: ClassVar[list[list[str]]] = []
    refuse: ClassVar[set[str]] = set()

    name: str = "latest"

    def ndims(self) -> int:
        """Return 16."""
        return 16

    def limits(self) -> Limits:
        """Return what the test set."""
        return Limits(max_items=Served.at_most)

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Answer with what today's model makes of each text."""
        Served.asked.append(list(texts))
        for at, text in enumerate(texts):
            if text in self.refuse:
                raise BadInputError("refused", row=at)
        seeds = [[Served.served, *text.encode()] for text in texts]
        return [np.random.default_rng(seed).standard_normal(16) for seed in seeds]


@pytest.fixture(autouse=True)
def served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin each test with the first model."""
    register("served")(Served)
    for name, value in {"served": 0, "at_most": None, "asked": [], "refuse": set()}.items():
        monkeypatch.setattr(Served, name, value)


@pytest.fixture
def reopened(tmp_path: Path) -> Iterator[Open]:
    """Open one table again and again, each time as another process would."""
    open_ones: list[embow.Database] = []
    function = Served.create()

    class Rows(embow.Model):
        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()

    def reopen() -> embow.Table:
        db = embow.connect(tmp_path / "db")
        open_ones.append(db)
        if "rows" not in db:
            db.create_table("rows", schema=Rows)
        Served.asked.clear()
        return db.open_table("rows")

    yield reopen
    for db in open_ones:
        db.close()


def add(table: embow.Table, *texts: str, **options: Any) -> Any:
    """Add texts as rows."""
    return table.add([{"text": text} for text in texts], progress=False, **options)


def test_another_model_behind_the_name_is_refused(reopened: Open) -> None:
    """Nothing is stored, and the message names the ways on."""
    add(reopened(), "apple", "pear")
    Served.served = 1
    table = reopened()
    version = table.version
    for _ in range(2):
        with pytest.raises(IdentityMismatchError, match="served/latest no longer makes") as caught:
            add(table, "plum", "fig")
    assert all(way in str(caught.value) for way in ("migrate(", "rebind(", "verify(remote=True)"))
    assert (table.version, table.count_rows()) == (version, 2)


def test_what_the_other_model_made_does_not_stay_in_the_cache(reopened: Open) -> None:
    """When the former model is back, its own vectors are asked for."""
    add(reopened(), "apple")
    Served.served = 1
    with pytest.raises(IdentityMismatchError):
        add(reopened(), "plum")
    Served.served = 0
    table = reopened()
    assert add(table, "plum").embedded == 1
    assert table.verify(remote=True).ok


def test_a_stored_source_rides_along_once(reopened: Open) -> None:
    """It takes no request, no row and no count of its own, and the next add is without it."""
    add(reopened(), "apple", "pear")
    table = reopened()
    seen: list[Any] = []
    report = table.add([{"text": "plum"}], progress=seen.append)
    add(table, "fig")
    assert Served.asked == [["plum", "apple"], ["fig"]]
    assert (report.rows, report.embedded, report.requests, report.version) == (1, 1, 1, 3)
    assert {update.rows for update in seen} <= {0, 1}


def test_nothing_rides_where_nothing_is_stored(reopened: Open) -> None:
    """Neither in an empty table nor where all vectors were the user's own."""
    table = reopened()
    add(table, "apple")
    add(table, "pear")
    assert Served.asked == [["apple"], ["pear"]]


def test_own_vectors_are_no_witness(reopened: Open) -> None:
    """A vector the user brought says nothing about the model."""
    reopened().add([{"text": "apple", "vector": [1.0] * 16}])
    table = reopened()
    add(table, "pear")
    assert Served.asked == [["pear"]]


def test_rows_from_the_cache_ask_for_nothing(reopened: Open) -> None:
    """The look waits for the first request there is."""
    add(reopened(), "apple", "pear")
    table = reopened()
    add(table, "pear")
    add(table, "fig")
    assert Served.asked == [["fig", "apple"]]


def test_room_is_left_in_a_full_request(reopened: Open) -> None:
    """No request holds more than the vendor allows."""
    add(reopened(), "apple")
    Served.at_most = 3
    add(reopened(), *"bcdefg")
    assert max(map(len, Served.asked)) == 3
    assert sum(map(len, Served.asked)) == 7


def test_a_vendor_of_one_input_a_request_is_asked_once_more(reopened: Open) -> None:
    """Beside the row, since the two cannot go together."""
    add(reopened(), "apple")
    Served.at_most = 1
    add(reopened(), "pear", "plum")
    assert sorted(Served.asked) == [["apple"], ["pear"], ["plum"]]


@pytest.mark.parametrize("refused", ["apple", "plum"])
def test_a_refused_input_is_told_from_the_one_that_rides(reopened: Open, refused: str) -> None:
    """A row is blamed for itself only."""
    add(reopened(), "apple")
    Served.refuse.add(refused)
    report = add(reopened(), "pear", "plum", on_error="skip")
    assert [failed.row for failed in report.failed] == ([1] if refused == "plum" else [])


def test_rebind_does_not_believe_the_cache(reopened: Open) -> None:
    """The vectors it holds are the former model's."""
    add(reopened(), "apple")
    Served.served = 1
    table = reopened()
    with pytest.raises(IdentityMismatchError, match="smallest cosine"):
        table.rebind("vector", Served.create())
