"""The part of the engine suite about columns that come, go and change."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from embow.engines.base import (
    ROW_ID,
    Capability,
    Engine,
    EngineTable,
    ScanQuery,
    VectorQuery,
)
from embow.errors import (
    CommitConflictError,
    UnknownColumnError,
)
from embow.testing._engine_base import (
    EngineTests,
    batch,
    row_ids,
    rows,
)


class EvolutionSuite(EngineTests):
    """The schema changes; the rows stay."""

    def test_metadata_is_replaced(self, engine: Engine, table: EngineTable) -> None:
        """The new entries are there, the old ones are not."""
        self.needs(engine, Capability.SCHEMA_EVOLUTION)
        table.set_metadata({b"a": b"b"}, expected=table.schema())
        assert table.schema().metadata == {b"a": b"b"}

    def test_metadata_based_on_an_old_schema_is_a_conflict(
        self, engine: Engine, table: EngineTable
    ) -> None:
        """Of two writers that start from one schema, the second must look again."""
        self.needs(engine, Capability.SCHEMA_EVOLUTION)
        stale = table.schema()
        table.set_metadata({b"a": b"b"}, expected=stale)
        with pytest.raises(CommitConflictError):
            table.set_metadata({b"a": b"c"}, expected=stale)

    def test_a_column_is_added_by_row_id(self, engine: Engine, table: EngineTable) -> None:
        """Values arrive in any order; rows not mentioned get null."""
        self.needs(engine, Capability.SCHEMA_EVOLUTION)
        known = row_ids(table, "id IN (1, 3)")
        values = pa.record_batch({ROW_ID: pa.array(known[::-1]), "n": pa.array([30, 10])})
        table.add_column(pa.field("n", pa.int64()), [values])
        found = table.scan(ScanQuery(columns=["n"])).read_all()["n"].to_pylist()
        assert found == [None, 10, None, 30, None]

    def test_an_added_vector_column_is_searchable(self, engine: Engine, table: EngineTable) -> None:
        """The values count in a search at once, also for rows appended later."""
        self.needs(engine, Capability.SCHEMA_EVOLUTION | Capability.SEARCH)
        field = pa.field("v2", pa.list_(pa.float32(), 2))
        vectors = pa.array([[1.0, 0.0]], field.type)
        data = pa.record_batch([pa.array(row_ids(table, "id = 3")), vectors], names=[ROW_ID, "v2"])
        table.add_column(field, [data])
        table.append([pa.RecordBatch.from_pylist([{"id": 9, "v2": [1.0, 1.0]}], table.schema())])
        query = VectorQuery("v2", np.array([[1, 1]], np.float32), 5)
        assert table.search(query)[0]["id"].to_pylist() == [9, 3]

    def test_renaming_keeps_values(self, engine: Engine, table: EngineTable) -> None:
        """The column is found under its new name."""
        self.needs(engine, Capability.SCHEMA_EVOLUTION)
        table.alter_columns(rename={"text": "label"})
        found = table.scan(ScanQuery(columns=["label"])).read_all()["label"].to_pylist()
        assert found == ["t0", "t1", "t2", "t3", "t4"]

    def test_a_name_set_free_can_be_given_at_once(self, engine: Engine, table: EngineTable) -> None:
        """Dropping comes before renaming: this is how a rebuilt column takes over."""
        self.needs(engine, Capability.SCHEMA_EVOLUTION)
        field = pa.field("new", pa.string())
        data = {ROW_ID: pa.array(row_ids(table, "true")), "new": pa.array(list("abcde"))}
        table.add_column(field, [pa.record_batch(data)])
        table.alter_columns(drop=["text"], rename={"new": "text"})
        found = table.scan(ScanQuery(columns=["text"])).read_all()["text"].to_pylist()
        assert found == list("abcde")

    def test_a_column_stands_where_its_name_stood(self, engine: Engine, table: EngineTable) -> None:
        """The order of the columns stays when another one takes a name over."""
        self.needs(engine, Capability.SCHEMA_EVOLUTION)
        names = table.schema().names
        table.add_column(pa.field("new", table.schema().field("text").type), [])
        table.alter_columns(rename={"text": "old", "new": "text"})
        assert table.schema().names == [*names, "old"]

    def test_a_column_can_come_to_allow_nulls(self, engine: Engine, table: EngineTable) -> None:
        """And to refuse them again, under its new name."""
        self.needs(engine, Capability.SCHEMA_EVOLUTION)
        for nullable in (False, True):
            table.alter_columns(nullable={"text": nullable})
            assert table.schema().field("text").nullable is nullable

    def test_a_dropped_column_stays_away(self, engine: Engine, table: EngineTable) -> None:
        """A column added later under its name starts empty."""
        self.needs(engine, Capability.SCHEMA_EVOLUTION)
        table.alter_columns(drop=["text"])
        table.add_column(pa.field("text", pa.string()), [])
        found = table.scan(ScanQuery(columns=["text"])).read_all()["text"].to_pylist()
        assert found == [None] * 5

    def test_altering_an_old_version_is_a_conflict(
        self, engine: Engine, table: EngineTable
    ) -> None:
        """A change prepared on a version that has passed is refused."""
        self.needs(engine, Capability.SCHEMA_EVOLUTION)
        before = table.version()
        table.append([batch(rows(5))])
        with pytest.raises(CommitConflictError):
            table.alter_columns(drop=["text"], expected_version=before)

    def test_altering_an_unknown_column_is_refused(
        self, engine: Engine, table: EngineTable
    ) -> None:
        """The message names it."""
        self.needs(engine, Capability.SCHEMA_EVOLUTION)
        with pytest.raises(UnknownColumnError, match="nope"):
            table.alter_columns(rename={"nope": "x"})
