"""Rows that are written and that no commit has named: where they are, and for how long."""

from __future__ import annotations

import json
import sqlite3
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from embow.engines._local.records import (
    FragmentRow,
    TableRow,
    delete_fragments,
    fragment_rows,
    insert_fragments,
    now,
    table_rows,
    update_table,
    values_of,
)
from embow.engines._local.sealed import insert, select
from embow.engines.contract import Commit, Staged
from embow.errors import CommitConflictError, StagedGoneError, StorageError

_HEAD = struct.Struct("<qI")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class StagedFiles:
    """What a lease keeps: the files, in order, and the columns in each."""

    fragments: tuple[FragmentRow, ...]
    columns: tuple[str, ...]


def moment(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND


def microseconds(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND


def pack(stream: bytes) -> bytes:
    """Return few rows as they travel in a `Staged`."""
    return _HEAD.pack(now(), zlib.crc32(stream)) + stream


def unpack(staged: Staged) -> tuple[bytes, pa.RecordBatch]:
    """Return few rows as they travelled: the bytes for the catalog, and what they hold.

    Raises:
        StorageError: They were damaged on the way.
    """
    stream = staged.payload[_HEAD.size :]
    if zlib.crc32(stream) != _HEAD.unpack_from(staged.payload)[1]:
        raise StorageError("Staged rows were damaged on their way here; write them again.")
    return stream, pa.ipc.open_stream(pa.py_buffer(stream)).read_next_batch()


def check_lease(row: TableRow, staged: Staged) -> None:
    """Raise `StagedGoneError` for rows in a payload whose lease a sweep has ended."""
    made = _HEAD.unpack_from(staged.payload)[0]
    if microseconds(staged.until) <= row.swept or made <= row.cleared:
        raise gone(staged)


def gone(staged: Staged) -> StagedGoneError:
    """Return the error for rows that were removed."""
    what = f"The values of column '{staged.column}'" if staged.column else f"{staged.rows:,} rows"
    return StagedGoneError(
        f"{what} were staged until {staged.until:%Y-%m-%d %H:%M:%S} UTC and have been removed. "
        "Write them again, with a longer lease or renew() where that takes long."
    )


def insert_lease(db: sqlite3.Connection, row: TableRow, staged: Staged, kept: StagedFiles) -> None:
    """Keep finished files from being swept until the lease ends."""
    columns = json.dumps(kept.columns)
    insert(db, "staged", staged.token, row.id, microseconds(staged.until), columns)
    insert_fragments(db, row, kept.fragments, staged.token)


def leased(db: sqlite3.Connection, row: TableRow, staged: Staged) -> StagedFiles | None:
    """Return the files of a lease, ``None`` where it is gone."""
    for _, _, _, columns in select(db, "staged", "token = ?", staged.token):
        fragments = fragment_rows(db, row.id, staged=staged.token)
        return StagedFiles(tuple(fragments), tuple(json.loads(columns)))
    return None


def extend_lease(db: sqlite3.Connection, staged: Staged) -> bool:
    """Set the end of a lease; return whether it was still there."""
    for token, table_id, _, columns in select(db, "staged", "token = ?", staged.token):
        until = microseconds(staged.until)
        insert(db, "staged", token, table_id, until, columns, verb="REPLACE")
        return True
    return False


def end_lease(db: sqlite3.Connection, row: TableRow, staged: Staged) -> StagedFiles | None:
    """Forget a lease and return what it kept: somebody else's now, or nobody's."""
    kept = leased(db, row, staged)
    if kept is not None:
        delete_fragments(db, kept.fragments)
        db.execute("DELETE FROM staged WHERE token = ?", (staged.token,))
    return kept


def remember(
    db: sqlite3.Connection, row: TableRow, staged: Iterable[Staged], commit: Commit
) -> None:
    """Remember what was committed, or (version 0) given up."""
    for each in staged:
        if each.rows or each.column:
            values = (each.token, row.id, *values_of(commit), microseconds(each.until))
            insert(db, "tokens", *values, verb="INSERT OR IGNORE")


def earlier(db: sqlite3.Connection, staged: Iterable[Staged]) -> Commit | None:
    """Return the commit that brought the rows in before, if there was one.

    Raises:
        StagedGoneError: They were discarded.
        CommitConflictError: Some were committed, others not.
    """
    found: set[Commit | None] = set()
    for each in staged:
        if not each.rows and each.column is None:
            continue
        commit = None
        for _, _, version, added, removed, _ in select(db, "tokens", "token = ?", each.token):
            if not version:
                raise gone(each)
            commit = Commit(version, added, removed)
        found.add(commit)
    if len(found) > 1:
        raise CommitConflictError(
            "Some of the staged rows were committed before, and not together with the others; "
            "nothing was changed. Commit only those that were not."
        )
    return found.pop() if found else None


def expire(db: sqlite3.Connection, row: TableRow, *, everything: bool) -> None:
    """End the leases that are over, and where asked all of one table."""
    time = now()
    table_id = row.id if everything else 0
    db.execute("DELETE FROM staged WHERE until <= ? OR table_id = ?", (time, table_id))
    over = "staged IS NOT NULL AND staged NOT IN (SELECT token FROM staged)"
    db.execute(f"DELETE FROM files WHERE fragment_id IN (SELECT id FROM fragments WHERE {over})")
    db.execute(f"DELETE FROM fragments WHERE {over}")
    for each in table_rows(db):
        cleared = time if each.id == table_id else each.cleared
        update_table(db, replace(each, swept=time, cleared=cleared))
    # A write that is gone can no longer be committed a second time.
    db.execute(
        "DELETE FROM tokens WHERE until <= ? AND NOT EXISTS (SELECT 1 FROM versions v "
        "WHERE v.table_id = tokens.table_id AND v.version = tokens.version)",
        (time,),
    )


def named_files(db: sqlite3.Connection) -> set[str]:
    """Return ``folder/name`` of every file of every table, of every lease and index."""
    return {
        f"{folder}/{name}"
        for folder, name in db.execute(
            "SELECT t.folder, x.name FROM files x "
            "JOIN fragments f ON f.id = x.fragment_id JOIN tables t ON t.id = f.table_id "
            "UNION ALL SELECT t.folder, p.name FROM pieces p JOIN tables t ON t.id = p.table_id"
        )
    }
