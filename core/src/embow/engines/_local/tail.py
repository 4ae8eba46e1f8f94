"""Small appends: kept in the catalog until enough have gathered for a file."""

from __future__ import annotations

import sqlite3

import numpy as np
import pyarrow as pa

from embow.engines._local.blocks import Block
from embow.engines._local.sealed import select


def encode(batch: pa.RecordBatch) -> bytes:
    """Return a batch as the catalog keeps it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def read_tail(db: sqlite3.Connection, table_id: int, after: int) -> tuple[list[Block], int]:
    """Return the entries newer than ``after`` as blocks, and the newest entry's number.

    Raises:
        StorageError: One is damaged.
    """
    blocks = []
    condition = "table_id = ? AND id > ? ORDER BY id"
    for row in select(db, "tail", condition, table_id, after, id=True):
        number, _, _, first_row, _, payload = row
        batch = pa.ipc.open_stream(pa.py_buffer(payload)).read_next_batch()
        batch.validate(full=True)
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        blocks.append(Block(columns, batch.num_rows, first_row, None))
        after = number
    return blocks, after


def extend(tail: tuple[Block, ...], blocks: list[Block]) -> tuple[Block, ...]:
    """Return the tail with new blocks, joined so that few blocks remain.

    A block is joined with the one before it unless that is at least twice its size: each row is
    copied a logarithmic number of times, however the rows trickle in.
    """
    joined = list(tail)
    for block in blocks:
        joined.append(block)
        while len(joined) > 1 and joined[-2].rows < 2 * joined[-1].rows:
            pair = _join(joined[-2], joined[-1])
            if pair is None:
                break
            joined[-2:] = [pair]
    return tuple(joined)


def _join(left: Block, right: Block) -> Block | None:
    if left.columns.keys() != right.columns.keys():
        return None  # A column was added in between.
    columns = dict(left.columns)
    for name, array in right.columns.items():
        columns[name] = pa.concat_arrays([columns[name], array])
    ids = None
    if left.last_row + 1 != right.first_row:
        ids = np.concatenate([left.ids, right.ids])
    return Block(columns, left.rows + right.rows, left.first_row, ids)
