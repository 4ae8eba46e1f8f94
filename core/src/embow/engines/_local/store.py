"""What the operations on one table share: the catalog, the data folder, the latest version."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from embow.engines._indexing import Opened
from embow.engines._local.catalog import Catalog
from embow.engines._local.layout import Layout
from embow.engines._local.records import (
    TableRow,
    VersionRow,
    find_layout,
    layout_at,
    table_row,
    tag_rows,
    version_rows,
)
from embow.engines._local.sealed import require_pages
from embow.engines._local.sizes import Sizes
from embow.engines._local.sweep import remove_files
from embow.engines._local.view import View, load_view
from embow.engines.contract import Base, EngineTable
from embow.engines.indexes import Libraries
from embow.errors import CommitConflictError, StorageError, VersionNotFoundError, near_name

_ATTEMPTS = 5
T = TypeVar("T")


class Store(EngineTable):
    """One table of an open database, without its verbs: those are functions that take it.

    Args:
        catalog: Of the database.
        data: Folder of all tables' data.
        row: The table's state when it was opened.
        sizes: How big pieces are.
        libraries: Find what builds a kind of index.
    """

    name = ""

    def __init__(
        self, catalog: Catalog, data: Path, row: TableRow, sizes: Sizes, libraries: Libraries
    ) -> None:
        self.catalog = catalog
        self.data = data
        self.id = row.id
        self.identity = row.folder
        self.folder = data / row.folder
        self.name = row.name
        self.sizes = sizes
        self.libraries = libraries
        self.pieces: dict[str, Opened[Any]] = {}  # Of indexes, by the name of their file.
        self.held: View | None = None  # The latest version that was read; its files are open.
        self._earlier: View | None = None

    def latest(self) -> View:
        return self.reading(self.load)

    def version(self, wanted: int | str) -> View:
        """Return a version by number or tag.

        Raises:
            VersionNotFoundError: There is none of that number or tag (any more).
        """

        def load(db: sqlite3.Connection) -> View:
            row, version = self.current(db), self.find_version(db, wanted)
            if version.version == row.version:
                return self.load(db)
            known = self._earlier
            if known is None or (known.row, known.version) != (row, version.version):
                known = load_view(db, row, self.data, self.held, version)
            self._earlier = known
            return known

        return self.reading(load)

    def reading(self, load: Callable[[sqlite3.Connection], T]) -> T:
        """Load something from the catalog and the files it names."""
        missing: FileNotFoundError | None = None
        for _ in range(_ATTEMPTS):
            try:
                with self.catalog.read() as db:
                    return load(db)
            except StorageError as exc:
                if not isinstance(exc.__cause__, FileNotFoundError):
                    raise
                missing = exc.__cause__  # optimize() exchanged it meanwhile: read again.
        raise StorageError(
            f"Table '{self.name}' cannot be read: {missing.filename if missing else '?'} is "
            "missing. Restore it from a backup, or drop the table."
        ) from missing

    def current(self, db: sqlite3.Connection, base: Base | None = None) -> TableRow:
        """Return the table's state within a transaction.

        Raises:
            CommitConflictError: ``base`` is of another table, or of a version yet to come.
        """
        row = table_row(db, self.id, self.name)
        if base is not None and base.version > row.version:
            raise CommitConflictError(
                f"Version {base.version} of table '{self.name}' is yet to come: the latest is "
                f"{row.version}. Its database was replaced; read the table again."
            )
        if base is not None:
            self.check_table(base)
        return row

    def check_table(self, base: Base) -> None:
        """Raise `CommitConflictError` for what was planned on another table."""
        if base.table != self.identity:
            raise CommitConflictError(
                f"What was planned on a table is not for this one: '{self.name}' was dropped and "
                "made again, or its database was replaced. Nothing was changed."
            )

    def layout(self, db: sqlite3.Connection, row: TableRow) -> Layout:
        """Return the schema of the table's state within a transaction."""
        held = self.held
        if held is not None and held.row.schema_version == row.schema_version:
            return held.layout
        return layout_at(db, self.id, row.schema_version)

    def layout_of(self, base: Base) -> Layout:
        """Return the schema that the table had in a version; the catalog is asked for old ones.

        Raises:
            CommitConflictError: It is of another table, or too old to be known.
        """
        self.check_table(base)
        held = self.held
        if held is not None and held.row.schema_version <= base.version <= held.version:
            return held.layout
        with self.catalog.read() as db:
            self.current(db, base)
            layout = find_layout(db, self.id, base.version)
        if layout is None:
            raise CommitConflictError(
                f"Version {base.version} of table '{self.name}' is too old to write rows for. "
                "Open the table again and retry."
            )
        return layout

    def find_version(self, db: sqlite3.Connection, wanted: int | str) -> VersionRow:
        """Return a version by number or tag.

        Raises:
            VersionNotFoundError: There is none of that number or tag (any more).
        """
        number = self._tagged(db, wanted) if isinstance(wanted, str) else wanted
        versions = version_rows(db, self.id)
        for each in versions:
            if each.version == number:
                return each
        require_pages(db)
        raise VersionNotFoundError(
            f"Version {number} no longer exists. Table '{self.name}' has {len(versions)} versions, "
            f"{versions[0].version} to {versions[-1].version}; optimize() drops old ones that have "
            "no tag."
        )

    def _tagged(self, db: sqlite3.Connection, tag: str) -> int:
        tags = tag_rows(db, self.id)
        if tag not in tags:
            require_pages(db)
            raise VersionNotFoundError(
                f"Table '{self.name}' has no tag '{tag}'.{near_name(tag, tags)} "
                f"Tags: {', '.join(tags) or 'none'}."
            )
        return tags[tag]

    def remove(self, names: Iterable[str]) -> tuple[int, int]:
        """Unlink files that the catalog no longer names; return how many, and their bytes."""
        return remove_files(self.folder, names)

    def load(self, db: sqlite3.Connection) -> View:
        """Return the latest version within a transaction that changed nothing yet."""
        row = table_row(db, self.id, self.name)
        self.name = row.name
        view = load_view(db, row, self.data, self.held)
        self.held = view  # Another thread may set its own, of another moment.
        return view
