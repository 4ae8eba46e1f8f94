"""What the embedded engine has said to be written is on the disk, and nobody sweeps it away."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path

import pytest

from embow.engines._local import LocalEngine, optimize
from embow.engines.contract import Change, EngineTable, Staged
from embow_testing._engine_base import SCHEMA, batch, ids, put_column, rows, stage
from embow_testing._engine_evolution import NUMBER

Sync = dict[tuple[int, int], int]


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Sync:
    """Return for each file that was synced its size then, by device and number."""
    sizes: Sync = {}
    real = os.fsync

    def noting(descriptor: int) -> None:
        real(descriptor)
        found = os.fstat(descriptor)
        sizes[found.st_dev, found.st_ino] = found.st_size

    monkeypatch.setattr(os, "fsync", noting)
    return sizes


@pytest.fixture
def table(open_engine: Callable[..., LocalEngine]) -> EngineTable:
    """Return a table whose rows are in files, each of two rows."""
    engine = open_engine(small_rows=1, block_rows=2, fragment_bytes=1)
    return engine.create_table("t", SCHEMA, [batch(rows(0, 1, 2, 3, 4))])


def unsynced(folder: Path, synced: Sync) -> list[str]:
    """Return the data files that are larger than when they were synced, or never were."""
    wrong = []
    for path in (folder / "db" / "data").rglob("*"):
        found = path.stat()
        size = synced.get((found.st_dev, found.st_ino))
        if size is None or (path.is_file() and size != found.st_size):
            wrong.append(path.name)
    return wrong


def test_rows_are_durable_before_they_are_named(
    tmp_path: Path, synced: Sync, table: EngineTable
) -> None:
    """Files of a creation, of staged rows, of a column and of optimize are synced whole."""
    assert unsynced(tmp_path, synced) == []
    staged = stage(table, 5, 6, 7)
    assert unsynced(tmp_path, synced) == []
    table.commit(Change(staged.base, add=[staged]))
    put_column(table, NUMBER, {0: 1})
    assert unsynced(tmp_path, synced) == []
    table.optimize(keep=timedelta(0))
    assert unsynced(tmp_path, synced) == []
    assert sum(path.is_file() for path in (tmp_path / "db" / "data").rglob("*")) > 1


def test_what_is_staged_during_a_sweep_stays(
    monkeypatch: pytest.MonkeyPatch, table: EngineTable
) -> None:
    """A file finished after the first look is nobody's at that look; the second one finds it."""
    staged: list[Staged] = []
    sweep = optimize.sweep

    def late(data: Path, named: Callable[[], Collection[str]]) -> tuple[int, int]:
        def looking() -> Collection[str]:
            found = named()
            if not staged:
                staged.append(stage(table, 5, 6, 7))
            return found

        return sweep(data, looking)

    monkeypatch.setattr(optimize, "sweep", late)
    table.optimize()
    table.commit(Change(staged[0].base, add=staged))
    assert ids(table) == list(range(8))
