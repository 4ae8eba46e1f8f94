"""Tables of strangers: what they hold can be read, what they ask for is not done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

import embow
from embow.embeddings._functions import forget_functions
from embow.embeddings.types import external
from embow.errors import UntrustedError

ADDRESS = "http://models.example/v1"


@embow.register("addressed")
class Addressed(embow.TextEmbeddingFunction):
    """A function whose setting says where texts are sent."""

    address: Annotated[str, external] = "http://localhost"
    scale: float = 1.0

    def ndims(self) -> int:
        """Return 2."""
        return 2

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Return the length of each text."""
        return np.array([[len(text) * self.scale, 1] for text in texts], np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A database with one table, made here."""
    function = Addressed.create(address=ADDRESS)

    class Words(embow.Model):
        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()

    with embow.connect(tmp_path / "db") as db:
        db.create_table("words", [{"text": "fig"}, {"text": "plums"}], schema=Words)
    return tmp_path / "db"


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], None]:
    """Become another user, in a process that never made the function."""

    def become() -> None:
        monkeypatch.setenv("EMBOW_CONFIG_DIR", str(tmp_path / "stranger"))
        forget_functions()

    return become


ASKING: list[Callable[[embow.Table], Any]] = [
    lambda t: t.search("fig").to_list(),
    lambda t: t.add([{"text": "kiwi"}]),
    lambda t: t.update(values={"text": "kiwi"}),
    lambda t: t.merge_insert("text").when_not_matched_insert_all().execute([{"text": "kiwi"}]),
    lambda t: t.embedding_functions,
    lambda t: t.verify(remote=True),
]


@pytest.mark.parametrize("call", ASKING)
def test_a_strangers_function_is_not_called(
    folder: Path, stranger: Callable[[], None], call: Callable[[embow.Table], Any]
) -> None:
    """The error names the setting, its value and how to allow it; nothing is changed."""
    stranger()
    with embow.connect(folder) as db:
        table = db.open_table("words")
        with pytest.raises(UntrustedError, match=r"address.*models\.example.*trust=\["):
            call(table)
        assert table.version == 1


def test_what_needs_no_function_works(folder: Path, stranger: Callable[[], None]) -> None:
    """Reading, counting, searching by vector, adding with vectors, deleting, checking out."""
    stranger()
    with embow.connect(folder) as db:
        table = db.open_table("words")
        assert table.to_arrow()["text"].to_pylist() == ["fig", "plums"]
        assert table.count_rows("text = 'fig'") == 1
        assert table.search([5.0, 1.0]).limit(1).to_list()[0]["text"] == "plums"
        table.add([{"text": "kiwi", "vector": [4.0, 1.0]}])
        table.delete("text = 'kiwi'")
        assert table.verify().ok
        table.checkout(1)
        assert table.schema.names == ["text", "vector"]


@pytest.mark.parametrize("trust", [True, [ADDRESS], ["http://models.example"]])
def test_a_program_can_allow_what_a_table_asks_for(
    folder: Path, stranger: Callable[[], None], trust: Any
) -> None:
    """All of it, or the address by its beginning."""
    stranger()
    with embow.connect(folder, trust=trust) as db:
        table = db.open_table("words")
        assert table.search("four").limit(1).to_list()[0]["_distance"] == 1.0
        assert table.embedding_functions["vector"].function.address == ADDRESS


def test_another_address_stays_refused(folder: Path, stranger: Callable[[], None]) -> None:
    """What is allowed is not a beginning of what is asked for."""
    stranger()
    with (
        embow.connect(folder, trust=["http://models.example.org"]) as db,
        pytest.raises(UntrustedError),
    ):
        db.open_table("words").search("fig").to_list()


def test_a_later_process_of_the_same_user_is_asked_for_nothing(folder: Path) -> None:
    """The signature left in the table stands for what the earlier one allowed."""
    forget_functions()
    with embow.connect(folder) as db:
        assert db.open_table("words").search("fig").limit(1).to_list()[0]["_distance"] == 0.0


def test_the_signature_survives_what_changes_the_table(
    folder: Path, stranger: Callable[[], None]
) -> None:
    """After a migration, the way back and a restore, the same user is still not asked."""
    with embow.connect(folder) as db:
        db.open_table("words").migrate("vector", Addressed.create(address=ADDRESS, scale=2.0))
    for step in ("now", "rollback", "restore", "overwrite"):
        forget_functions()
        with embow.connect(folder) as db:
            table = db.open_table("words")
            if step == "rollback":
                table.rollback("vector")
            elif step == "restore":
                table.restore(1)
            elif step == "overwrite":
                table.add([{"text": "fig"}], mode="overwrite")
            assert table.search("fig").limit(1).to_list()[0]["_distance"] == 0.0
    stranger()
    with embow.connect(folder) as db, pytest.raises(UntrustedError):
        db.open_table("words").search("fig").to_list()


def test_changing_a_strangers_table_does_not_make_it_ones_own(
    folder: Path, stranger: Callable[[], None]
) -> None:
    """Also where the program allowed what it asks for."""
    stranger()
    with embow.connect(folder, trust=True) as db:
        table = db.open_table("words")
        table.configure(on_error="skip")
        table.add_embedding("other", "text", Addressed.create(scale=3.0))
        table.migrate("other", Addressed.create(scale=4.0))
        table.restore(1)
        copied = table.schema
        db.create_table("copy", schema=copied)
    forget_functions()
    with embow.connect(folder) as db:
        for name in ("words", "copy"):
            with pytest.raises(UntrustedError):
                db.open_table(name).add([{"text": "fig"}])
        with pytest.raises(UntrustedError):
            db.create_table("another", [{"text": "fig"}], schema=copied)


def test_trust_is_a_bool_or_a_list(tmp_path: Path) -> None:
    """A number is neither."""
    with pytest.raises(embow.errors.ConfigurationError, match="trust must be"):
        embow.connect(tmp_path / "db", trust=5)  # type: ignore[arg-type]
