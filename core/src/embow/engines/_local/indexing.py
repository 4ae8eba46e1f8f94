"""Defining, building and removing indexes. A piece is a file, named in a transaction of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from sqlite3 import Connection
from typing import Any

from embow._cancel import stop_if_cancelled
from embow.engines._indexing import Opened, Work, library_of, works
from embow.engines._local.columnrows import LocalRows
from embow.engines._local.covering import coverings, opened_pieces, tail_of
from embow.engines._local.files import NewFiles
from embow.engines._local.indexrows import (
    IndexRow,
    PieceRow,
    delete_index,
    exchange_pieces,
    index_named,
    index_rows,
    insert_index,
    update_index,
)
from embow.engines._local.records import TableRow, fragment_rows, layout_at
from embow.engines._local.retention import Needs
from embow.engines._local.staging import without_tail
from embow.engines._local.store import Store
from embow.engines._local.view import open_fragments
from embow.engines._paths import type_at
from embow.engines.contract import IndexInfo, check_index, check_path
from embow.engines.indexes import Definition, Library, Step

_ATTEMPTS = 5


def create_index(store: Store, wanted: Definition, anew: bool, step: Step) -> None:
    """Define an index and build it."""
    with store.catalog.read() as db:
        row = store.current(db)
        layout = store.layout(db, row)
        column = check_path(layout.schema, wanted.column)
        if not anew:
            check_index(store.name, wanted.name, _names(db, row), new=True)
    store.libraries(wanted.kind)(wanted.settings, column)
    with store.catalog.write() as db:
        row = store.current(db)
        if not anew:
            check_index(store.name, wanted.name, _names(db, row), new=True)
        there = index_named(db, row, wanted.name)
        gone = [] if there is None else delete_index(db, row, there)
        number = insert_index(db, store.current(db), wanted)
    store.remove(gone)
    try:
        _extend(store, number, step)
    except BaseException:
        _forget(store, number)
        raise


def _forget(store: Store, number: int) -> None:
    """Take back the definition of an index whose building was broken off."""
    with store.catalog.write() as db:
        row = store.current(db)
        index = _numbered(db, row, number)
        gone = [] if index is None else delete_index(db, row, index)
    store.remove(gone)


def drop_index(store: Store, name: str) -> None:
    with store.catalog.write() as db:
        row = store.current(db)
        gone = delete_index(db, row, _need(store, db, name))
    store.remove(gone)


def move_index(store: Store, name: str, column: str) -> None:
    with store.catalog.write() as db:
        row = store.current(db)
        index = _need(store, db, name)
        moved = replace(index, definition=replace(index.definition, column=column))
        update_index(db, row, moved)


def _need(store: Store, db: Connection, name: str) -> IndexRow:
    row = store.current(db)
    found = {each.definition.name: each for each in index_rows(db, row)}
    check_index(store.name, name, found, new=False)
    return found[name]


def _names(db: Connection, row: TableRow) -> list[str]:
    return [each.definition.name for each in index_rows(db, row)]


def _numbered(db: Connection, row: TableRow, number: int) -> IndexRow | None:
    return next((each for each in index_rows(db, row) if each.id == number), None)


def indexes(store: Store) -> list[IndexInfo]:
    """Return the indexes there are, as the latest version has them."""
    view = store.latest()
    known = {each.definition.name: each for each in coverings(store, view)}
    found = []
    for index in view.indexes:
        covering = known.get(index.definition.name)
        pieces = index.of(view.layout.stored_path(index.definition.column))
        found.append(
            IndexInfo(
                index.definition,
                rows=covering.rows if covering else 0,
                rest=len(covering.rest) if covering else view.rows,
                pieces=len(pieces),
                num_bytes=sum(each.file.size for each in pieces),
                trouble=covering.trouble if covering else "Its column is not there.",
            )
        )
    return found


def extend_indexes(store: Store, step: Step, kind: str | None = None) -> int:
    """Build what is worth building of every index, and let go of what nobody needs.

    Args:
        store: The table.
        step: Told how many rows were indexed.
        kind: Only indexes of this kind.
    """
    with store.catalog.read() as db:
        row = store.current(db)
        every = index_rows(db, row)
        types = Needs.read(db, row).types if every else {}
    for index in every:
        gone = [each for each in index.pieces if type_at(types, each.stored) is None]
        _let_go(store, index.id, gone)
    numbers = [each.id for each in every if kind in (None, each.definition.kind)]
    return sum(_extend(store, number, step) for number in numbers)


def _extend(store: Store, number: int, step: Step) -> int:
    """Build one index as far as it is worth it; return how many pieces were built."""
    built = 0
    for _ in range(_ATTEMPTS):
        without_tail(store)
        state = store.reading(lambda db: _State.read(store, db, number))
        if state is None:
            return built
        _let_go(store, state.index.id, state.useless)
        todo = state.works()
        done = [_build(store, state, each, step) for each in todo]
        built += sum(done)
        if all(done):
            return built
    return built  # Others are at it.


@dataclass(frozen=True, eq=False)
class _State:
    """An index, and the rows it is to cover."""

    index: IndexRow
    stored: str
    library: Library[Any]
    rows: LocalRows
    opened: list[Opened[Any]]
    pieces: dict[int, PieceRow]
    useless: list[PieceRow]

    @classmethod
    def read(cls, store: Store, db: Connection, number: int) -> _State | None:
        row = store.current(db)
        index = _numbered(db, row, number)
        layout = layout_at(db, row.id, row.schema_version)
        stored = None if index is None else layout.stored_path(index.definition.column)
        if index is None or stored is None:
            return None
        column = type_at(layout.types, stored)
        library, _ = library_of(store.libraries, index.definition, column)
        if library is None:
            return None
        fragments = sorted(fragment_rows(db, row.id), key=lambda each: each.first_row)
        needs = Needs.read(db, row)
        rows = LocalRows(
            open_fragments(row, fragments, store.data, store.held), needs, stored, row.next_row
        )
        mine, opened, useless = index.of(stored), [], []
        pieces: dict[int, PieceRow] = {}
        for each in mine:
            found, _ = opened_pieces(store, library, [each])
            if found and len(rows.ids(each.first_row, each.next_row)):
                opened += found
                pieces[id(found[0])] = each
            else:
                useless.append(each)
        return cls(index, stored, library, rows, opened, pieces, useless)

    def works(self) -> list[Work[Any]]:
        return works(self.library, self.opened, self.rows)


def _let_go(store: Store, index: int, useless: Sequence[PieceRow]) -> None:
    """Forget pieces that cannot be read, or of which no version needs a row."""
    if not useless:
        return
    with store.catalog.write() as db:
        gone = exchange_pieces(db, store.current(db), index, useless, ())
    store.remove(gone)


def _build(store: Store, state: _State, work: Work[Any], step: Step) -> bool:
    """Build one piece and name it; return whether it fits what others have done meanwhile."""
    if not work.rows:
        return True

    def going_on(rows: int) -> None:
        stop_if_cancelled()
        step(rows)

    made = work.build(state.library, state.rows, going_on)
    old = [state.pieces[id(each)] for each in work.old]
    with NewFiles(store.catalog, store.folder) as files:
        blob = files.create_blob()
        state.library.write(made.piece, blob)
        blob.write(tail_of(made))
        covers = made.first_row, made.next_row, len(made.row_ids)
        new = PieceRow(state.stored, state.library.fingerprint(), *covers, blob.finish())
        with store.catalog.write() as db:
            row = store.current(db)
            if not _fits(index_rows(db, row), state.index, old, new):
                return False
            gone = exchange_pieces(db, row, state.index.id, old, [new])
            files.keep()
    store.pieces[new.file.name] = made
    for name in gone:
        store.pieces.pop(name, None)
    store.remove(gone)
    return True


def _fits(
    there: Sequence[IndexRow], index: IndexRow, old: Sequence[PieceRow], new: PieceRow
) -> bool:
    now = next((each for each in there if each.id == index.id), None)
    if now is None:
        return False
    left = [each for each in now.of(new.stored) if each not in old]
    gone = len(now.of(new.stored)) - len(left)
    apart = all(each.next_row <= new.first_row or new.next_row <= each.first_row for each in left)
    return gone == len(old) and apart
