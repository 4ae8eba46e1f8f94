"""The part of the engine suite about databases and writes."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

from embow.engines.base import (
    Capability,
    Engine,
    EngineTable,
)
from embow.engines.predicate import parse_predicate
from embow.errors import (
    CommitConflictError,
    DataError,
    SchemaError,
    TableExistsError,
    TableNotFoundError,
    UnknownColumnError,
)
from embow.testing._engine_base import (
    SCHEMA,
    EngineTests,
    batch,
    ids,
    row_ids,
    rows,
)


class DatabaseSuite(EngineTests):
    """Tables come, go and are found."""

    def test_a_new_database_has_no_tables(self, engine: Engine) -> None:
        """Nothing is there before something was created."""
        assert engine.table_names() == []

    def test_names_are_sorted(self, engine: Engine) -> None:
        """Names come in alphabetical order whatever the order of creation."""
        for name in ("b", "a", "c"):
            engine.create_table(name, SCHEMA, [], overwrite=False)
        assert engine.table_names() == ["a", "b", "c"]

    def test_a_taken_name_is_refused(self, engine: Engine, table: EngineTable) -> None:
        """Creating over a table needs ``overwrite``."""
        with pytest.raises(TableExistsError, match="'t'"):
            engine.create_table("t", SCHEMA, [], overwrite=False)

    def test_overwriting_replaces_schema_and_rows(self, engine: Engine, table: EngineTable) -> None:
        """With ``overwrite`` neither old rows nor old columns remain."""
        schema = pa.schema({"other": pa.int8()})
        made = engine.create_table("t", schema, [], overwrite=True)
        assert (made.schema(), made.count_rows()) == (schema, 0)

    def test_an_unknown_table_names_what_there_is(self, engine: Engine, table: EngineTable) -> None:
        """A misspelt name is answered with the tables there are."""
        with pytest.raises(TableNotFoundError, match="'tt'"):
            engine.open_table("tt")

    def test_dropping_frees_the_name(self, engine: Engine, table: EngineTable) -> None:
        """A dropped table's name can be used again, for an empty table."""
        engine.drop_table("t")
        assert engine.create_table("t", SCHEMA, [], overwrite=False).count_rows() == 0

    def test_dropping_an_unknown_table_is_refused(self, engine: Engine) -> None:
        """There must be something to drop."""
        with pytest.raises(TableNotFoundError):
            engine.drop_table("t")

    def test_a_handle_of_a_dropped_table_says_so(self, engine: Engine, table: EngineTable) -> None:
        """A table that was dropped is not read as an empty one."""
        engine.drop_table("t")
        with pytest.raises(TableNotFoundError):
            table.count_rows()

    def test_renaming_keeps_the_rows(self, engine: Engine, table: EngineTable) -> None:
        """The new name leads to the same rows, the old one to nothing."""
        self.needs(engine, Capability.RENAME_TABLE)
        engine.rename_table("t", "u")
        assert (engine.table_names(), ids(engine.open_table("u"))) == (["u"], [0, 1, 2, 3, 4])

    def test_renaming_onto_a_table_is_refused(self, engine: Engine, table: EngineTable) -> None:
        """A rename never replaces another table."""
        self.needs(engine, Capability.RENAME_TABLE)
        engine.create_table("u", SCHEMA, [], overwrite=False)
        with pytest.raises(TableExistsError):
            engine.rename_table("t", "u")

    def test_creation_that_fails_leaves_no_table(self, engine: Engine) -> None:
        """Rows that cannot be read make no table."""

        def failing() -> Iterator[pa.RecordBatch]:
            yield batch(rows(1))
            raise RuntimeError("source broke")

        with pytest.raises(RuntimeError, match="source broke"):
            engine.create_table("t", SCHEMA, failing(), overwrite=False)
        assert engine.table_names() == []


class WriteSuite(EngineTests):
    """Rows go in and out, whole commits at a time."""

    def test_a_schema_comes_back_with_its_metadata(self, table: EngineTable) -> None:
        """Types, nullability and metadata are kept."""
        assert table.schema().equals(SCHEMA, check_metadata=True)

    def test_appended_rows_come_last(self, table: EngineTable) -> None:
        """A scan is in insertion order."""
        table.append([batch(rows(7, 6)), batch(rows(5))])
        assert ids(table) == [0, 1, 2, 3, 4, 7, 6, 5]

    def test_an_append_reports_its_rows(self, table: EngineTable) -> None:
        """The commit counts rows and names the version a reader then sees."""
        commit = table.append([batch(rows(5, 6))])
        assert (commit.rows_added, commit.version) == (2, table.version())

    def test_versions_grow(self, table: EngineTable) -> None:
        """Each commit has a higher version."""
        before = table.version()
        assert table.append([batch(rows(5))]).version > before

    def test_an_append_that_fails_adds_nothing(self, table: EngineTable) -> None:
        """Batches before the failure are not kept."""

        def failing() -> Iterator[pa.RecordBatch]:
            yield batch(rows(5))
            raise RuntimeError("source broke")

        with pytest.raises(RuntimeError, match="source broke"):
            table.append(failing())
        assert ids(table) == [0, 1, 2, 3, 4]

    def test_an_empty_append_is_harmless(self, table: EngineTable) -> None:
        """No batches and empty batches add no rows."""
        assert table.append([batch([])]).rows_added == 0

    def test_an_unknown_column_is_refused(self, table: EngineTable) -> None:
        """A column the table lacks is not dropped silently."""
        extra = pa.RecordBatch.from_pylist([{"id": 1, "txt": "a"}])
        with pytest.raises(UnknownColumnError, match="txt"):
            table.append([extra])

    def test_another_type_is_refused(self, table: EngineTable) -> None:
        """The message names the column."""
        wrong = pa.RecordBatch.from_pylist([{"id": 1, "text": 5}])
        with pytest.raises(SchemaError, match="text"):
            table.append([wrong])

    def test_null_in_a_column_that_must_have_a_value_is_refused(self, table: EngineTable) -> None:
        """Nullability is kept."""
        with pytest.raises(DataError, match="id"):
            table.append([pa.RecordBatch.from_pylist([{"text": "a"}])])

    def test_a_guard_that_holds_lets_rows_in(self, table: EngineTable) -> None:
        """Metadata that did not change is no obstacle."""
        guard = {b"owner": b"suite", b"absent": None}
        assert table.append([batch(rows(5))], guard=guard).rows_added == 1

    def test_a_guard_that_fails_keeps_rows_out(self, table: EngineTable) -> None:
        """Rows made under other metadata are refused."""
        with pytest.raises(CommitConflictError, match="owner"):
            table.append([batch(rows(5))], guard={b"owner": b"other"})

    def test_deleting_removes_what_matches(self, table: EngineTable) -> None:
        """Only the rows that satisfy the condition go."""
        commit = table.delete(parse_predicate("id IN (1, 3)", table.schema()))
        assert (ids(table), commit.rows_removed) == ([0, 2, 4], 2)

    def test_deleting_nothing_keeps_the_version(self, table: EngineTable) -> None:
        """A condition that no row satisfies changes nothing."""
        before = table.version()
        assert table.delete(parse_predicate("id > 9", table.schema())).version == before

    def test_replacing_removes_and_adds(self, engine: Engine, table: EngineTable) -> None:
        """One commit takes rows out by id and puts others in."""
        self.needs(engine, Capability.REPLACE)
        table.replace(row_ids(table, "id < 2"), [batch(rows(9))])
        assert ids(table) == [2, 3, 4, 9]

    def test_replacing_rows_that_are_gone_is_a_conflict(
        self, engine: Engine, table: EngineTable
    ) -> None:
        """An update based on a row that another writer removed is refused, and adds nothing."""
        self.needs(engine, Capability.REPLACE)
        stale = row_ids(table, "id < 2")
        table.delete(parse_predicate("id = 1", table.schema()))
        with pytest.raises(CommitConflictError):
            table.replace(stale, [batch(rows(9))])
        assert ids(table) == [0, 2, 3, 4]

    def test_replace_obeys_its_guard(self, engine: Engine, table: EngineTable) -> None:
        """A changed entry of the metadata stops a replacement too."""
        self.needs(engine, Capability.REPLACE)
        with pytest.raises(CommitConflictError):
            table.replace(row_ids(table, "id = 1"), [], guard={b"owner": None})

    def test_row_ids_survive_optimize(self, engine: Engine, table: EngineTable) -> None:
        """A replacement may be prepared before the data are reorganised."""
        self.needs(engine, Capability.REPLACE)
        known = row_ids(table, "id >= 3")
        table.delete(parse_predicate("id = 0", table.schema()))
        table.optimize()
        table.replace(known, [batch(rows(9))])
        assert ids(table) == [1, 2, 9]

    def test_overwriting_replaces_everything(self, table: EngineTable) -> None:
        """Old rows and the old schema are gone in one commit."""
        schema = pa.schema({"id": pa.int32()})
        table.overwrite(schema, [pa.RecordBatch.from_pylist([{"id": 8}], schema=schema)])
        assert (table.schema(), ids(table)) == (schema, [8])

    def test_optimizing_changes_no_row(self, table: EngineTable) -> None:
        """The same rows are there, in the same order."""
        table.append([batch(rows(5))])
        table.delete(parse_predicate("id = 2", table.schema()))
        table.optimize()
        assert ids(table) == [0, 1, 3, 4, 5]
