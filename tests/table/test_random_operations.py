"""A table against a plain Python model under random operations."""

from __future__ import annotations

import shutil
import tempfile
from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import embow

TEXTS = st.sampled_from(["apple", "pear", "plum", "", "fig", "APPLE", "cherry pie", None])
IDS = st.integers(0, 9)


@embow.register("lengths")
class Lengths(embow.TextEmbeddingFunction):
    """Two numbers a text, exact in float32."""

    def ndims(self) -> int:
        """Return 2."""
        return 2

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Return length and first letter."""
        return np.array([_vector(text) for text in texts], dtype=np.float32)


def _vector(text: str) -> list[float]:
    return [float(len(text)), float(ord(text[0]))]


def _schema() -> type[embow.Model]:
    function = Lengths.create()

    class Words(embow.Model):
        id: int
        text: str | None = function.SourceField()
        vector: embow.Vector = function.VectorField()

    return Words


class TableMachine(RuleBasedStateMachine):
    """Applies each operation to a table and to a list of (id, text)."""

    @initialize()
    def start(self) -> None:
        """Make an empty table."""
        self.folder = tempfile.mkdtemp()
        self.db = embow.connect(self.folder)
        self.table = self.db.create_table("words", schema=_schema())
        self.rows: list[tuple[int, str | None]] = []

    @rule(rows=st.lists(st.tuples(IDS, TEXTS), max_size=4))
    def add(self, rows: list[tuple[int, str | None]]) -> None:
        """Append rows."""
        self.table.add([{"id": i, "text": t} for i, t in rows])
        self.rows += rows

    @rule(wanted=IDS, text=TEXTS)
    def update(self, wanted: int, text: str | None) -> None:
        """Change the text of one id."""
        self.table.update(where=f"id = {wanted}", values={"text": text})
        self.rows = [(i, text if i == wanted else t) for i, t in self.rows]

    @rule(limit=IDS)
    def delete(self, limit: int) -> None:
        """Remove large ids."""
        self.table.delete(f"id > {limit}")
        self.rows = [(i, t) for i, t in self.rows if i <= limit]

    @rule(rows=st.dictionaries(IDS, TEXTS, max_size=3))
    def merge(self, rows: dict[int, str | None]) -> None:
        """Update known ids and insert others."""
        (
            self.table.merge_insert("id")
            .when_matched_update_all()
            .when_not_matched_insert_all()
            .execute([{"id": i, "text": t} for i, t in rows.items()])
        )
        known = {i for i, _ in self.rows}
        self.rows = [(i, rows.get(i, t)) for i, t in self.rows]
        self.rows += [(i, t) for i, t in rows.items() if i not in known]

    @rule()
    def optimize(self) -> None:
        """Compact the files."""
        self.table.optimize()

    @rule()
    def reopen(self) -> None:
        """Close and open the database."""
        self.db.close()
        self.db = embow.connect(self.folder)
        self.table = self.db.open_table("words")

    @invariant()
    def same_rows(self) -> None:
        """The table holds the rows of the list, whatever the order, with their vectors."""
        if not hasattr(self, "table"):
            return
        stored = self.table.to_arrow().to_pylist()
        key = lambda pair: (pair[0], pair[1] is None, pair[1] or "")  # noqa: E731
        assert sorted(((r["id"], r["text"]) for r in stored), key=key) == sorted(self.rows, key=key)
        for row in stored:
            text = row["text"]
            assert row["vector"] == (_vector(text) if text else None)
        assert self.table.verify().ok

    @invariant()
    def search_is_exact(self) -> None:
        """The nearest rows are those a full comparison finds."""
        if not hasattr(self, "table"):
            return
        query = np.array([4.0, 100.0])
        vectors = [np.array(_vector(t)) for i, t in self.rows if t and i % 2]
        expected = sorted(float(((v - query) ** 2).sum()) for v in vectors)[:3]
        found = self.table.search(query).where("id % 2 = 1").limit(3).to_list()
        assert [row["_distance"] for row in found] == expected

    def teardown(self) -> None:
        """Remove the folder."""
        if hasattr(self, "db"):
            self.db.close()
            shutil.rmtree(self.folder)


TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
