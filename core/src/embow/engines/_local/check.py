"""Reading everything that is stored of a table, to report all that is not as it was written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from embow.engines._local.blobs import read_blob
from embow.engines._local.failures import storing
from embow.engines._local.files import read_file
from embow.engines._local.indexrows import PieceRow, index_rows
from embow.engines._local.records import FileRow, fragment_rows, table_row, version_rows
from embow.engines._local.sealed import COLUMNS, PIECE, pages
from embow.engines._local.store import Store
from embow.engines._local.tail import read_tail
from embow.engines._local.view import load_view
from embow.engines.contract import CheckReport
from embow.errors import StorageError

_MINE = {"tables": "id", "files": "(SELECT table_id FROM fragments WHERE id = fragment_id)"}


class _Damages(dict[str, str]):
    """What was found, each once, with the file that is missing where that is all."""

    @contextmanager
    def noting(self, table: str, file: str = "") -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as exc:
            self.setdefault(f"Cannot read {exc.filename} of table '{table}': it is missing.", file)
        except StorageError as exc:
            self.setdefault(str(exc), "")


def check(store: Store) -> CheckReport:
    """Verify the catalog, every file of every version, and that each version has its rows."""
    damages = _Damages()
    files: list[FileRow] = []
    versions = 0
    with store.catalog.read() as db:
        with damages.noting(store.name), storing(store.catalog.path, "read"):
            _check_catalog(store, db, damages)
        with damages.noting(store.name), storing(store.catalog.path, "read"):
            files += _files(store, db)
        with damages.noting(store.name), storing(store.catalog.path, "read"):
            versions = _check_versions(store, db, damages)
    for file in files:
        with damages.noting(store.name, file.name):
            _check_file(store, file, damages)
    with damages.noting(store.name), store.catalog.read() as db:
        named = {file.name for file in _files(store, db)}
        for what in [what for what, file in damages.items() if file and file not in named]:
            del damages[what]  # Another process exchanged it meanwhile.
    size = sum(file.size for file in files)
    return CheckReport(tuple(damages), versions, len(files), size)


def _files(store: Store, db: sqlite3.Connection) -> list[FileRow]:
    files = [file for each in fragment_rows(db, store.id) for file in each.files]
    return files + [piece.file for piece in _pieces(store, db)]


def _pieces(store: Store, db: sqlite3.Connection) -> list[PieceRow]:
    return [each for index in index_rows(db, store.current(db)) for each in index.pieces]


def _check_catalog(store: Store, db: sqlite3.Connection, damages: _Damages) -> None:
    for line in pages(db):
        damages[f"{store.catalog.path} is damaged: {line}."] = ""
    for table, names in COLUMNS.items():
        count = db.execute(
            f"SELECT count(*) FROM {table} "
            f"WHERE {_MINE.get(table, 'table_id')} = ? AND seal IS NOT seal({names})",
            (store.id,),
        ).fetchone()[0]
        if count:
            damages[f"{store.catalog.path} is damaged: {count} rows of its table '{table}'."] = ""
    read_tail(db, store.id, 0)


def _check_versions(store: Store, db: sqlite3.Connection, damages: _Damages) -> int:
    row = table_row(db, store.id, store.name)
    versions = version_rows(db, row.id)
    for version in versions:
        with damages.noting(store.name):
            load_view(db, row, store.data, store.held, version)
    return len(versions)


def _check_file(store: Store, file: FileRow, damages: _Damages) -> None:
    path = store.folder / file.name
    if PIECE.match(file.name):
        read_blob(path, file, store.name)
        return
    for _, check in read_file(path, file, store.name)[1]:
        with damages.noting(store.name):
            check()
