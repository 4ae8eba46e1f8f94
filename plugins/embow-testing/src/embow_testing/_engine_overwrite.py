"""The part of the engine suite about tables that are replaced."""

from __future__ import annotations

from contextlib import suppress

import pyarrow as pa
import pytest

from embow.engines.contract import Change, EngineTable
from embow.errors import EngineError, SchemaError
from embow_testing._engine_base import (
    SCHEMA,
    EngineTests,
    add,
    batch,
    conflict,
    ids,
    now,
    put_column,
    read,
    rows,
    set_metadata,
    stage,
)
from embow_testing._engine_evolution import NUMBER

OTHER = pa.schema([pa.field("id", pa.int32()), pa.field("word", pa.string())])


class OverwriteSuite(EngineTests):
    """Everything is replaced in one commit."""

    def test_overwriting_replaces_everything(self, table: EngineTable) -> None:
        """Rows, schema and metadata; in one version more."""
        data = pa.record_batch([pa.array([8], pa.int32()), ["w"]], schema=OTHER)
        with table.snapshot() as snapshot:
            staged = table.write([data], base=snapshot.base, schema=OTHER)
            commit = table.overwrite(OTHER, [staged], base=snapshot.base, metadata={"a": "b"})
        assert (commit.version, commit.rows_added, commit.rows_removed) == (2, 1, 5)
        with table.snapshot() as snapshot:
            found = (snapshot.schema, dict(snapshot.metadata), read(snapshot, "word"))
        assert found == (OTHER, {"a": "b"}, ["w"])

    def test_overwriting_needs_no_rows(self, table: EngineTable) -> None:
        """And leaves no metadata where none are given."""
        table.overwrite(SCHEMA, base=now(table))
        with table.snapshot() as snapshot:
            assert (snapshot.count_rows(), dict(snapshot.metadata)) == (0, {})
        add(table, 1)
        assert ids(table) == [1]

    def test_overwriting_waits_for_nobody(self, table: EngineTable) -> None:
        """Whatever was committed since, also to schema and metadata."""
        staged = stage(table, 9)
        add(table, 5)
        set_metadata(table, {"a": "b"})
        put_column(table, NUMBER, {0: 1})
        table.overwrite(SCHEMA, [staged], base=staged.base)
        with table.snapshot() as snapshot:
            assert (snapshot.schema, read(snapshot)) == (SCHEMA, [9])

    def test_an_overwrite_repeated_gives_the_earlier_commit(self, table: EngineTable) -> None:
        """Rows that came since are not lost to a lost answer."""
        staged = stage(table, 9)
        first = table.overwrite(SCHEMA, [staged], base=staged.base)
        add(table, 10)
        assert table.overwrite(SCHEMA, [staged], base=staged.base) == first
        assert ids(table) == [9, 10]

    def test_what_was_planned_before_conflicts(self, table: EngineTable) -> None:
        """Rows for the old schema stay out, and its row ids name nothing."""
        staged = stage(table, 5)
        with table.snapshot() as snapshot:
            change = Change(snapshot.base, remove=snapshot.row_ids())
            table.overwrite(OTHER, base=snapshot.base)
        for stale in (change, Change(staged.base, add=[staged])):
            conflict(table, stale)
        with table.snapshot() as snapshot:
            assert (snapshot.schema, snapshot.count_rows()) == (OTHER, 0)

    def test_rows_staged_for_another_schema_are_not_misread(self, table: EngineTable) -> None:
        """Columns are known by name, not by place: refused on the new base, or null."""
        swapped = pa.schema([pa.field("other", pa.int64()), pa.field("text", pa.string())])
        staged = stage(table, 9)
        table.overwrite(swapped, base=staged.base)
        with suppress(EngineError):
            table.commit(Change(now(table), add=[staged]))
        with table.snapshot() as snapshot:
            assert (read(snapshot, "other"), read(snapshot, "text")) in (
                ([], []),
                ([None], ["t9"]),
            )

    def test_row_ids_are_not_used_again(self, table: EngineTable) -> None:
        """A removal planned before the overwrite hits none of the new rows."""
        with table.snapshot() as snapshot:
            stale = snapshot.row_ids()
            staged = table.write([batch(rows(0, 1, 2, 3, 4))], base=snapshot.base)
            table.overwrite(SCHEMA, [staged], base=snapshot.base)
        with table.snapshot() as snapshot:
            assert not set(stale.tolist()) & set(snapshot.row_ids().tolist())

    def test_a_schema_that_cannot_be_stored_is_refused(self, table: EngineTable) -> None:
        """As at creation; the table stays as it is."""
        with table.snapshot() as snapshot, pytest.raises(SchemaError):
            table.overwrite(pa.schema({"a.b": pa.int64()}), base=snapshot.base)
        assert ids(table) == [0, 1, 2, 3, 4]
