"""Rows that are written and that no commit has named: where they are, and for how long."""

from __future__ import annotations

import json
import sqlite3
import struct
import zlib
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from embow.engines._local.names import FILE, check_name, not_ours
from embow.engines._local.records import FileRow, FragmentRow, TableRow, now
from embow.engines.contract import Commit, Staged
from embow.errors import CommitConflictError, StagedGoneError, StorageError

_HEAD = struct.Struct("<qI")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class StagedFiles:
    """What the catalog keeps of a lease: the files, in order, and the columns in each."""

    fragments: tuple[FragmentRow, ...]
    columns: tuple[str, ...]

    def dump(self) -> str:
        """Return what the catalog keeps."""
        files = [
            [each.rows, file.name, file.size, file.algorithm, (file.checks or b"").hex()]
            for each in self.fragments
            for file in each.files
        ]
        return json.dumps({"columns": self.columns, "files": files})

    @classmethod
    def load(cls, db: sqlite3.Connection, text: str) -> StagedFiles:
        """Return what the catalog keeps."""
        try:
            kept = json.loads(text)
            fragments = [
                FragmentRow((FileRow(name, size, algorithm, bytes.fromhex(checks)),), rows)
                for rows, name, size, algorithm, checks in kept["files"]
            ]
            found = cls(tuple(fragments), tuple(kept["columns"]))
        except (ValueError, TypeError, KeyError) as exc:
            raise not_ours(db, text) from exc
        for name in found.names:
            check_name(db, FILE, name)
        return found

    @property
    def names(self) -> list[str]:
        """Names of the files."""
        return [file.name for each in self.fragments for file in each.files]


def moment(microseconds: int) -> datetime:
    """Return a time of the catalog as a datetime."""
    return _EPOCH + microseconds * _MICROSECOND


def microseconds(time: datetime) -> int:
    """Return a datetime as the catalog keeps it."""
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


def insert_lease(db: sqlite3.Connection, row: TableRow, staged: Staged, files: StagedFiles) -> None:
    """Keep finished files from being swept until the lease ends."""
    db.execute(
        "INSERT INTO staged VALUES (?, ?, ?, ?)",
        (staged.token, row.id, microseconds(staged.until), files.dump()),
    )


def leased(db: sqlite3.Connection, staged: Staged) -> StagedFiles | None:
    """Return the files of a lease, ``None`` where it is gone."""
    found = db.execute("SELECT files FROM staged WHERE token = ?", (staged.token,)).fetchone()
    return StagedFiles.load(db, found[0]) if found else None


def extend_lease(db: sqlite3.Connection, staged: Staged) -> bool:
    """Set the end of a lease; return whether it was still there."""
    cursor = db.execute(
        "UPDATE staged SET until = ? WHERE token = ?", (microseconds(staged.until), staged.token)
    )
    return cursor.rowcount > 0


def end_lease(db: sqlite3.Connection, token: str) -> None:
    """Forget a lease; its files are named now, or nobody's."""
    db.execute("DELETE FROM staged WHERE token = ?", (token,))


def remember(
    db: sqlite3.Connection, row: TableRow, staged: Iterable[Staged], commit: Commit
) -> None:
    """Remember what was committed, or (version 0) given up."""
    for each in staged:
        if each.rows or each.column:
            db.execute(
                "INSERT OR IGNORE INTO tokens VALUES (?, ?, ?, ?, ?, ?)",
                (each.token, row.id, *astuple(commit), microseconds(each.until)),
            )


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
        known = db.execute(
            "SELECT version, added, removed FROM tokens WHERE token = ?", (each.token,)
        ).fetchone()
        if known and not known[0]:
            raise gone(each)
        found.add(Commit(*known) if known else None)
    if len(found) > 1:
        raise CommitConflictError(
            "Some of the staged rows were committed before, and not together with the others; "
            "nothing was changed. Commit only those that were not."
        )
    return found.pop() if found else None


def expire(db: sqlite3.Connection, table_id: int, *, everything: bool) -> None:
    """End the leases that are over, and where asked all of one table."""
    time = now()
    db.execute("DELETE FROM staged WHERE until <= ?", (time,))
    db.execute("UPDATE tables SET swept = ?", (time,))
    if everything:
        db.execute("DELETE FROM staged WHERE table_id = ?", (table_id,))
        db.execute("UPDATE tables SET cleared = ? WHERE id = ?", (time, table_id))
    # A write that is gone can no longer be committed a second time.
    db.execute(
        "DELETE FROM tokens WHERE until <= ? AND NOT EXISTS (SELECT 1 FROM versions v "
        "WHERE v.table_id = tokens.table_id AND v.version = tokens.version)",
        (time,),
    )


def named_files(db: sqlite3.Connection) -> set[str]:
    """Return ``folder/name`` of every file of every table, and of every lease."""
    named = db.execute(
        "SELECT t.folder, x.name FROM files x "
        "JOIN fragments f ON f.id = x.fragment_id JOIN tables t ON t.id = f.table_id"
    )
    found = {f"{folder}/{name}" for folder, name in named}
    for folder, text in db.execute(
        "SELECT t.folder, s.files FROM staged s JOIN tables t ON t.id = s.table_id"
    ):
        found |= {f"{folder}/{name}" for name in StagedFiles.load(db, text).names}
    return found
