"""The part of the engine suite about snapshots that are held while others write."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pyarrow as pa

from embow.engines.contract import DISTANCE, EngineTable, ScanQuery, Snapshot
from embow_testing._engine_base import (
    SCHEMA,
    EngineTests,
    Reopen,
    add,
    merge,
    nearest,
    now,
    put_column,
    read,
    remove,
    row_ids,
    set_metadata,
)
from embow_testing._engine_evolution import NUMBER, drop


def everything(snapshot: Snapshot) -> dict[str, Any]:
    """Return what can be seen of a snapshot, by every way of reading."""
    found = nearest(snapshot, [2.0, 1.0, 0.0], 9, with_row_id=True)
    return {
        "base": snapshot.base,
        "schema": snapshot.schema,
        "metadata": dict(snapshot.metadata),
        "rows": snapshot.scan(ScanQuery(with_row_id=True)).read_all().to_pylist(),
        "count": (snapshot.count_rows(), row_ids(snapshot, "id > 1").tolist()),
        "search": (found["id"].to_pylist(), found[DISTANCE].to_pylist()),
        "located": snapshot.locate(pa.record_batch({"id": [0, 1, 5]}))[1].tolist(),
    }


class HeldSuite(EngineTests):
    """A snapshot stays what it was for as long as it is held."""

    def test_a_held_snapshot_reads_the_same_after_anything(
        self, table: EngineTable, reopen: Reopen
    ) -> None:
        """After each kind of commit, of any handle, and optimize, scan and search agree."""
        other = reopen().open_table("t")

        def overwrite() -> None:
            other.overwrite(SCHEMA, base=now(other))

        deeds: dict[str, Callable[[], object]] = {
            "add": lambda: add(other, 5, 6),
            "merge": lambda: merge(table, 1, 7),
            "remove": lambda: remove(other, "id < 2"),
            "metadata": lambda: set_metadata(other, {"owner": "other"}),
            "add column": lambda: put_column(other, NUMBER, {3: 1}),
            "drop column": lambda: drop(other, "text"),
            "optimize": lambda: (table.optimize(keep=timedelta(0)), other.optimize()),
            "overwrite": overwrite,
            "optimize again": lambda: other.optimize(keep=timedelta(0), delete_unverified=True),
        }
        with table.snapshot() as snapshot:
            before = everything(snapshot)
            for deed, do in deeds.items():
                do()
                assert (deed, everything(snapshot)) == (deed, before)

    def test_a_snapshot_that_was_not_read_yet_is_held_too(self, table: EngineTable) -> None:
        """What it needs is kept although nothing was read before."""
        add(table, 5)
        with table.snapshot() as snapshot:
            drop(table, "text")
            remove(table, "id < 4")
            table.optimize(keep=timedelta(0))
            table.optimize(keep=timedelta(0))
            assert snapshot.schema == SCHEMA
            assert sorted(read(snapshot, "text")) == ["t0", "t1", "t2", "t3", "t4", "t5"]

    def test_a_running_scan_is_not_disturbed(self, table: EngineTable) -> None:
        """A reader that was begun goes on reading its version."""
        with table.snapshot() as snapshot:
            reader = snapshot.scan(ScanQuery(columns=["id"]))
            add(table, 5)
            remove(table, "id < 3")
            table.optimize(keep=timedelta(0))
            assert sorted(reader.read_all()["id"].to_pylist()) == [0, 1, 2, 3, 4]

    def test_a_snapshot_has_at_least_what_was_committed(
        self, table: EngineTable, reopen: Reopen
    ) -> None:
        """Another handle that asks for it gets that version."""
        other = reopen().open_table("t")
        for number in range(5, 10):
            version = add(table, number).version
            with other.snapshot(at_least=version) as snapshot:
                assert (snapshot.base.version, snapshot.count_rows()) == (version, number + 1)
