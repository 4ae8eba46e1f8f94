"""The part of the engine suite about many writers and readers that start at one instant."""

from __future__ import annotations

import threading
from collections.abc import Callable

from embow.engines.contract import Change, Commit, EngineTable, Snapshot
from embow_testing._engine_base import (
    EngineTests,
    Reopen,
    add,
    batch,
    ids,
    merge,
    rows,
    set_metadata,
    stage,
    values,
)

RACERS = 4


def race(*deeds: Callable[[], object]) -> list[BaseException]:
    """Run all at once, each on its thread; return what they raised."""
    barrier, raised = threading.Barrier(len(deeds)), []

    def run(deed: Callable[[], object]) -> None:
        try:
            barrier.wait(30)
            deed()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(deed,)) for deed in deeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


class RaceSuite(EngineTests):
    """Whoever writes at the same time, the table is one that some order would give."""

    def handles(self, table: EngineTable, reopen: Reopen) -> list[EngineTable]:
        """Return handles for the racers, half of them of another engine."""
        other = reopen().open_table("t")
        return [table if number % 2 else other for number in range(RACERS)]

    def test_merges_of_the_same_keys_leave_each_once(
        self, table: EngineTable, reopen: Reopen
    ) -> None:
        """Seven keys, many writers, seven rows; all of them of one writer."""
        handles = self.handles(table, reopen)
        keys = range(7)
        merges = [
            lambda each=each, name=str(number): merge(each, *keys, text=name)
            for number, each in enumerate(handles)
        ]
        assert race(*merges) == []
        with table.snapshot() as snapshot:
            assert (snapshot.count_rows(), ids(table)) == (7, list(keys))
        assert len(set(values(table, "text").values())) == 1

    def test_additions_all_arrive(self, table: EngineTable, reopen: Reopen) -> None:
        """None is lost, none is doubled, each is a version."""
        handles = self.handles(table, reopen)

        def adding(each: EngineTable, first: int) -> None:
            for number in range(first, first + 5):
                add(each, number)

        deeds = [
            lambda each=each, first=10 * (number + 1): adding(each, first)
            for number, each in enumerate(handles)
        ]
        assert race(*deeds) == []
        expected = [10 * (n + 1) + each for n in range(RACERS) for each in range(5)]
        assert ids(table) == [0, 1, 2, 3, 4, *expected]
        with table.snapshot() as snapshot:
            assert snapshot.base.version == 1 + 5 * RACERS

    def test_a_counter_counts_every_one(self, table: EngineTable, reopen: Reopen) -> None:
        """Metadata read and written by many: no step is lost."""

        def plan(snapshot: Snapshot) -> Change:
            count = int(snapshot.metadata.get("count", "0"))
            return Change(snapshot.base, metadata={"count": str(count + 1)})

        def counting(each: EngineTable) -> None:
            for _ in range(3):
                each.transact(plan)

        handles = self.handles(table, reopen)
        assert race(*(lambda each=each: counting(each) for each in handles)) == []
        with table.snapshot() as snapshot:
            assert snapshot.metadata["count"] == str(3 * RACERS)

    def test_a_token_is_committed_once_by_many(self, table: EngineTable, reopen: Reopen) -> None:
        """All are told of the one commit."""
        staged = stage(table, 5, 6)
        commits: list[Commit] = []
        change = Change(staged.base, add=[staged])
        deeds = [
            lambda each=each: commits.append(each.commit(change))
            for each in self.handles(table, reopen)
        ]
        assert race(*deeds) == []
        assert commits == [commits[0]] * RACERS
        assert ids(table) == [0, 1, 2, 3, 4, 5, 6]

    def test_a_reader_never_sees_half_a_commit(self, table: EngineTable, reopen: Reopen) -> None:
        """While rows are replaced their number stays; a count in the metadata is always right."""
        other, done, wrong = reopen().open_table("t"), threading.Event(), []
        set_metadata(table, {"rows": "5"})

        def replacing() -> None:
            try:
                for number in range(5, 30):
                    with table.snapshot() as snapshot:
                        staged = table.write([batch(rows(number))], base=snapshot.base)
                        oldest = snapshot.row_ids()[:1]
                        table.commit(Change(snapshot.base, add=[staged], remove=oldest))
                for number in range(30, 45):
                    staged = stage(table, number)
                    entries = {"rows": str(number - 24)}
                    table.commit(Change(staged.base, add=[staged], metadata=entries))
            finally:
                done.set()

        def reading() -> None:
            while not done.is_set():
                with other.snapshot() as snapshot:
                    seen = (snapshot.count_rows(), len(snapshot.row_ids()))
                    if set(seen) != {int(snapshot.metadata["rows"])}:
                        wrong.append((snapshot.base.version, seen, snapshot.metadata["rows"]))

        assert race(replacing, reading) == []
        assert wrong == []
        assert ids(table) == list(range(25, 45))

    def test_optimize_disturbs_no_writer(self, table: EngineTable, reopen: Reopen) -> None:
        """Rows that are staged and committed meanwhile arrive, and stay readable."""
        other, done = reopen().open_table("t"), threading.Event()

        def writing() -> None:
            try:
                for number in range(5, 25):
                    add(table, number)
                    merge(table, number - 5)
            finally:
                done.set()

        def optimizing() -> None:
            while not done.is_set():
                other.optimize()

        assert race(writing, optimizing) == []
        assert ids(table) == list(range(25))
        assert ids(other) == list(range(25))
