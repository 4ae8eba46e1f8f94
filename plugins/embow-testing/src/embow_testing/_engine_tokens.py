"""The part of the engine suite about staged rows: tokens, leases, tables that went."""

from __future__ import annotations

import pickle
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from embow.engines.contract import Change, Engine, EngineTable, Staged
from embow.errors import CommitConflictError, StagedGoneError, TableNotFoundError
from embow_testing._engine_base import (
    SCHEMA,
    EngineTests,
    Reopen,
    add,
    batch,
    conflict,
    ids,
    now,
    put_column,
    read,
    remove,
    row_ids,
    rows,
    set_metadata,
    stage,
    stage_column,
)
from embow_testing._engine_evolution import NUMBER

START = [0, 1, 2, 3, 4]
NEW_MODEL = {"model": "new"}


class TokenSuite(EngineTests):
    """What was staged is committed at most once, by whoever holds it."""

    def test_a_commit_repeated_gives_the_earlier_one(self, table: EngineTable) -> None:
        """Whatever happened since: the answer of the first was lost, not the rows."""
        staged = stage(table, 5)
        with table.snapshot() as snapshot:
            change = Change(staged.base, add=[staged], remove=row_ids(snapshot, "id = 0"))
        first = table.commit(change)
        add(table, 6)
        set_metadata(table, NEW_MODEL)
        assert table.commit(change) == first
        assert ids(table) == [1, 2, 3, 4, 5, 6]

    def test_rows_planned_again_are_not_added_again(self, table: EngineTable) -> None:
        """The token names the write, whatever the change around it; optimize keeps it known."""
        staged = stage(table, 5)
        first = table.commit(Change(staged.base, add=[staged]))
        add(table, 6)
        table.optimize(keep=timedelta(0))
        with table.snapshot() as snapshot:
            assert table.commit(Change(snapshot.base, add=[staged])) == first
        assert ids(table) == [0, 1, 2, 3, 4, 5, 6]

    def test_a_column_is_committed_once(self, table: EngineTable) -> None:
        """As rows are."""
        staged = table.write_column(NUMBER, [], base=now(table))
        change = Change(staged.base, add=[staged])
        assert table.commit(change) == table.commit(change)

    def test_staged_rows_travel(self, table: EngineTable, reopen: Reopen) -> None:
        """Pickled, they are committed by another handle, after everyone's optimize."""
        travelled: Staged = pickle.loads(pickle.dumps(stage(table, 5, 6)))
        other = reopen().open_table("t")
        table.optimize(keep=timedelta(0))
        other.optimize(keep=timedelta(0))
        other.commit(Change(travelled.base, add=[travelled]))
        assert ids(table) == [0, 1, 2, 3, 4, 5, 6]

    def test_what_was_discarded_is_gone(self, table: EngineTable) -> None:
        """Twice is harmless."""
        staged = stage(table, 5)
        table.discard(staged)
        table.discard(staged)
        with pytest.raises(StagedGoneError):
            table.commit(Change(staged.base, add=[staged]))
        assert ids(table) == START

    def test_discarding_after_the_commit_changes_nothing(self, table: EngineTable) -> None:
        """The rows belong to the table."""
        staged = stage(table, 5)
        commit = table.commit(Change(staged.base, add=[staged]))
        table.discard(staged)
        table.optimize(keep=timedelta(0))
        assert (ids(table), commit.rows_added) == ([0, 1, 2, 3, 4, 5], 1)

    def test_one_that_is_gone_keeps_all_out(self, table: EngineTable) -> None:
        """A change is made whole or not at all."""
        kept, gone = stage(table, 5), stage(table, 6)
        table.discard(gone)
        with pytest.raises(StagedGoneError):
            table.commit(Change(kept.base, add=[kept, gone], metadata={"a": "b"}))
        with table.snapshot() as snapshot:
            assert (read(snapshot), dict(snapshot.metadata)) == (START, {"owner": "suite"})
        table.commit(Change(kept.base, add=[kept]))
        assert ids(table) == [0, 1, 2, 3, 4, 5]


class LeaseSuite(EngineTests):
    """Staged rows stay until their lease ends."""

    def test_a_lease_is_an_instant_in_utc(self, table: EngineTable) -> None:
        """It lies where it was asked for, and moves when renewed."""
        with table.snapshot() as snapshot:
            before = datetime.now(UTC)
            staged = table.write([batch(rows(5))], base=snapshot.base, lease=timedelta(hours=1))
        assert staged.until.utcoffset() == timedelta(0)
        assert timedelta(hours=1) <= staged.until - before < timedelta(hours=2)
        renewed = table.renew(staged, timedelta(hours=5))
        assert renewed.until - before >= timedelta(hours=5)
        assert renewed.token == staged.token

    @pytest.mark.parametrize("few", [True, False])
    def test_optimize_leaves_what_is_leased(self, table: EngineTable, few: bool) -> None:
        """Rows and columns, few and many."""
        count = 1 if few else self.many
        staged = stage(table, *range(5, 5 + count))
        with table.snapshot() as snapshot:
            column = stage_column(table, NUMBER, dict(enumerate(range(5))), snapshot)
        remove(table, "id = 0")
        for _ in range(2):
            table.optimize(keep=timedelta(0))
        table.commit(Change(staged.base, add=[staged]))
        table.commit(Change(column.base, add=[column]))
        assert ids(table) == list(range(1, 5 + count))
        with table.snapshot() as snapshot:
            assert read(snapshot, NUMBER.name) == [1, 2, 3, 4] + [None] * count

    @pytest.mark.parametrize("few", [True, False])
    @pytest.mark.parametrize("unverified", [False, True])
    def test_after_a_lease_there_are_all_rows_or_none(
        self, table: EngineTable, few: bool, unverified: bool
    ) -> None:
        """Rows that optimize may have removed are refused, or come in whole."""
        count = 1 if few else self.many
        lease = timedelta(hours=1) if unverified else timedelta(0)
        with table.snapshot() as snapshot:
            new = batch(rows(*range(5, 5 + count)))
            staged = table.write([new], base=snapshot.base, lease=lease)
        table.optimize(keep=timedelta(0), delete_unverified=unverified)
        expected = list(START)
        with suppress(StagedGoneError):
            table.commit(Change(staged.base, add=[staged]))
            expected += range(5, 5 + count)
        assert ids(table) == expected
        add(table, 9999)
        assert ids(table) == [*expected, 9999]

    def test_a_renewed_lease_counts(self, table: EngineTable) -> None:
        """It was about to end."""
        staged = table.write([batch(rows(5))], base=now(table), lease=timedelta(0))
        renewed = table.renew(staged)
        table.optimize(keep=timedelta(0))
        table.commit(Change(renewed.base, add=[renewed]))
        assert ids(table) == [0, 1, 2, 3, 4, 5]


class IdentitySuite(EngineTests):
    """A name that was given anew leads to another table."""

    def test_rows_for_a_table_that_went_stay_out(self, engine: Engine, table: EngineTable) -> None:
        """The new table under the old name is not touched."""
        staged = stage(table, 5)
        engine.drop_table("t")
        new = engine.create_table("t", SCHEMA, [batch(rows(100))])
        conflict(new, Change(staged.base, add=[staged]))
        conflict(new, Change(staged.base, metadata=NEW_MODEL))
        with pytest.raises(CommitConflictError):
            new.overwrite(SCHEMA, [staged], base=staged.base)
        with pytest.raises(CommitConflictError):
            new.drop_columns(["text"], base=staged.base)
        new.optimize(keep=timedelta(0))
        with new.snapshot() as snapshot:
            assert (snapshot.base.version, read(snapshot)) == (1, [100])

    def test_a_staged_row_is_not_taken_by_its_own_token_alone(
        self, engine: Engine, table: EngineTable
    ) -> None:
        """A change planned on the new table cannot add what was written for the old one."""
        staged = stage(table, 5)
        engine.drop_table("t")
        new = engine.create_table("t", SCHEMA)
        with new.snapshot() as snapshot, pytest.raises((CommitConflictError, StagedGoneError)):
            new.commit(Change(snapshot.base, add=[staged]))
        assert ids(new) == []

    def test_the_old_handle_does_not_reach_the_new_table(
        self, engine: Engine, table: EngineTable
    ) -> None:
        """It says that its table is gone."""
        staged = stage(table, 5)
        engine.drop_table("t")
        new = engine.create_table("t", SCHEMA)
        with pytest.raises((CommitConflictError, TableNotFoundError)):
            table.commit(Change(staged.base, add=[staged]))
        assert ids(new) == []

    def test_a_column_is_not_put_into_another_table(
        self, engine: Engine, table: EngineTable
    ) -> None:
        """Nor is one that was dropped and made again."""
        staged = table.write_column(NUMBER, [], base=now(table))
        engine.drop_table("t")
        new = engine.create_table("t", SCHEMA)
        with new.snapshot() as snapshot, pytest.raises((CommitConflictError, StagedGoneError)):
            new.commit(Change(snapshot.base, add=[staged]))
        put_column(new, NUMBER, {})
