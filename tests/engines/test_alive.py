"""Deleted rows and the masks of blocks, kept step by step, against plain sets."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from embow.engines._local.alive import Dead, Part, ascending, parts_of
from embow.engines._local.blocks import Block
from embow.engines._local.records import Deletion

ROWS = 60
IDS = st.lists(st.integers(0, ROWS - 1), max_size=6)
STEPS = st.lists(st.one_of(IDS, st.tuples(st.integers(0, ROWS), st.integers(0, ROWS))), max_size=12)


def _blocks(row_ids: list[int], size: int) -> list[Block]:
    blocks = []
    for start in range(0, len(row_ids), size):
        ids = np.array(row_ids[start : start + size], np.int64)
        dense = int(ids[-1] - ids[0]) + 1 == len(ids)
        column = {"x": pa.nulls(len(ids))}
        blocks.append(Block(column, len(ids), int(ids[0]), None if dense else ids))
    return blocks


def _alive(parts: list[Part]) -> set[int]:
    found: set[int] = set()
    for part in parts:
        ids = part.block.ids if part.live is None else part.block.ids[part.live]
        assert len(ids) == part.rows
        found.update(ids.tolist())
    return found


@given(steps=STEPS, stored=st.sets(st.integers(0, ROWS - 1), min_size=1), size=st.integers(1, ROWS))
def test_masks_kept_step_by_step_are_those_made_at_once(
    steps: list[list[int] | tuple[int, int]], stored: set[int], size: int
) -> None:
    """After each deletion exactly the other rows are alive, and earlier masks are as they were."""
    blocks = _blocks(sorted(stored), size)
    dead, left = Dead(), set(stored)
    parts = parts_of(blocks, dead, (), dead)
    for number, step in enumerate(steps):
        whole = step if isinstance(step, tuple) else None
        rows = ascending([] if isinstance(step, tuple) else step)
        more = Dead.of([Deletion(number, rows, whole)])
        dead, before, earlier = dead.with_more(more), parts, set(left)
        parts = parts_of(blocks, dead, before, more)
        left -= set(range(*whole)) if whole else set(rows.tolist())
        assert _alive(parts) == _alive(parts_of(blocks, dead, (), Dead())) == left
        assert _alive(before) == earlier


def test_many_deletions_are_few_runs() -> None:
    """A thousand deletions of one row each are kept in runs of growing length."""
    dead = Dead()
    for row in range(1000):
        dead = dead.with_more(Dead.of([Deletion(row, np.array([row], np.int64))]))
    assert len(dead.runs) <= 10
    assert sum(map(len, dead.runs)) == 1000


@given(IDS)
def test_ids_ascend_each_once(row_ids: list[int]) -> None:
    """Ids given in any order, some twice, are those of a sorted set."""
    assert ascending(row_ids).tolist() == sorted(set(row_ids))
