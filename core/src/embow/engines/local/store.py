"""What the operations on one table share: the catalog, the data folder, the latest snapshot."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from embow.engines.local import faults
from embow.engines.local.catalog import Catalog
from embow.engines.local.records import TableRow, table_row
from embow.engines.local.sizes import Sizes
from embow.engines.local.snapshot import Snapshot, load_snapshot
from embow.errors import StorageError

_ATTEMPTS = 5


class Store:
    """One table of an open database.

    Args:
        catalog: Of the database.
        data: Folder of all tables' data.
        row: The table's state when it was opened.
        name: For messages.
        sizes: How big pieces are.
    """

    def __init__(
        self, catalog: Catalog, data: Path, row: TableRow, name: str, sizes: Sizes
    ) -> None:
        self.catalog = catalog
        self.data = data
        self.id = row.id
        self.folder = data / row.folder
        self.name = name
        self.sizes = sizes
        self._latest: Snapshot | None = None
        self._loading = threading.Lock()

    def snapshot(self) -> Snapshot:
        """Return the current version."""
        missing: FileNotFoundError | None = None
        for _ in range(_ATTEMPTS):
            with self._loading:
                try:
                    with self.catalog.read() as db:
                        return self._load(db)
                except StorageError as exc:
                    if not isinstance(exc.__cause__, FileNotFoundError):
                        raise
                    missing = exc.__cause__  # optimize() exchanged it meanwhile: read again.
        raise StorageError(
            f"Table '{self.name}' cannot be read: {missing.filename if missing else '?'} is "
            "missing. Restore it from a backup, or drop the table."
        ) from missing

    def locked(self, db: sqlite3.Connection) -> Snapshot:
        """Return the current version, from within a write transaction that changed nothing yet."""
        with self._loading:
            return self._load(db)

    def current(self, db: sqlite3.Connection) -> TableRow:
        """Return the table's state within a transaction."""
        return table_row(db, self.id, self.name)

    def current_name(self) -> str:
        """Return the table's name as the catalog has it, the last known one if it was dropped."""
        with self.catalog.read() as db:
            found = db.execute("SELECT name FROM tables WHERE id = ?", (self.id,)).fetchone()
        self.name = found[0] if found else self.name
        return self.name

    def remove(self, names: Iterable[str]) -> None:
        """Unlink files that the catalog no longer names; readers keep what they have mapped.

        A file that cannot be removed now is left to the next ``optimize()``.
        """
        for name in names:
            with suppress(OSError):
                (self.folder / name).unlink()
        faults.reach("files.unlinked")

    def _load(self, db: sqlite3.Connection) -> Snapshot:
        self._latest = load_snapshot(db, self.current(db), self.data, self._latest)
        return self._latest
