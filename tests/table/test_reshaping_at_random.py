"""Columns and keyed rows changed at random, against a plain Python model; every version is read."""

from __future__ import annotations

import shutil
import tempfile
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import embow
from embow.errors import DataError, DuplicateKeyError, SchemaError

IDS = st.integers(0, 9)
NAMES = st.sampled_from(["a", "b", "größe", "two words", "text", "x"])
WORDS = st.sampled_from(["fig", "plum", "", "cherry pie"])
Rows = dict[int, dict[str, Any]]


@embow.register("sizes")
class Sizes(embow.TextEmbeddingFunction):
    """Two numbers a text, exact in float32."""

    def ndims(self) -> int:
        """Return 2."""
        return 2

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Return length and first letter."""
        return np.array([_vector(text) for text in texts], dtype=np.float32)


def _vector(text: str) -> list[float]:
    return [float(len(text)), float(ord(text[0]))]


def _quoted(name: str) -> str:
    return f'"{name}"'


class Reshaping(RuleBasedStateMachine):
    """Applies each operation to a table and to rows by key; ``source`` and ``vector`` by name."""

    @initialize()
    def start(self) -> None:
        """Make an empty table with a key, a source and its vector."""
        self.folder = tempfile.mkdtemp()
        self.db = embow.connect(self.folder)
        function = Sizes.create()

        class Words(embow.Model):
            id: int = embow.KeyField()
            text: str = function.SourceField()
            vector: embow.Vector = function.VectorField()

        self.table = self.db.create_table("words", schema=Words)
        self.rows: Rows = {}
        self.key, self.source, self.vector = "id", "text", "vector"
        self.others: dict[str, pa.DataType] = {}
        self.versions: dict[int, Any] = {}
        self.keep()

    def keep(self) -> None:
        """Note what the version that was just made holds."""
        names = (self.key, self.source, self.vector)
        rows = {key: dict(row) for key, row in self.rows.items()}
        self.versions[self.table.version] = (rows, names, dict(self.others))

    @property
    def names(self) -> set[str]:
        """All columns."""
        return {self.key, self.source, self.vector, *self.others}

    @rule(new=st.dictionaries(IDS, WORDS, max_size=4))
    def add(self, new: dict[int, str]) -> None:
        """Append rows; where one key is taken, none."""
        rows = [{self.key: i, self.source: text} for i, text in new.items()]
        if any(i in self.rows for i in new):
            with pytest.raises(DuplicateKeyError):
                self.table.add(rows)
        else:
            self.table.add(rows)
            for i, text in new.items():
                self.rows[i] = {self.source: text, **dict.fromkeys(self.others)}
        self.keep()

    @rule(new=st.dictionaries(IDS, WORDS, max_size=4))
    def upsert(self, new: dict[int, str]) -> None:
        """Change the rows that are there, and add the others."""
        self.table.upsert([{self.key: i, self.source: text} for i, text in new.items()])
        for i, text in new.items():
            row = self.rows.setdefault(i, dict.fromkeys(self.others))
            row[self.source] = text
        self.keep()

    @rule(one=IDS, other=IDS)
    def rekey(self, one: int, other: int) -> None:
        """Give a row another key, unless that is taken."""
        call = lambda: self.table.update(f"{_quoted(self.key)} = {one}", {self.key: other})  # noqa: E731
        if one in self.rows and other in self.rows and one != other:
            with pytest.raises(DuplicateKeyError):
                call()
        else:
            call()
            if one in self.rows:
                self.rows[other] = self.rows.pop(one)
        self.keep()

    @rule(keys=st.lists(IDS, max_size=3))
    def delete(self, keys: list[int]) -> None:
        """Remove rows by key."""
        self.table.delete(keys=keys)
        for key in keys:
            self.rows.pop(key, None)
        self.keep()

    @rule(name=NAMES)
    def add_column(self, name: str) -> None:
        """Add a computed column, unless the name is taken."""
        key = _quoted(self.key)
        if name in self.names:
            with pytest.raises(SchemaError):
                self.table.add_columns({name: key})
            return
        self.table.add_columns({name: f"{key} * 2"})
        self.others[name] = pa.int64()
        for i, row in self.rows.items():
            row[name] = i * 2
        self.keep()

    @rule(name=NAMES)
    def bring_column(self, name: str) -> None:
        """Let a row bring a column."""
        free = next((i for i in range(10) if i not in self.rows), None)
        if name in self.names or free is None:
            return
        row = {self.key: free, self.source: "fig", name: "new"}
        self.table.add([row], new_columns=True)
        self.others[name] = pa.string()
        for each in self.rows.values():
            each[name] = None
        self.rows[free] = {self.source: "fig", **dict.fromkeys(self.others), name: "new"}
        self.keep()

    @rule(data=st.data(), to=NAMES)
    def rename(self, data: st.DataObject, to: str) -> None:
        """Call a column something else, unless the name is taken."""
        name = data.draw(st.sampled_from(sorted(self.names)))
        if to in self.names - {name}:
            with pytest.raises(SchemaError):
                self.table.alter_columns({"path": name, "rename": to})
            return
        self.table.alter_columns({"path": name, "rename": to})
        for attribute in ("key", "source", "vector"):
            if getattr(self, attribute) == name:
                setattr(self, attribute, to)
        self.others = {to if n == name else n: kind for n, kind in self.others.items()}
        self.rows = {
            i: {to if n == name else n: value for n, value in row.items()}
            for i, row in self.rows.items()
        }
        self.keep()

    @precondition(lambda self: self.others)
    @rule(data=st.data())
    def retype(self, data: st.DataObject) -> None:
        """Make a column text."""
        name = data.draw(st.sampled_from(sorted(self.others)))
        self.table.alter_columns({"path": name, "data_type": pa.string()})
        self.others[name] = pa.string()
        for row in self.rows.values():
            row[name] = None if row[name] is None else str(row[name])
        self.keep()

    @precondition(lambda self: self.others)
    @rule(data=st.data())
    def refuse_nulls(self, data: st.DataObject) -> None:
        """Say that a column is never null, and take that back."""
        name = data.draw(st.sampled_from(sorted(self.others)))
        if any(row[name] is None for row in self.rows.values()):
            with pytest.raises(DataError):
                self.table.alter_columns({"path": name, "nullable": False})
            return
        self.table.alter_columns({"path": name, "nullable": False})
        assert not self.table.schema.field(name).nullable  # Not kept: rows to come lack it.
        self.table.alter_columns({"path": name, "nullable": True})
        self.keep()

    @precondition(lambda self: self.others)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        """Take a column away."""
        name = data.draw(st.sampled_from(sorted(self.others)))
        self.table.drop_columns([name])
        del self.others[name]
        for row in self.rows.values():
            del row[name]
        self.keep()

    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        """Go back to a version, its columns included."""
        wanted = data.draw(st.sampled_from(sorted(self.versions)))
        self.table.restore(wanted)
        rows, (self.key, self.source, self.vector), others = self.versions[wanted]
        self.rows = {key: dict(row) for key, row in rows.items()}
        self.others = dict(others)
        self.keep()

    @rule()
    def optimize(self) -> None:
        """Merge files, and drop what is hidden from all versions."""
        self.table.optimize()
        self.keep()

    @rule()
    def forget(self) -> None:
        """Merge files, and forget all versions but the last."""
        self.table.optimize(timedelta(0))
        self.versions.clear()
        self.keep()

    @rule()
    def reopen(self) -> None:
        """Close and open the database."""
        self.db.close()
        self.db = embow.connect(self.folder)
        self.table = self.db.open_table("words")

    @invariant()
    def same(self) -> None:
        """The table holds the model's rows and columns."""
        if not hasattr(self, "table"):
            return
        self.holds(self.rows, (self.key, self.source, self.vector), self.others)
        assert self.table.verify().ok
        some = sorted(self.rows)[:2]
        assert [row[self.key] for row in self.table.get(some[::-1]).to_pylist()] == some[::-1]

    def holds(self, rows: Rows, names: Any, others: dict[str, pa.DataType]) -> None:
        """Compare what is read with rows and columns."""
        key, source, vector = names
        table = self.table.to_arrow()
        assert set(table.schema.names) == {*names, *others}
        assert {name: table.schema.field(name).type for name in others} == others
        assert self.table.primary_key == (key,)
        found = {row.pop(key): row for row in table.to_pylist()}
        expected = {
            i: {**row, vector: _vector(row[source]) if row[source] else None}
            for i, row in rows.items()
        }
        assert found == expected

    def teardown(self) -> None:
        """Read every version, and remove the folder."""
        if not hasattr(self, "db"):
            return
        for version, kept in self.versions.items():
            self.table.checkout(version)
            self.holds(*kept)
        self.db.close()
        shutil.rmtree(self.folder)


TestReshaping = Reshaping.TestCase
TestReshaping.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
