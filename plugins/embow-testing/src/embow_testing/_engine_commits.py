"""The part of the engine suite about commits: three rules, merges, plans."""

from __future__ import annotations

from datetime import timedelta

import pytest

from embow.engines.contract import Change, Engine, EngineTable, Snapshot
from embow.errors import CommitConflictError
from embow_testing._engine_base import (
    SCHEMA,
    EngineTests,
    add,
    conflict,
    ids,
    matching,
    merge,
    metadata_of,
    now,
    remove,
    set_metadata,
    stage,
    values,
)
from embow_testing._engine_evolution import NUMBER

START = [0, 1, 2, 3, 4]
NEW_MODEL = {"model": "new"}


class RuleSuite(EngineTests):
    """A commit holds to what it was planned on, or changes nothing."""

    def test_rows_staged_before_a_metadata_swap_stay_out(self, table: EngineTable) -> None:
        """What another model made is not let in, however long ago it was staged."""
        staged = stage(table, *range(10, 50))
        set_metadata(table, NEW_MODEL)
        conflict(table, Change(staged.base, add=[staged]))
        assert ids(table) == START

    def test_a_plan_sees_the_swap_and_decides(self, table: EngineTable) -> None:
        """It is asked again on the new snapshot, with the rows it staged."""
        staged, seen = stage(table, *range(10, 50)), []

        def plan(snapshot: Snapshot) -> Change:
            seen.append(snapshot.metadata.get("model"))
            if len(seen) == 1:
                set_metadata(table, NEW_MODEL)
            return Change(snapshot.base, add=[staged])

        commit = table.transact(plan, wait=lambda _: None)
        assert commit is not None
        assert (seen, commit.rows_added, len(ids(table))) == ([None, "new"], 40, 45)

    def test_metadata_planned_on_other_metadata_is_a_conflict(self, table: EngineTable) -> None:
        """Of two who start from one version the second must look again."""
        stale = now(table)
        set_metadata(table, {"a": "1"})
        conflict(table, Change(stale, metadata={"a": "2"}))
        assert metadata_of(table) == {"owner": "suite", "a": "1"}

    def test_metadata_is_set_and_removed_by_key(self, table: EngineTable) -> None:
        """Entries that are not named stay; removing what is not there is harmless."""
        set_metadata(table, {"a": "\u00e9\n", "b": ""})
        set_metadata(table, {"owner": None, "c": "3", "none": None})
        assert metadata_of(table) == {"a": "\u00e9\n", "b": "", "c": "3"}

    def test_rows_and_metadata_come_in_one_commit(self, table: EngineTable) -> None:
        """A count kept in the metadata is always right."""
        staged = stage(table, 5)
        commit = table.commit(Change(staged.base, add=[staged], metadata={"rows": "6"}))
        with table.snapshot() as snapshot:
            assert (snapshot.count_rows(), snapshot.metadata["rows"]) == (6, "6")
            assert (snapshot.base.version, commit.rows_added) == (commit.version, 1)

    def test_metadata_and_removal_together_are_refused(self, table: EngineTable) -> None:
        """They are two changes."""
        with table.snapshot() as snapshot, pytest.raises(ValueError, match="two changes"):
            table.commit(Change(snapshot.base, remove=snapshot.row_ids(), metadata={"a": "b"}))

    def test_additions_do_not_disturb_each_other(self, table: EngineTable) -> None:
        """Rows staged on one version are committed on a later one."""
        one, two = stage(table, 5), stage(table, 6)
        table.commit(Change(one.base, add=[one]))
        table.commit(Change(two.base, add=[two]))
        assert ids(table) == [0, 1, 2, 3, 4, 5, 6]

    def test_removing_rows_that_are_gone_is_a_conflict(self, table: EngineTable) -> None:
        """An update of a row that another writer removed is refused, and adds nothing."""
        staged = stage(table, 9)
        stale = matching(table, "id < 2")
        remove(table, "id = 1")
        conflict(table, Change(staged.base, add=[staged], remove=stale))
        assert ids(table) == [0, 2, 3, 4]

    def test_a_row_that_was_changed_is_gone(self, table: EngineTable) -> None:
        """It has a new id, so a change planned on the old one conflicts."""
        stale = Change(now(table), remove=matching(table, "id = 1"))
        merge(table, 1)
        conflict(table, stale)
        assert values(table, "text")[1] == "merged"

    def test_a_removal_lets_other_commits_pass(self, table: EngineTable) -> None:
        """Rows come in and others go out meanwhile: what is named is still there."""
        change = Change(now(table), remove=matching(table, "id = 1"))
        add(table, 5)
        remove(table, "id = 2")
        table.commit(change)
        assert ids(table) == [0, 3, 4, 5]

    def test_alone_refuses_after_a_removal(self, table: EngineTable) -> None:
        """Whatever else happened, the change must be planned again."""
        staged = stage(table, 5)
        remove(table, "id = 1")
        conflict(table, Change(staged.base, add=[staged], alone=True))
        assert ids(table) == [0, 2, 3, 4]

    def test_alone_refuses_after_another_that_was_alone(self, table: EngineTable) -> None:
        """Of two who looked for a key and did not find it, one adds it."""
        one, two = stage(table, 5), stage(table, 5)
        table.commit(Change(one.base, add=[one], alone=True))
        conflict(table, Change(two.base, add=[two], alone=True))
        assert ids(table) == [0, 1, 2, 3, 4, 5]

    def test_a_swap_that_is_alone_refuses_after_an_addition(self, table: EngineTable) -> None:
        """A change of model must have seen every row; so must a column."""
        with table.snapshot() as snapshot:
            base = snapshot.base
            column = table.write_column(NUMBER, [], base=base)
        add(table, 5)
        for change in (Change(base, metadata=NEW_MODEL), Change(base, add=[column])):
            conflict(table, Change(change.base, change.add, None, change.metadata, alone=True))
        with table.snapshot() as snapshot:
            assert (snapshot.schema, dict(snapshot.metadata)) == (SCHEMA, {"owner": "suite"})


class MergeSuite(EngineTests):
    """Locate, add and remove, alone: how rows are put by key."""

    def test_a_merge_replaces_and_adds(self, table: EngineTable) -> None:
        """Each key is there once."""
        merge(table, 3, 4, 5)
        expected = {0: "t0", 1: "t1", 2: "t2", 3: "merged", 4: "merged", 5: "merged"}
        assert (values(table, "text"), ids(table)) == (expected, [0, 1, 2, 3, 4, 5])

    def test_a_merge_into_an_empty_table_adds(self, engine: Engine) -> None:
        """There is nothing to find, and nothing to remove."""
        empty = engine.create_table("e", SCHEMA)
        merge(empty, 1, 2)
        assert ids(empty) == [1, 2]

    def test_a_merge_that_replaces_every_row(self, table: EngineTable) -> None:
        """Pieces that are left without rows do no harm, before and after optimize."""
        add(table, 5, 6)
        merge(table, 5, 6)
        merge(table, 0, 1, 2, 3, 4)
        assert ids(table) == [0, 1, 2, 3, 4, 5, 6]
        table.optimize(keep=timedelta(0))
        assert set(values(table, "text").values()) == {"merged"}

    def test_a_table_is_emptied_and_filled_again(self, table: EngineTable) -> None:
        """No rows are a table too."""
        remove(table, "true")
        table.optimize(keep=timedelta(0))
        assert ids(table) == []
        add(table, 7)
        assert ids(table) == [7]


class TransactSuite(EngineTests):
    """Plan, commit, and plan again."""

    def test_a_plan_of_nothing_commits_nothing(self, table: EngineTable) -> None:
        """The answer is no commit, and the version stays."""
        assert table.transact(lambda snapshot: None) is None
        with table.snapshot() as snapshot:
            assert snapshot.base.version == 1

    def test_the_error_of_a_plan_passes_through(self, table: EngineTable) -> None:
        """It is not taken for a conflict."""

        def plan(snapshot: Snapshot) -> Change:
            raise RuntimeError("plan broke")

        with pytest.raises(RuntimeError, match="plan broke"):
            table.transact(plan)

    def test_a_plan_that_always_loses_ends(self, table: EngineTable) -> None:
        """With the conflict, and nothing changed by it."""
        with table.snapshot() as snapshot:
            stale = Change(snapshot.base, metadata={"mine": "1"})
        set_metadata(table, {"theirs": "1"})
        with pytest.raises(CommitConflictError):
            table.transact(lambda snapshot: stale, wait=lambda _: None)
        with table.snapshot() as snapshot:
            assert "mine" not in snapshot.metadata
