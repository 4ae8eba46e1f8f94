"""A database in a temporary folder, and embedding functions whose calls can be counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import embow
from embow.embeddings import TextEmbeddingFunction, register
from embow.pipeline._cached import SAMPLE


@register("letters")
class Letters(TextEmbeddingFunction):
    """Counts the letters of a text: equal texts agree, anagrams too."""

    name: str = "letters-1"
    scale: float = 1.0
    sent: ClassVar[list[str]] = []
    refuse: ClassVar[set[str]] = set()

    def ndims(self) -> int:
        """Return 26."""
        return 26

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Count letters; a refused text is a bad input."""
        from embow.errors import BadInputError

        for text in texts:
            if text in self.refuse:
                raise BadInputError(f"refused {text!r}")
        Letters.sent.extend(texts)
        vectors = np.zeros((len(texts), 26), dtype=np.float32)
        for row, text in enumerate(texts):
            for letter in text.lower():
                if "a" <= letter <= "z":
                    vectors[row, ord(letter) - 97] += self.scale
        return vectors


@pytest.fixture(autouse=True)
def fresh_letters() -> None:
    """Forget what earlier tests sent and refused."""
    Letters.sent.clear()
    Letters.refuse.clear()


@pytest.fixture
def letters() -> type[Letters]:
    """The class, to read ``sent`` and set ``refuse``."""
    return Letters


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the cache of databases without a folder out of the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(params=["memory", "folder"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[embow.Database]:
    """An empty database, in memory and in a folder."""
    uri = "memory://" if request.param == "memory" else tmp_path / "db"
    with embow.connect(uri) as database:
        yield database


@pytest.fixture
def words(db: embow.Database) -> embow.Table:
    """A table whose ``text`` is embedded into ``vector``."""
    function = Letters.create()

    class Words(embow.Model):
        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()
        tag: str | None = None

    return db.create_table("words", schema=Words)


@pytest.fixture
def rows_sent(letters: type[Letters]) -> Any:
    """Texts sent to the function so far, without the one that tells whether a model is the same.

    That goes out where a machine was so busy that keeping the vectors seemed worth it.
    """
    return lambda: [text for text in letters.sent if text != SAMPLE]
