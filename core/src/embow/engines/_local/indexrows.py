"""Indexes and their pieces in the catalog."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from embow.engines._local.records import FileRow, TableRow, update_table
from embow.engines._local.sealed import PIECE, check_name, damaged, insert, rewrite, select
from embow.engines.indexes import Definition


@dataclass(frozen=True, slots=True)
class PieceRow:
    """A piece: the rows of a stored column it covers, and its file; ``id`` is 0 until named.

    ``stored`` is the path of a field where it covers one within the column.
    """

    stored: str
    fingerprint: str
    first_row: int
    next_row: int
    rows: int
    file: FileRow
    id: int = 0

    @property
    def dense(self) -> bool:
        """Whether it holds every row of its range, so that its file need not list them."""
        return self.rows == self.next_row - self.first_row


@dataclass(frozen=True, slots=True)
class IndexRow:
    """An index and its pieces by row."""

    id: int
    definition: Definition
    pieces: tuple[PieceRow, ...] = ()

    def of(self, stored: str | None) -> list[PieceRow]:
        """Return the pieces of one stored column."""
        return [each for each in self.pieces if each.stored == stored]


def index_rows(db: sqlite3.Connection, row: TableRow) -> tuple[IndexRow, ...]:
    """Return the indexes of a table, by name."""
    if not row.indexed:
        return ()
    pieces: dict[int, list[PieceRow]] = {}
    for number, _, index, stored, mark, first, end, rows, name, *rest in select(
        db, "pieces", "table_id = ? ORDER BY first_row", row.id, id=True
    ):
        file = FileRow(check_name(db, PIECE, name), *rest)
        piece = PieceRow(stored, mark, first, end, rows, file, number)
        if not 0 <= piece.rows <= piece.next_row - piece.first_row:
            raise damaged(db, "a piece of an index covers fewer rows than it holds")
        pieces.setdefault(index, []).append(piece)
    found = select(db, "indexes", "table_id = ? ORDER BY name", row.id, id=True)
    return tuple(
        IndexRow(
            number,
            Definition(name, kind, field, _settings(db, settings)),
            tuple(pieces.get(number, ())),
        )
        for number, _, name, field, kind, settings in found
    )


def _settings(db: sqlite3.Connection, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise damaged(db, "the settings of an index cannot be read")
    return found


def index_named(db: sqlite3.Connection, row: TableRow, name: str) -> IndexRow | None:
    return next((each for each in index_rows(db, row) if each.definition.name == name), None)


def insert_index(db: sqlite3.Connection, row: TableRow, wanted: Definition) -> int:
    """Define an index; return its number."""
    number = insert(db, "indexes", row.id, *_values(wanted))
    _changed(db, row)
    return number


def update_index(db: sqlite3.Connection, row: TableRow, index: IndexRow) -> None:
    """Change what an index is; its pieces stay."""
    rewrite(db, "indexes", index.id, row.id, *_values(index.definition))
    _changed(db, row)


def delete_index(db: sqlite3.Connection, row: TableRow, index: IndexRow) -> list[str]:
    """Forget an index; return the names of its files, which may go after the commit."""
    db.execute("DELETE FROM indexes WHERE id = ?", (index.id,))
    return exchange_pieces(db, row, index.id, index.pieces, ())


def exchange_pieces(
    db: sqlite3.Connection,
    row: TableRow,
    index: int,
    old: Iterable[PieceRow],
    new: Iterable[PieceRow],
) -> list[str]:
    """Put pieces in the place of others; return the names of files that may go after the commit."""
    gone = list(old)
    db.executemany("DELETE FROM pieces WHERE id = ?", [(each.id,) for each in gone])
    for each in new:
        covers = each.stored, each.fingerprint, each.first_row, each.next_row, each.rows
        file = each.file
        insert(
            db, "pieces", row.id, index, *covers, file.name, file.size, file.algorithm, file.checks
        )
    _changed(db, row)
    return [each.file.name for each in gone]


def piece_names(db: sqlite3.Connection, row: TableRow) -> list[str]:
    """Return the names of the files of all indexes of a table."""
    return [piece.file.name for index in index_rows(db, row) for piece in index.pieces]


def _changed(db: sqlite3.Connection, row: TableRow) -> None:
    update_table(db, replace(row, indexed=row.indexed + 1))


def _values(wanted: Definition) -> tuple[str, str, str, str]:
    settings = json.dumps(dict(wanted.settings), sort_keys=True)
    return wanted.name, wanted.column, wanted.kind, settings
