"""The part of the engine suite about versions: earlier, tagged, restored."""

from __future__ import annotations

from datetime import timedelta

import pytest

from embow.engines.contract import Capability, Change, Engine, EngineTable, ScanQuery
from embow.errors import TagError, VersionNotFoundError
from embow_testing._engine_base import (
    SCHEMA,
    EngineTests,
    Reopen,
    add,
    batch,
    conflict,
    ids,
    merge,
    nearest,
    put_column,
    read,
    remove,
    row_ids,
    rows,
    set_metadata,
    stage,
)
from embow_testing._engine_evolution import NUMBER, drop


class VersionSuite(EngineTests):
    """Earlier versions are listed, read, tagged and restored."""

    @pytest.fixture
    def history(self, table: EngineTable) -> EngineTable:
        """Return a table with a commit of each kind, one a version."""
        self.needs(Capability.VERSIONS)
        add(table, 5)
        remove(table, "id = 0")
        set_metadata(table, {"owner": "other"})
        put_column(table, NUMBER, {3: 1})
        drop(table, "text")
        return table

    def test_each_commit_is_one_version(self, history: EngineTable) -> None:
        """They are listed from the oldest, with their rows, at growing times."""
        found = history.versions()
        assert [each.version for each in found] == [1, 2, 3, 4, 5, 6]
        assert [each.rows for each in found] == [5, 6, 5, 5, 5, 5]
        times = [each.timestamp for each in found]
        assert all(each.utcoffset() == timedelta(0) for each in times)
        assert times == sorted(times)
        assert found[0].operation == "create"
        assert all(each.operation for each in found)

    def test_each_version_reads_as_it_was(self, history: EngineTable, reopen: Reopen) -> None:
        """Rows, schema and metadata, also by another handle."""
        expected = {
            1: ([0, 1, 2, 3, 4], ["id", "text", "vector"], "suite"),
            2: ([0, 1, 2, 3, 4, 5], ["id", "text", "vector"], "suite"),
            3: ([1, 2, 3, 4, 5], ["id", "text", "vector"], "suite"),
            4: ([1, 2, 3, 4, 5], ["id", "text", "vector"], "other"),
            5: ([1, 2, 3, 4, 5], ["id", "text", "vector", "n"], "other"),
            6: ([1, 2, 3, 4, 5], ["id", "vector", "n"], "other"),
        }
        history.optimize()
        for handle in (history, reopen().open_table("t")):
            found = {}
            for version in expected:
                with handle.snapshot(version) as snapshot:
                    assert snapshot.base.version == version
                    names, owner = snapshot.schema.names, snapshot.metadata["owner"]
                    found[version] = (sorted(read(snapshot)), names, owner)
            assert found == expected

    def test_an_unknown_version_is_refused(self, history: EngineTable) -> None:
        """By number and by tag."""
        for version in (0, 99, "nope"):
            with pytest.raises(VersionNotFoundError, match=str(version)):
                history.snapshot(version)

    def test_optimize_keeps_what_it_lists(self, history: EngineTable) -> None:
        """What is no longer kept is no longer listed; the rest can be read."""
        report = history.optimize(keep=timedelta(0))
        listed = history.versions()
        assert listed[0].version == report.oldest_version
        for each in listed:
            with history.snapshot(each.version) as snapshot:
                assert len(read(snapshot)) == each.rows == snapshot.count_rows()
        if report.oldest_version > 1:
            with pytest.raises(VersionNotFoundError):
                history.snapshot(1)
        assert ids(history) == [1, 2, 3, 4, 5]

    def test_a_change_planned_on_history_obeys_the_rules(self, history: EngineTable) -> None:
        """Old row ids that are gone conflict, and so does an old schema."""
        with history.snapshot(1) as old:
            gone = Change(old.base, remove=row_ids(old, "id = 0"))
            staged = history.write([batch(rows(9))], base=old.base)
        for stale in (gone, Change(old.base, add=[staged])):
            conflict(history, stale)
        assert ids(history) == [1, 2, 3, 4, 5]

    def test_rows_planned_on_history_come_in_now(self, table: EngineTable) -> None:
        """A base that is old is no obstacle where the three rules hold."""
        self.needs(Capability.VERSIONS)
        add(table, 5)
        with table.snapshot(1) as old:
            staged = table.write([batch(rows(9))], base=old.base)
            found = row_ids(old, "id = 0")
            table.commit(Change(old.base, add=[staged], remove=found))
        assert ids(table) == [1, 2, 3, 4, 5, 9]

    def test_a_table_made_anew_has_no_history(self, engine: Engine, table: EngineTable) -> None:
        """The versions of the one before went with it."""
        self.needs(Capability.VERSIONS)
        add(table, 5)
        engine.drop_table("t")
        new = engine.create_table("t", SCHEMA)
        assert [each.version for each in new.versions()] == [1]


class TagSuite(EngineTests):
    """Versions are named, and then kept."""

    def test_a_tag_names_a_version(self, table: EngineTable) -> None:
        """It is listed, read by name, moved and removed."""
        self.needs(Capability.TAGS, Capability.VERSIONS)
        add(table, 5)
        table.set_tag("first", 1)
        assert table.tags() == {"first": 1}
        with table.snapshot("first") as snapshot:
            assert (snapshot.base.version, snapshot.count_rows()) == (1, 5)
        table.set_tag("first", 2, move=True)
        assert table.tags() == {"first": 2}
        table.delete_tag("first")
        assert table.tags() == {}

    def test_a_tag_is_not_moved_or_made_by_accident(self, table: EngineTable) -> None:
        """One that exists is not set, one that does not is neither moved nor removed."""
        self.needs(Capability.TAGS)
        table.set_tag("a", 1)
        with pytest.raises(TagError):
            table.set_tag("a", 1)
        with pytest.raises(TagError):
            table.set_tag("b", 1, move=True)
        with pytest.raises(TagError):
            table.delete_tag("b")
        with pytest.raises(VersionNotFoundError):
            table.set_tag("c", 7)
        assert table.tags() == {"a": 1}

    def test_a_tagged_version_is_kept(self, table: EngineTable) -> None:
        """Its rows and its columns, through any optimize."""
        self.needs(Capability.TAGS, Capability.VERSIONS)
        table.set_tag("first", 1)
        remove(table, "id < 4")
        drop(table, "text")
        for _ in range(2):
            table.optimize(keep=timedelta(0))
        with table.snapshot("first") as snapshot:
            assert sorted(read(snapshot, "text")) == ["t0", "t1", "t2", "t3", "t4"]
            assert nearest(snapshot, [0.0, 1.0, 0.0], 1)["id"].to_pylist() == [0]


class RestoreSuite(EngineTests):
    """An earlier version becomes the current one again."""

    def test_restoring_brings_everything_back(self, table: EngineTable) -> None:
        """Rows, schema and metadata, as a new version; history stays."""
        self.needs(Capability.RESTORE, Capability.VERSIONS)
        merge(table, 1, 5)
        set_metadata(table, {"owner": "other"})
        drop(table, "text")
        commit = table.restore(1)
        assert commit.version == 5
        with table.snapshot() as snapshot:
            assert (snapshot.schema, dict(snapshot.metadata)) == (SCHEMA, {"owner": "suite"})
            found = snapshot.scan(ScanQuery()).read_all().to_pylist()
            assert sorted(found, key=lambda row: row["id"]) == rows(0, 1, 2, 3, 4)
            assert snapshot.base.version == 5
        with table.snapshot(4) as snapshot:
            assert snapshot.schema.names == ["id", "vector"]

    def test_what_was_planned_before_a_restore_conflicts(self, table: EngineTable) -> None:
        """Rows of the model that was left stay out."""
        self.needs(Capability.RESTORE)
        set_metadata(table, {"model": "new"})
        staged = stage(table, 5)
        table.restore(1)
        conflict(table, Change(staged.base, add=[staged]))
        assert ids(table) == [0, 1, 2, 3, 4]

    def test_writing_goes_on_after_a_restore(self, table: EngineTable) -> None:
        """New rows get ids that nobody had."""
        self.needs(Capability.RESTORE)
        add(table, 5)
        with table.snapshot() as snapshot:
            known = set(snapshot.row_ids().tolist())
        table.restore(1)
        add(table, 6)
        table.optimize(keep=timedelta(0))
        with table.snapshot() as snapshot:
            assert not known & set(row_ids(snapshot, "id = 6").tolist())
        assert ids(table) == [0, 1, 2, 3, 4, 6]

    def test_restored_rows_survive_optimize(self, table: EngineTable) -> None:
        """Also where the only other version that is kept is one without them."""
        self.needs(Capability.RESTORE, Capability.TAGS)
        remove(table, "id < 3")
        table.set_tag("few", 2)
        table.restore(1)
        for _ in range(2):
            table.optimize(keep=timedelta(0))
        assert ids(table) == [0, 1, 2, 3, 4]
        table.restore("few")
        assert ids(table) == [3, 4]

    def test_a_tag_is_restored(self, table: EngineTable) -> None:
        """By its name; an unknown one is refused."""
        self.needs(Capability.RESTORE, Capability.TAGS)
        table.set_tag("first", 1)
        remove(table, "true")
        table.restore("first")
        assert ids(table) == [0, 1, 2, 3, 4]
        with pytest.raises(VersionNotFoundError):
            table.restore("nope")
