"""The part of the engine suite about databases, and about rows that are written."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

from embow.engines.contract import NAME_BYTES, RESERVED, Capability, Change, Engine, EngineTable
from embow.errors import (
    DataError,
    SchemaError,
    TableExistsError,
    TableNotFoundError,
    UnknownColumnError,
)
from embow_testing._engine_base import (
    SCHEMA,
    EngineTests,
    Reopen,
    add,
    batch,
    ids,
    now,
    read,
    remove,
    rows,
    stage,
)


def failing() -> Iterator[pa.RecordBatch]:
    """Yield one row, then fail."""
    yield batch(rows(9))
    raise RuntimeError("source broke")


LONG_NAMES = ["a" * 64, "a" * (NAME_BYTES + 1)]
BAD_NAMES = [*LONG_NAMES, "%s", "a#b", "a.b", "a b", 'a"b', "a'b", "1a", "\u00e9", ""]


class DatabaseSuite(EngineTests):
    """Tables come, go and are found."""

    def test_a_new_database_has_no_tables(self, engine: Engine) -> None:
        """Nothing is there before something was created."""
        assert engine.table_names() == []

    def test_names_are_sorted(self, engine: Engine) -> None:
        """Names come in alphabetical order whatever the order of creation."""
        for name in ("b", "a", "c"):
            engine.create_table(name, SCHEMA)
        assert engine.table_names() == ["a", "b", "c"]

    def test_creation_is_version_one(self, table: EngineTable) -> None:
        """Rows, schema and metadata are there in one commit."""
        with table.snapshot() as snapshot:
            assert (snapshot.base.version, snapshot.count_rows()) == (1, 5)
            assert snapshot.schema.equals(SCHEMA, check_metadata=True)
            assert dict(snapshot.metadata) == {"owner": "suite"}

    def test_another_handle_sees_the_table(self, table: EngineTable, reopen: Reopen) -> None:
        """What one wrote the other reads."""
        other = reopen().open_table("t")
        add(table, 5)
        assert ids(other) == [0, 1, 2, 3, 4, 5]

    def test_a_taken_name_is_refused(self, engine: Engine, table: EngineTable) -> None:
        """Creating never replaces a table."""
        with pytest.raises(TableExistsError, match="'t'"):
            engine.create_table("t", SCHEMA)

    def test_an_unknown_table_names_what_there_is(self, engine: Engine, table: EngineTable) -> None:
        """A misspelt name is answered with the tables there are."""
        with pytest.raises(TableNotFoundError, match="'tt'"):
            engine.open_table("tt")

    def test_dropping_frees_the_name(self, engine: Engine, table: EngineTable) -> None:
        """A dropped table's name can be used again, for another table."""
        before = now(table)
        engine.drop_table("t")
        with engine.create_table("t", SCHEMA).snapshot() as snapshot:
            assert (snapshot.count_rows(), snapshot.base.version) == (0, 1)
            assert snapshot.base.table != before.table

    def test_dropping_an_unknown_table_is_refused(self, engine: Engine) -> None:
        """There must be something to drop."""
        with pytest.raises(TableNotFoundError):
            engine.drop_table("t")

    def test_a_handle_of_a_dropped_table_says_so(self, engine: Engine, table: EngineTable) -> None:
        """A table that was dropped is not read as an empty one."""
        engine.drop_table("t")
        with pytest.raises(TableNotFoundError):
            table.snapshot()

    def test_renaming_keeps_table_and_rows(self, engine: Engine, table: EngineTable) -> None:
        """The new name leads to the same table, the old one to nothing."""
        self.needs(Capability.RENAME_TABLE)
        staged = stage(table, 5)
        engine.rename_table("t", "u")
        renamed = engine.open_table("u")
        renamed.commit(Change(staged.base, add=[staged]))
        assert (engine.table_names(), renamed.name) == (["u"], "u")
        assert ids(renamed) == ids(table) == [0, 1, 2, 3, 4, 5]

    def test_renaming_onto_a_table_is_refused(self, engine: Engine, table: EngineTable) -> None:
        """A rename never replaces another table."""
        self.needs(Capability.RENAME_TABLE)
        engine.create_table("u", SCHEMA)
        with pytest.raises(TableExistsError):
            engine.rename_table("t", "u")

    def test_creation_that_fails_leaves_no_table(self, engine: Engine) -> None:
        """Rows that cannot be read make no table."""
        with pytest.raises(RuntimeError, match="source broke"):
            engine.create_table("t", SCHEMA, failing())
        assert engine.table_names() == []

    @pytest.mark.parametrize("name", [*BAD_NAMES, *RESERVED])
    def test_a_name_that_is_no_physical_one_is_refused(self, engine: Engine, name: str) -> None:
        """No store is handed a column it may not be able to name."""
        with pytest.raises(SchemaError):
            engine.create_table("t", pa.schema({name: pa.int64()}))
        assert engine.table_names() == []

    def test_the_longest_name_is_taken(self, engine: Engine) -> None:
        """And a name may begin with ``_`` and hold capitals and digits."""
        schema = pa.schema({"a" * NAME_BYTES: pa.int64(), "_A1": pa.int64()})
        data = pa.record_batch([[1], [2]], schema=schema)
        with engine.create_table("t", schema, [data]).snapshot() as snapshot:
            assert snapshot.schema.names == schema.names
            assert read(snapshot, "a" * NAME_BYTES, "_A1 = 2") == [1]

    def test_a_table_without_columns_is_refused(self, engine: Engine) -> None:
        """There must be something to store."""
        with pytest.raises(SchemaError):
            engine.create_table("t", pa.schema([]))


class WriteSuite(EngineTests):
    """Rows are written, seen by nobody, then named by a commit."""

    def test_fields_keep_their_metadata(self, engine: Engine) -> None:
        """Metadata of a field belongs to it, metadata of a schema does not come back."""
        field = pa.field("a", pa.int64(), metadata={b"unit": b"m"})
        table = engine.create_table("f", pa.schema([field], metadata={b"x": b"y"}))
        with table.snapshot() as snapshot:
            assert snapshot.schema.equals(pa.schema([field]), check_metadata=True)

    def test_staged_rows_are_seen_by_nobody(self, table: EngineTable, reopen: Reopen) -> None:
        """Only a commit makes them part of the table."""
        staged = stage(table, 5, 6)
        assert (staged.rows, staged.column) == (2, None)
        assert ids(table) == ids(reopen().open_table("t")) == [0, 1, 2, 3, 4]

    def test_added_rows_come_last(self, table: EngineTable) -> None:
        """A scan is in insertion order; staged rows come in the order of the change."""
        self.needs(Capability.ORDERED_SCAN)
        one, two = stage(table, 7, 6), stage(table, 5)
        table.commit(Change(one.base, add=[two, one]))
        with table.snapshot() as snapshot:
            assert read(snapshot) == [0, 1, 2, 3, 4, 5, 7, 6]

    def test_a_commit_reports_its_rows(self, table: EngineTable) -> None:
        """It counts rows and names the version a reader then sees."""
        staged = stage(table, 5, 6)
        with table.snapshot() as before:
            gone = before.row_ids()[:1]
        commit = table.commit(Change(staged.base, add=[staged], remove=gone))
        assert (commit.rows_added, commit.rows_removed) == (2, 1)
        with table.snapshot(at_least=commit.version) as snapshot:
            assert snapshot.base.version == commit.version > 1

    def test_a_write_that_fails_stages_nothing(self, table: EngineTable) -> None:
        """The error of the source passes through; the table goes on."""
        with table.snapshot() as snapshot, pytest.raises(RuntimeError, match="source broke"):
            table.write(failing(), base=snapshot.base)
        add(table, 5)
        assert ids(table) == [0, 1, 2, 3, 4, 5]

    def test_no_rows_make_no_version(self, table: EngineTable) -> None:
        """No batches, empty batches, nothing removed: the version stays."""
        with table.snapshot() as snapshot:
            empty = [table.write(each, base=snapshot.base) for each in ([], [batch([])])]
            change = Change(snapshot.base, add=empty, remove=snapshot.row_ids()[:0])
        assert table.commit(change).version == 1
        assert ids(table) == [0, 1, 2, 3, 4]

    def test_columns_come_in_any_order_and_may_be_missing(self, table: EngineTable) -> None:
        """A nullable column that is not given is null."""
        with table.snapshot() as snapshot:
            data = pa.record_batch({"text": ["x"], "id": [9]})
            staged = table.write([data], base=snapshot.base)
            table.commit(Change(snapshot.base, add=[staged]))
        with table.snapshot() as snapshot:
            assert read(snapshot, "text", "id = 9") == ["x"]
            assert read(snapshot, "vector", "id = 9") == [None]

    @pytest.mark.parametrize(
        ("data", "error", "word"),
        [
            (pa.record_batch({"id": [1], "nope": [1]}), UnknownColumnError, "nope"),
            (pa.record_batch({"id": [1], "text": [5]}), SchemaError, "text"),
            (pa.record_batch({"text": ["a"]}), DataError, "id"),
            (pa.record_batch({"id": pa.array([None], pa.int64())}), DataError, "id"),
        ],
        ids=["unknown column", "other type", "missing value", "null"],
    )
    def test_rows_that_do_not_fit_are_refused(
        self, table: EngineTable, data: pa.RecordBatch, error: type[Exception], word: str
    ) -> None:
        """The message names the column."""
        with table.snapshot() as snapshot, pytest.raises(error, match=word):
            table.write([data], base=snapshot.base)

    def test_optimizing_changes_no_row(self, table: EngineTable) -> None:
        """The same rows are there, and in the same order."""
        add(table, 5)
        remove(table, "id = 2")
        table.optimize()
        assert ids(table) == [0, 1, 3, 4, 5]
        if Capability.ORDERED_SCAN in self.claims:
            with table.snapshot() as snapshot:
                assert read(snapshot) == [0, 1, 3, 4, 5]

    def test_row_ids_survive_optimize(self, table: EngineTable) -> None:
        """A change may be prepared before the data are reorganised."""
        self.needs(Capability.STABLE_ROW_IDS)
        add(table, 5)
        with table.snapshot() as snapshot:
            known = snapshot.row_ids()[3:]
        remove(table, "id = 0")
        table.optimize()
        with table.snapshot() as snapshot:
            table.commit(Change(snapshot.base, remove=known))
        assert ids(table) == [1, 2]
